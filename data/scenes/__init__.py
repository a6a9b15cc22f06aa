"""Backgrounds and light."""
