"""Finished stage runs on disk and behind a URL, keyed by content."""
