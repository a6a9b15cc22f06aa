"""Persons of the work folder in motion and in new poses, as files."""
