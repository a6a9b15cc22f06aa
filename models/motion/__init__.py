"""Motion: clips of our own, the user's files, and how a movement becomes another person's."""
