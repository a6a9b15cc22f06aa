"""A person who can be moved: skin weights, the rest pose, linear blend skinning of mesh and Gaussians."""
