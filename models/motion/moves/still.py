"""What is done on the spot: standing, waving, squatting, turning, and the two poses of rigs."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from turnaround.models.motion.moves.curves import bump, keyed, step, wave
from turnaround.models.motion.moves.figure import Figure, Foot
from turnaround.models.motion.soles import SIDES

_STEPS = 6  # of each foot in a whole turn
_TREAD = 0.06  # metres that a stepping foot is raised


def t_pose(phase: Float[Tensor, " f"]) -> Figure:
    """The rest pose: arms level."""
    return Figure(len(phase))


def a_pose(phase: Float[Tensor, " f"]) -> Figure:
    """Arms lowered by 45 degrees, straight."""
    figure = Figure(len(phase))
    for side in SIDES:
        figure.arm(side, lower=math.pi / 4, twist=0.0, bend=0.0)
    return figure


def idle(phase: Float[Tensor, " f"]) -> Figure:
    """Stand: a breath and a slow sway a cycle."""
    figure = Figure(len(phase))
    breath = wave(phase, 0.2)
    sway = wave(phase, 0.05)
    figure.pelvis(left=0.014 * sway, up=-0.012 - 0.001 * breath, forward=0.004 * wave(phase, 0.4),
                  lean=-0.012 * sway, yaw=0.015 * wave(phase, 0.3))  # fmt: skip
    figure.trunk(forward=0.02 - 0.02 * breath, turn=0.02 * wave(phase, 0.45), side=0.018 * sway)
    figure.head(forward=0.02 + 0.014 * breath, turn=0.05 * wave(phase, 0.6), side=-0.01 * sway)
    for side, own in (("left", sway), ("right", -sway)):
        figure.arm(side, lower=1.23 - 0.012 * breath, forward=0.04 + 0.012 * own, twist=0.1,
                   bend=0.26 + 0.012 * breath, shrug=0.018 * breath, pronate=0.2)  # fmt: skip
    figure.hands(1.0 + 0.05 * breath)
    figure.stand(apart=0.015, out=0.14)
    return figure


def wave_hand(phase: Float[Tensor, " f"]) -> Figure:
    """Raise the right arm, wave three times, lower it."""
    figure = Figure(len(phase))
    x = phase % 1.0
    up = step((x - 0.02) / 0.24) * step((0.98 - x) / 0.24)
    swing = torch.sin(2 * math.pi * 3.5 * (x - 0.24) / 0.52) * bump((x - 0.2) / 0.6).sqrt()
    figure.pelvis(left=0.012 * up, up=-0.012, lean=-0.01 * up)
    figure.trunk(forward=0.02, side=-0.04 * up + 0.01 * swing, turn=-0.03 * up)
    figure.head(forward=0.02, side=0.09 * up, turn=-0.05 * up)
    figure.arm("left", lower=1.22, forward=0.04, twist=0.1, bend=0.26 + 0.05 * up, pronate=0.2)
    figure.arm("right", lower=1.23 - 1.18 * up, forward=0.04 + 0.26 * up, twist=0.1 - 1.45 * up,
               bend=0.26 + 1.34 * up + 0.42 * swing, pronate=0.2 - 0.2 * up, hand=0.16 * swing)  # fmt: skip
    figure.hands(1.0 - 0.55 * up)
    figure.stand(apart=0.015, out=0.14)
    return figure


def squat(phase: Float[Tensor, " f"]) -> Figure:
    """Bend the knees until the thighs are level, arms forward, and rise."""
    figure = Figure(len(phase))
    down = keyed(phase, {0.0: 0.0, 0.08: 0.0, 0.42: 1.0, 0.54: 1.0, 0.9: 0.0})
    figure.pelvis(up=-0.012 - 0.40 * down, forward=-0.20 * down, tilt=0.50 * down)
    figure.trunk(forward=0.02 + 0.32 * down)
    figure.head(forward=0.02 - 0.55 * down)
    for side in SIDES:
        figure.arm(side, lower=1.23 + 0.16 * down, forward=0.04 + 2.1 * down, twist=0.1 + 0.1 * down,
                   bend=0.26 + 0.1 * down, pronate=0.2)  # fmt: skip
    figure.hands(1.0 - 0.3 * down)
    figure.stand(apart=0.07, out=0.32)
    return figure


def turn(phase: Float[Tensor, " f"]) -> Figure:
    """Turn to the left by 360 degrees in small steps."""
    figure = Figure(len(phase))
    headings, raised = {}, {}
    for side, late in (("left", 0.04), ("right", 0.5)):
        x = (phase * _STEPS - late).clamp(min=0)
        whole = x.floor()
        swing = ((x - whole) / 0.42).clamp(max=1)
        made = torch.where(x > 0, whole + step(swing), 0 * x)
        headings[side] = 2 * math.pi / _STEPS * torch.minimum(made, phase.max().round() * _STEPS)
        raised[side] = torch.where(made < phase.max().round() * _STEPS, bump(swing), 0 * x)
    ahead = _smooth((headings["left"] + headings["right"]) / 2)
    weight = _smooth(raised["right"] - raised["left"])
    across = 0.03 * weight
    figure.pelvis(left=across * torch.cos(ahead), forward=-across * torch.sin(ahead), up=-0.02,
                  heading=ahead, lean=-0.03 * weight)  # fmt: skip
    look = _smooth((headings["left"] - headings["right"]).clamp(min=0))
    figure.trunk(forward=0.03, turn=0.12 * look, side=0.03 * weight)
    figure.head(forward=0.02, turn=0.3 * look)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        figure.arm(side, lower=1.2, forward=0.04 - sign * 0.1 * look, twist=0.1, bend=0.3, pronate=0.2)
        stand = figure.standing(side, out=0.1)
        x, height, z = stand.ankle.unbind(-1)
        h = headings[side]
        ankle = torch.stack([x * torch.cos(h) + z * torch.sin(h), height + _TREAD * raised[side],
                             z * torch.cos(h) - x * torch.sin(h)], -1)  # fmt: skip
        figure.feet[side] = Foot(ankle, h + stand.heading, 0.25 * raised[side], 0.1 * raised[side])
    figure.hands(1.0)
    return figure


def _smooth(values: Float[Tensor, " f"], share: float = 0.016) -> Float[Tensor, " f"]:
    """A running mean over a share of the clip, that keeps both ends."""
    width = max(share * len(values), 0.5)
    mean = torch.from_numpy(gaussian_filter1d(values.numpy(), width, mode="nearest"))
    missed = values - mean
    return mean + torch.lerp(missed[0], missed[-1], torch.linspace(0, 1, len(values), dtype=values.dtype))
