"""The splat renderer: `rasterize(gaussians, cameras)`."""

from turnaround.models.splat.rasterize import Render, rasterize

__all__ = ["Render", "rasterize"]
