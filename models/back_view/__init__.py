"""Diffusion refinement of the back view: diffusers' ControlNet image-to-image, with our own small networks or
SD 1.5."""
