"""The splat renderer: `rasterize(gaussians, cameras)`."""

from models.splat.rasterize import Render, rasterize

__all__ = ["Render", "rasterize"]
