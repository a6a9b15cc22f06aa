"""Persons in motion: skinned frame by frame, cameras, ground, pictures."""
