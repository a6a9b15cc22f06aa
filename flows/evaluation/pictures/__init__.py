"""The pictures on the evaluation's page."""
