"""Synthetic people to learn from, and the build of the free body."""
