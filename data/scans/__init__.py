"""Readers of real datasets of scanned people, and their conversion to the views that training and evaluation
read."""
