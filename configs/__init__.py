"""Presets and training settings, as package data."""
