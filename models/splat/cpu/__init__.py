"""The renderer's CPU engine: projection, tiles, blending and their gradients, compiled (numba)."""

from turnaround.models.compiling import defer_interrupts

defer_interrupts()
