"""Sparse 3D convolution: plain torch, and spconv where there is one."""
