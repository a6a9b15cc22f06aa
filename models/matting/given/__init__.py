"""Masks and alpha channels that came with a photo: compared with the people in it, mended, or refused."""
