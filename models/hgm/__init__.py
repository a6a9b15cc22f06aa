"""The Human Gaussian Model (HGM, ICLR 2025): pictures and a body to 3D Gaussians."""
