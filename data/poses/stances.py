"""Stances: what trunk and legs do, from standing to lunges, squats, sitting on the floor and yoga. Feet stand
on one level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from turnaround.data.poses.keys import LEG, Key


def _stand(d: Key) -> None:
    d.stand(0.1)


def _weight_on_one(d: Key) -> None:
    free, firm = d.sides()
    d.leg(free, d.between(0.1, 0.45), d.between(0.05, 0.3), d.between(0.0, 0.5), d.between(0.2, 0.7), 0.03)
    d.leg(firm, -0.03, -0.02, 0.1, 0.0, 0.03)
    d.torso(0.08, 0.03, 0.0, 0.12 if free == "left" else -0.12)


def _wide(d: Key) -> None:
    spread = d.between(0.25, 0.6)
    for side in ("left", "right"):
        d.leg(side, 0.0, spread, d.between(0.1, 0.4), d.between(0.0, 0.25), 0.05)


def _stride(d: Key) -> None:
    front, back = d.sides()
    step, down = d.between(0.15, 0.42), LEG * d.between(0.9, 0.97)
    d.plant(front, step, down, 0.02)
    d.plant(back, -step, down - 0.05, 0.02, heel=d.between(0.2, 0.7))
    d.torso(0.06, 0.06)


def _run(d: Key) -> None:
    front, back = d.sides()
    d.lean(d.between(0.05, 0.3))
    d.leg(front, d.between(0.6, 1.4), 0.02, 0.05, d.between(0.7, 1.7), 0.06)
    d.leg(back, -d.between(0.1, 0.5), 0.02, 0.05, d.between(0.2, 1.5), 0.06, 0.4)
    d.torso(0.08, 0.1)


def _lunge(d: Key) -> None:
    """One foot far ahead, knee about at a right angle, the other behind on its toes, its knee near the
    floor."""
    front, back = d.sides()
    d.lean(d.between(-0.05, 0.35))
    down, step = LEG * d.between(0.5, 0.82), d.between(0.25, 0.5)
    d.plant(front, step, down, d.between(0.0, 0.12))
    d.plant(back, -d.between(0.3, 0.62), down - 0.1, d.between(0.0, 0.1), heel=d.between(0.7, 1.2))
    d.torso(0.06, d.between(-0.1, 0.15))


def _side_lunge(d: Key) -> None:
    """Feet far apart, one knee bent, the trunk over it."""
    bent, straight = d.sides()
    sign = 1.0 if bent == "left" else -1.0
    d.lean(d.between(0.0, 0.4))
    d.plant(
        bent, d.between(0.05, 0.3), LEG * d.between(0.7, 0.92), d.between(0.25, 0.6), turn=d.between(0.2, 0.6)
    )
    d.leg(straight, d.rotvecs[0, 0], d.between(0.35, 0.75), d.between(0.0, 0.4), d.between(0.0, 0.15), 0.04)
    d.torso(0.08, d.between(0.0, 0.3), 0.15 * sign, -0.1 * sign)


def _squat(d: Key) -> None:
    depth = d.between(0.35, 0.85)
    d.lean(d.between(0.1, 0.75) * (1.2 - depth))
    wide = d.between(0.15, 0.45)
    for side in ("left", "right"):
        d.plant(side, d.between(0.0, 0.12) + 0.12 * (1 - depth), LEG * depth, wide, turn=0.6 * wide)
    d.torso(0.08, d.between(-0.1, 0.25))


def _crouch(d: Key) -> None:
    """Down on both feet, heels up or not, trunk on the thighs."""
    d.lean(d.between(0.2, 0.7))
    down = LEG * d.between(0.34, 0.5)
    for side in ("left", "right"):
        d.plant(
            side,
            d.between(-0.12, 0.15),
            down + d.spread(0, 0.02),
            d.between(0.1, 0.35),
            heel=d.between(0.0, 0.9),
        )
    d.torso(0.1, d.between(0.1, 0.5))


def _kneel_one(d: Key) -> None:
    front, back = d.sides()
    d.lean(d.between(-0.05, 0.3))
    down = d.between(0.38, 0.45)  # the knee of the other leg is on the floor
    d.plant(front, d.between(0.3, 0.45), down + 0.03, 0.06)
    d.leg(
        back,
        d.rotvecs[0, 0] - d.between(-0.1, 0.25),
        0.04,
        0.05,
        d.between(1.4, 1.8),
        0.04,
        d.between(-0.3, 0.6),
    )
    d.torso(0.08, 0.05)


def _kneel(d: Key) -> None:
    """On both knees, upright or sitting on the heels."""
    sunk = d.between(0.0, 1.15)
    d.lean(d.between(0.0, 0.25))
    for side in ("left", "right"):
        d.leg(
            side,
            sunk + d.rotvecs[0, 0],
            d.between(0.05, 0.2),
            0.05,
            1.55 + 0.75 * sunk,
            0.04,
            d.between(0.2, 0.7),
        )
    d.torso(0.08, d.between(0.0, 0.3))


def _sit(d: Key) -> None:
    """On a chair that is not there: legs alike, one ahead, or one over the other; upright, bent or leaning
    back."""
    d.lean(d.between(-0.35, 0.35))
    seat, crossed = d.between(1.35, 1.6), d.rng.random() < 0.25
    first = d.sides()[0]
    for side in ("left", "right"):
        flex = seat + d.rotvecs[0, 0] + (0.25 if crossed and side == first else 0.0)
        spread = -0.2 if crossed and side == first else d.between(0.03, 0.3)
        d.leg(side, flex, spread, 0.05, d.between(1.0, 1.8), 0.05)
    d.torso(0.1, d.between(-0.1, 0.4))


def _sit_floor(d: Key) -> None:
    """On the floor: legs straight, bent, or crossed."""
    d.lean(d.between(-0.4, 0.15))
    kind = d.rng.integers(3)
    for side in ("left", "right"):
        if kind == 0:
            d.leg(side, 1.5 + d.rotvecs[0, 0], d.between(0.03, 0.4), 0.1, d.between(0.0, 0.3), 0.05, 0.2)
        elif kind == 1:
            d.leg(side, 2.0 + d.rotvecs[0, 0], d.between(0.05, 0.3), 0.1, d.between(1.2, 2.0), 0.08, 0.2)
        else:
            d.leg(
                side,
                1.35 + d.rotvecs[0, 0],
                d.between(0.5, 0.8),
                d.between(0.6, 0.9),
                d.between(1.8, 2.2),
                0.05,
                0.3,
            )
    d.torso(0.1, d.between(0.0, 0.4))


def _one_leg(d: Key) -> None:
    """Balancing: a raised knee, a kick, a foot at the other knee, a leg behind."""
    up, firm = d.sides()
    kind = d.rng.integers(4)
    if kind == 0:
        d.leg(up, d.between(0.7, 1.7), d.between(-0.1, 0.3), 0.1, d.between(0.5, 2.0), 0.03, 0.2)
    elif kind == 1:
        d.lean(-d.between(0.0, 0.35))
        d.leg(up, d.between(0.6, 1.6), d.between(-0.05, 0.5), 0.1, d.between(0.0, 0.4), 0.03, 0.3)
    elif kind == 2:  # the tree of yoga
        d.leg(
            up, d.between(0.5, 0.9), d.between(0.6, 0.9), d.between(0.5, 0.9), d.between(1.9, 2.3), 0.03, 0.3
        )
    else:
        d.lean(d.between(0.2, 1.2))
        d.leg(up, -d.between(0.1, 0.5), d.between(0.0, 0.2), 0.1, d.between(0.0, 1.0), 0.03, 0.5)
    d.leg(firm, d.rotvecs[0, 0], 0.0, 0.1, d.between(0.0, 0.25), 0.03)
    d.torso(0.08, d.between(-0.1, 0.1))


def _step_up(d: Key) -> None:
    """A foot on a step, a box or a ball."""
    up, firm = d.sides()
    d.lean(d.between(0.0, 0.25))
    d.plant(up, d.between(0.2, 0.42), LEG - d.between(0.2, 0.45), d.between(0.0, 0.2))
    d.plant(firm, -d.between(0.0, 0.1), LEG * 0.98, 0.05)
    d.torso(0.08, d.between(0.0, 0.2))


def _warrior(d: Key) -> None:
    """Yoga's warriors: one knee bent sideways, the other leg straight, trunk upright."""
    bent, straight = d.sides()
    d.plant(bent, 0.05, LEG * d.between(0.68, 0.85), d.between(0.6, 0.85), turn=d.between(0.7, 1.0))
    d.leg(straight, 0.0, d.between(0.5, 0.8), d.between(0.0, 0.3), 0.02, 0.03)
    d.torso(0.05, 0.0, 0.3 if bent == "left" else -0.3)
    d.look(0.2)


def _bend_over(d: Key) -> None:
    """Bent at the hips, to the side of a half or down to the floor."""
    d.lean(d.between(0.4, 1.5))
    for side in ("left", "right"):
        d.plant(side, d.between(-0.05, 0.05), LEG * d.between(0.82, 0.99), d.between(0.03, 0.25))
    d.torso(0.1, d.between(0.1, 0.8))


def _jump(d: Key) -> None:
    d.lean(d.between(-0.2, 0.3))
    for side in ("left", "right"):
        d.leg(
            side,
            d.between(-0.3, 1.2),
            d.between(0.0, 0.5),
            0.15,
            d.between(0.0, 1.6),
            0.05,
            d.between(0.2, 0.7),
        )
    d.torso(0.12, 0.0)


def _dance(d: Key) -> None:
    d.lean(d.spread(0.05, 0.12), turn=d.spread(0, 0.2), side=d.spread(0, 0.1))
    d.torso(0.2)
    for side in ("left", "right"):
        d.leg(
            side,
            d.spread(0.2, 0.3),
            d.spread(0.2, 0.15),
            d.spread(0.15, 0.2),
            d.between(0, 0.9),
            0.03,
            d.between(-0.1, 0.5),
        )


def _twist(d: Key) -> None:
    """Stretches: the trunk turned or bent to the side."""
    d.stand(0.15)
    d.torso(
        0.1,
        d.between(-0.2, 0.3),
        float(d.rng.choice([-1, 1])) * d.between(0.2, 0.9),
        float(d.rng.choice([-1, 1])) * d.between(0.0, 0.6),
    )


STANCES: dict[str, tuple[float, Callable[[Key], None]]] = {
    "stand": (0.16, _stand),
    "weight_on_one": (0.12, _weight_on_one),
    "wide": (0.06, _wide),
    "stride": (0.09, _stride),
    "run": (0.05, _run),
    "lunge": (0.11, _lunge),
    "side_lunge": (0.05, _side_lunge),
    "squat": (0.07, _squat),
    "crouch": (0.035, _crouch),
    "kneel_one": (0.035, _kneel_one),
    "kneel": (0.02, _kneel),
    "sit": (0.05, _sit),
    "sit_floor": (0.025, _sit_floor),
    "one_leg": (0.05, _one_leg),
    "step_up": (0.02, _step_up),
    "warrior": (0.02, _warrior),
    "bend_over": (0.03, _bend_over),
    "jump": (0.02, _jump),
    "dance": (0.06, _dance),
    "twist": (0.035, _twist),
}
"""Name -> how often, and what sets trunk and legs."""


def sit_like(stance: str) -> bool:
    """Whether the thighs make a lap."""
    return stance in ("sit", "sit_floor", "crouch", "kneel")


def knees(d: Key) -> dict[str, np.ndarray]:
    """Where both knees are, in the pelvis' frame."""
    return {side: d.place(f"{side}_knee") for side in ("left", "right")}
