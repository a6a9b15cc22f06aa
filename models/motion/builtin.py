"""The clips that are made here: idle, walk, wave, turn, squat, dance, and the poses of rigs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.motion.moves import dance, gait, still
from turnaround.models.motion.moves.figure import Figure
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.motion import Motion

Move = Callable[[Float[Tensor, " f"]], Figure]
_MOVES: Mapping[str, tuple[Move, float, int]] = MappingProxyType(
    {  # the move, seconds of a cycle (0: one pose), cycles by default
        "idle": (still.idle, 4.0, 1),
        "walk": (gait.walk, gait.PERIOD, 3),
        "walk_forward": (gait.walk_forward, gait.PERIOD, 3),
        "wave": (still.wave_hand, 4.0, 1),
        "turn": (still.turn, 4.0, 1),
        "squat": (still.squat, 3.0, 1),
        "dance": (dance.dance, 2.0, 3),
        "dance_wave": (dance.dance_wave, 4.0, 2),
        "t_pose": (still.t_pose, 0.0, 1),
        "a_pose": (still.a_pose, 0.0, 1),
    }
)
NAMES: tuple[str, ...] = tuple(_MOVES)
"""What `builtin` knows."""


def builtin(name: str, *, seconds: float | None = None, fps: float = 30.0) -> Motion:
    """A clip of the mean body that faces the camera, its feet on the ground, and begins above the origin.

    The last frame is the first again, but for how far a walk has come. `t_pose` and `a_pose` have one frame.

    Args:
        name: one of NAMES.
        seconds: how long; whole cycles are fitted into it, a little faster or slower. None: a few cycles.
        fps: frames a second.
    """
    if name not in _MOVES:
        raise CallError(f"no motion is called {name!r}; known are {', '.join(NAMES)}")
    if not fps > 0 or (seconds is not None and not seconds > 0):
        raise CallError(f"{seconds} seconds at {fps} frames a second: both must be more than 0")
    move, period, cycles = _MOVES[name]
    if not period:
        return move(torch.zeros(1, dtype=torch.float64)).motion(fps)
    if seconds is None:
        seconds = cycles * period
    else:
        cycles = max(1, round(seconds / period))
    frames = max(2, round(seconds * fps) + 1)
    return move(torch.linspace(0, cycles, frames, dtype=torch.float64)).motion(fps)
