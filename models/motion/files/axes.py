"""Which way is up in somebody's file."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Up = Literal["auto", "y", "z", "-y"]
_TURNS = {  # rows: our world's axes in the file's
    "y": [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]],
    "z": [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
    "-y": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "-z": [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]],
    "x": [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
    "-x": [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
}


def world_from_file(up: str) -> Float[Tensor, "3 3"]:
    """Rotation from a file's axes to our world's (y down), by its axis that points up.

    y up is turned by 180 degrees about x, so that who faces along z faces the camera; z up by 90 degrees, so
    that who faces along -y does.
    """
    return torch.tensor(_TURNS[up], dtype=torch.float64)


def nearest_axis(direction: Float[Tensor, "3"]) -> tuple[str, float]:
    """The axis ("y", "-z", ...) that a direction points along most, and the cosine between."""
    unit = direction / direction.norm().clamp(min=1e-9)
    index = int(unit.abs().argmax())
    return ("-" if unit[index] < 0 else "") + "xyz"[index], float(unit[index].abs())
