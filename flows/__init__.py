"""The command line, the Prefect flow, training and evaluation commands."""
