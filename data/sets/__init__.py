"""Data sets on disk and the streams that trainings read."""
