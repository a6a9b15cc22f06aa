"""Curves over time that moves are drawn with: waves, smooth steps, key values."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator
from torch import Tensor


def wave(phase: Float[Tensor, " f"], shift: float = 0.0) -> Float[Tensor, " f"]:
    """A sine once a cycle, `shift` cycles late."""
    return torch.sin(2 * math.pi * (phase - shift))


def step(x: Float[Tensor, " f"]) -> Float[Tensor, " f"]:
    """From 0 at 0 to 1 at 1, at rest at both ends (least jerk)."""
    x = x.clamp(0, 1)
    return x**3 * (10 - 15 * x + 6 * x**2)


def bump(x: Float[Tensor, " f"]) -> Float[Tensor, " f"]:
    """From 0 at 0 over 1 at a half to 0 at 1; smooth at its ends."""
    x = x.clamp(0, 1)
    return torch.sin(math.pi * x) ** 2


def keyed(phase: Float[Tensor, " f"], keys: Mapping[float, float]) -> Float[Tensor, " f"]:
    """A curve through key values by their phase in [0, 1], repeated each cycle; never beyond its keys.

    The value of phase 1 is that of phase 0.
    """
    times = sorted(keys)
    values = [keys[time] for time in times]
    around = [times[-1] - 1, *times, times[0] + 1, times[1] + 1]
    curve = PchipInterpolator(around, [values[-1], *values, values[0], values[1]])
    return torch.from_numpy(curve((phase % 1.0).numpy()))
