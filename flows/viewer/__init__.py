"""Looking at one subject in 3D: an interactive viewer, and a page that needs nothing else."""
