"""Subjects of a work folder: their photos, what was given for them, their people, their fits."""
