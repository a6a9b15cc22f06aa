"""Dances: sums of sines on hips, knees, trunk, arms and head, the feet where they can be."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.motion.moves.curves import bump, step, wave
from turnaround.models.motion.moves.figure import Figure, Foot, rolled


def dance(phase: Float[Tensor, " f"]) -> Figure:
    """Four beats a cycle: the hips go left and right, the knees bounce on every beat, bent arms pump, the
    free heel lifts."""
    figure = Figure(len(phase))
    hips, beat = wave(phase * 2), wave(phase * 4, 0.125)
    slow = wave(phase)
    figure.pelvis(left=0.055 * hips, up=-0.055 - 0.022 * beat, yaw=0.16 * hips + 0.08 * slow,
                  lean=-0.09 * hips, forward=0.012 * beat, tilt=0.06)  # fmt: skip
    figure.trunk(forward=0.04 + 0.04 * beat, turn=-0.30 * hips - 0.05 * slow, side=0.17 * hips)
    figure.head(forward=0.02 + 0.09 * wave(phase * 4, 0.2), turn=0.12 * slow, side=-0.10 * hips)
    for side, own in (("left", hips), ("right", -hips)):
        figure.arm(side, lower=0.98 - 0.14 * own - 0.05 * slow, forward=0.42 + 0.34 * own,
                   twist=0.35 - 0.2 * own, bend=1.55 + 0.32 * own - 0.12 * beat, shrug=0.05 * own,
                   pronate=0.3 - 0.3 * own, flap=0.12 * beat)  # fmt: skip
        figure.feet[side] = _light(figure, side, (-own).clamp(min=0))
    figure.hands(2.3 + 0.5 * beat)
    return figure


def dance_wave(phase: Float[Tensor, " f"]) -> Figure:
    """Eight beats a cycle: side steps with a tap, and arms that wave overhead in turn."""
    figure = Figure(len(phase))
    side_to_side, beat = wave(phase * 2, 0.12), wave(phase * 8, 0.125)
    slow = wave(phase, 0.1)
    figure.pelvis(left=0.11 * side_to_side, up=-0.05 - 0.016 * beat, yaw=0.12 * slow,
                  lean=-0.05 * side_to_side, tilt=0.04)  # fmt: skip
    figure.trunk(forward=0.02 + 0.03 * beat, turn=0.22 * wave(phase * 2, 0.3), side=-0.14 * side_to_side)
    figure.head(forward=0.04 * beat, turn=0.15 * side_to_side, side=-0.08 * side_to_side)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        lifted = 0.5 + 0.5 * sign * slow
        figure.arm(side, lower=0.55 - 1.35 * lifted + 0.10 * sign * side_to_side,
                   forward=0.30 + 0.12 * wave(phase * 4, 0.25 * (sign > 0)), twist=0.1 - 0.9 * lifted,
                   bend=1.1 - 0.45 * lifted + 0.25 * wave(phase * 2, 0.1 + 0.25 * sign),
                   hand=0.2 * wave(phase * 4, 0.3), flap=0.2 * wave(phase * 4, 0.05),
                   pronate=0.2)  # fmt: skip
        figure.feet[side] = _tapping(figure, phase, side)
    figure.hands(0.7 + 0.3 * wave(phase * 2))
    return figure


def _light(figure: Figure, side: str, free: Float[Tensor, " f"]) -> Foot:
    """A foot that stays on its ball and lifts its heel while the weight is on the other."""
    foot = figure.standing(side, apart=0.045, out=0.2)
    pitch = 0.38 * step(free)
    return Foot(rolled(foot.ankle, foot.heading, pitch, side), foot.heading, pitch, pitch)


def _tapping(figure: Figure, phase: Float[Tensor, " f"], side: str) -> Foot:
    """A foot that steps in to the other and out again, while the weight is on the other."""
    foot = figure.standing(side, apart=0.06, out=0.16)
    x = (phase * 2 - (0.62 if side == "left" else 0.12)) % 1.0
    inwards = step((x - 0.03) / 0.15) * step((0.47 - x) / 0.15)
    raised = bump(x / 0.2) + bump((x - 0.3) / 0.2)
    sign = 1.0 if side == "left" else -1.0
    zero = torch.zeros_like(phase)
    moved = torch.stack([-sign * 0.10 * inwards, 0.05 * raised, 0.03 * inwards], -1)
    pitch = 0.30 * inwards
    ankle = rolled(foot.ankle + moved, foot.heading, pitch, side)
    return Foot(ankle, foot.heading + zero, pitch, pitch)
