"""Clips made by formulas: no capture, no licence."""
