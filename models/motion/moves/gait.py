"""Walking, in place and forward: the feet roll from heel to toe over places that stay, the legs follow."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.motion.moves.curves import bump, keyed, wave
from turnaround.models.motion.moves.figure import Figure, Foot, rolled, stature
from turnaround.models.motion.soles import SIDES

PERIOD = 1.05  # seconds of a cycle of two steps
STRIDE = 1.22  # metres of a cycle
_STANCE = 0.62  # share of a cycle that a foot is on the ground
_PITCH = {0.0: -0.30, 0.09: 0.0, 0.36: 0.0, 0.5: 0.28, 0.62: 0.85, 0.75: 0.55, 0.9: -0.22}
_TOES = {0.0: 0.18, 0.09: 0.0, 0.36: 0.0, 0.5: 0.28, 0.62: 0.85, 0.7: 0.7, 0.8: 0.2, 0.9: 0.15}
_LIFT = 0.075  # metres that the ankle is raised in swinging, beyond the straight way
_OUT = 0.09  # radians that the feet point outwards
_NARROW = 0.035  # metres that the feet walk nearer to the middle than they stand
_DROP = 0.030  # metres of the pelvis below standing


def walk_forward(phase: Float[Tensor, " f"]) -> Figure:
    """Walk towards the camera, from the origin."""
    figure = _walking(phase)
    figure.pelvis(**_pelvis(phase), forward=STRIDE * phase)
    for side in SIDES:
        figure.feet[side] = _foot(phase, side)
    return figure


def walk(phase: Float[Tensor, " f"]) -> Figure:
    """Walk in place, as on a belt."""
    figure = _walking(phase)
    figure.pelvis(**_pelvis(phase))
    for side in SIDES:
        foot = _foot(phase, side)
        back = torch.stack([torch.zeros_like(phase), torch.zeros_like(phase), STRIDE * phase], -1)
        figure.feet[side] = Foot(foot.ankle - back, foot.heading, foot.pitch, foot.toes)
    return figure


def _pelvis(phase: Float[Tensor, " f"]) -> dict[str, Float[Tensor, " f"] | float]:
    """The left heel strikes at phase 0, the right one at a half; the pelvis is lowest just after."""
    return {
        "left": 0.018 * wave(phase, 0.07),
        "up": -_DROP - 0.026 * wave(2 * phase, -0.19),
        "yaw": -0.09 * wave(phase, -0.22),
        "lean": -0.045 * wave(phase, 0.05),
        "tilt": 0.04,
    }


def _walking(phase: Float[Tensor, " f"]) -> Figure:
    figure = Figure(len(phase))
    twist = wave(phase, -0.22)
    figure.trunk(
        forward=0.05 + 0.012 * wave(2 * phase, 0.1), turn=0.17 * twist, side=0.05 * wave(phase, 0.05)
    )
    figure.head(forward=-0.05 - 0.01 * wave(2 * phase, 0.1), turn=-0.08 * twist, side=-0.01 * wave(phase))
    for side, swing in (("left", -twist), ("right", twist)):
        forward = 0.02 + 0.36 * swing
        figure.arm(
            side,
            lower=1.24 - 0.03 * swing,
            forward=forward,
            twist=0.12,
            bend=0.34 + 0.17 * swing,
            pronate=0.25,
        )
    figure.hands(1.2)
    return figure


def _foot(phase: Float[Tensor, " f"], side: str) -> Foot:
    """A foot's way: it stands at places a stride apart, and swings between them."""
    own = phase if side == "left" else phase - 0.5
    cycle = own.floor()
    x = own - cycle
    pitch = keyed(x, _PITCH)
    toes = torch.where((x > 0.2) & (x < _STANCE), pitch, keyed(x, _TOES))  # flat on the ground
    sign = 1.0 if side == "left" else -1.0
    heading = torch.full_like(phase, sign * _OUT)
    late = 0.0 if side == "left" else 0.5

    def standing(k: Float[Tensor, " f"], pitched: Float[Tensor, " f"]) -> Float[Tensor, "f 3"]:
        """The ankle on the k-th place; halfway through stance it lies below the hip."""
        ankle = stature().ankle
        lead = STRIDE * (k + late + 0.28) + ankle[2]
        across = torch.full_like(phase, sign * (float(ankle[0]) - _NARROW))
        flat = torch.stack([across, torch.full_like(phase, float(ankle[1])), lead], -1)
        return rolled(flat, heading, pitched, side)

    swing = (x - _STANCE) / (1 - _STANCE)
    gone, come = torch.full_like(x, _STANCE), torch.ones_like(x)
    small = 1e-3
    leave = standing(cycle, keyed(gone, _PITCH))
    leave_speed = (leave - standing(cycle, keyed(gone - small, _PITCH))) / small * (1 - _STANCE)
    land = standing(cycle + 1, keyed(0 * come, _PITCH))
    land_speed = (standing(cycle + 1, keyed(0 * come + small, _PITCH)) - land) / small * (1 - _STANCE)
    away = _hermite(leave, leave_speed, land, land_speed, swing.clamp(0, 1))
    away[:, 1] += _LIFT * bump(swing.clamp(min=0) ** 0.7)
    ankle = torch.where((x < _STANCE)[:, None], standing(cycle, pitch), away)
    return Foot(ankle, heading, pitch, toes)


def _hermite(
    a: Float[Tensor, "f 3"], va: Float[Tensor, "f 3"], b: Float[Tensor, "f 3"], vb: Float[Tensor, "f 3"],
    x: Float[Tensor, " f"],
) -> Float[Tensor, "f 3"]:  # fmt: skip
    """The cubic from a to b with speeds va and vb, x in [0, 1]."""
    x = x[:, None]
    return (
        (2 * x**3 - 3 * x**2 + 1) * a + (x**3 - 2 * x**2 + x) * va
        + (3 * x**2 - 2 * x**3) * b + (x**3 - x**2) * vb
    )  # fmt: skip
