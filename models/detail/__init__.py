"""The photo's own pixels on the reconstructed surface: what every camera sees of it, one Gaussian a pixel,
the sides between."""
