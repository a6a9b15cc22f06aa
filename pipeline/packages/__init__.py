"""Packages of npm and PyPI, fetched by digest into the user's cache."""
