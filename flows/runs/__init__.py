"""Runs of stages over subjects, with or without Prefect."""
