"""Results on their way out, for other programs."""
