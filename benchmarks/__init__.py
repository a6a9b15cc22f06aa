"""Benchmarks: each file is a command that writes medians as JSON."""
