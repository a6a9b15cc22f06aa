"""The renderer's CPU engine: projection, tiles, blending and their gradients, compiled (numba)."""
