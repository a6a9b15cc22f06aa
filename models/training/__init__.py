"""What every training stands on: loop, settings, batches, checkpoints, logs, several processes."""
