"""GST: body and Gaussians of a person in one forward pass, taught by pictures alone (Prospero et al. 2024,
arXiv 2409.04196)."""
