"""The eight stages of the pipeline, one file each."""
