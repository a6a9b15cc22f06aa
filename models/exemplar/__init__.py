"""Guided exemplar synthesis: what no camera has seen, in the cloth that one has (image analogies, Hertzmann
et al. 2001)."""
