"""Plausible body poses and their checks."""
