"""Previews: pictures of a result from around the person, named by azimuth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.close_orbit import close_orbit
from turnaround.pipeline.values.types import Camera

AZIMUTHS = (0, 90, 180, 270)  # degrees
Draw = Callable[[Camera], Tensor]  # cameras (c,) -> pictures (c, h, w, 3)


def previews(
    points: Float[Tensor, "n 3"], draw: Draw, size: int, azimuths: Sequence[int] = AZIMUTHS, prefix: str = ""
) -> dict[str, Tensor]:
    """Draw from cameras that the points fill: `prefix` and the degrees -> (size, size, 3).

    Args:
        points: of the person, world frame, metres: a mesh's vertices.
        draw: the pictures of a batch of cameras.
        size: pixels of the square pictures.
    """
    pictures = draw(close_orbit(points, azimuths, size))
    return {f"{prefix}{azimuth:03d}": picture for azimuth, picture in zip(azimuths, pictures, strict=True)}
