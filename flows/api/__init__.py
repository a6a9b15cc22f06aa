"""Turnaround: one photo of a person to 3D Gaussians, a mesh and a video."""
