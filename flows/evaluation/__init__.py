"""Evaluation: test people, what is measured on each, baselines, summary and page."""
