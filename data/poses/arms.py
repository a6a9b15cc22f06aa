"""What arms do: hang, rest on hips or knees, point, guard, carry, lift bars, look at phones. They follow the
bent trunk."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from turnaround.data.poses.keys import Key
from turnaround.data.poses.limbs import Reach, arm
from turnaround.data.poses.stances import knees

SIDES = ("left", "right")
_HIP = Reach((0.225, 0.11, 0.0), (1.0, 0.0, -0.7), (-0.02, -0.6, 0.8), (-1.0, 0.1, 0.0))
_POCKET = Reach((0.225, 0.0, 0.08), (0.6, 0.2, -1.0), (-0.1, -1.0, 0.1), (-1.0, 0.0, 0.0))
_CROSSED = (
    Reach((-0.05, 0.235, 0.245), (1.0, -0.7, 0.3), (-1.0, 0.1, 0.1), (0.0, 0.0, -1.0)),
    Reach((-0.03, 0.15, 0.175), (1.0, -0.7, 0.2), (-1.0, -0.15, 0.05), (0.0, 0.0, -1.0)),
)
_BEHIND = Reach((0.12, 0.05, -0.15), (1.0, 0.0, -0.6), (-0.7, -0.7, 0.0), (0.0, 0.0, -1.0))
_CHIN = Reach((0.07, 0.39, 0.21), (0.5, -1.0, 0.2), (-0.2, 1.0, -0.15), (-0.5, 0.0, -1.0))
_EAR = Reach((0.175, 0.50, 0.10), (0.8, -1.0, 0.1), (-0.15, 1.0, -0.1), (-1.0, 0.0, 0.1))
_HEAD = Reach((0.14, 0.62, -0.10), (1.0, 0.1, 0.2), (-1.0, 0.3, -0.2), (-0.3, 0.0, 1.0))
_PHOTO = Reach((0.10, 0.52, 0.36), (0.8, -1.0, 0.2), (-0.35, 1.0, 0.2), (-0.5, 0.0, 0.9))
_SCREEN = Reach((0.06, 0.22, 0.33), (0.7, -1.0, -0.2), (-0.2, 0.5, 1.0), (-0.3, 0.9, -0.4))
_STRAP = Reach((0.13, 0.30, 0.15), (0.7, -1.0, 0.0), (-0.5, 0.8, 0.0), (0.0, 0.0, -1.0))
_BAR_BACK = Reach((0.42, 0.40, 0.0), (0.15, -1.0, -0.35), (0.0, 1.0, 0.1), (0.0, -0.1, 1.0))
_BAR_FRONT = Reach((0.24, 0.36, 0.20), (0.2, -0.2, 1.0), (-0.1, 1.0, -0.3), (0.0, 0.3, 1.0))
_BOX = Reach((0.19, 0.16, 0.34), (0.8, -1.0, -0.2), (-0.05, 0.1, 1.0), (-1.0, 0.1, 0.1))
_PRAY = Reach((0.055, 0.27, 0.26), (1.0, -0.9, 0.0), (-0.1, 1.0, 0.2), (-1.0, 0.0, 0.0))


def _moved(goal: Reach, x: float, y: float, z: float) -> Reach:
    a, b, c = goal.wrist
    return Reach((a + x, b + y, c + z), goal.elbow, goal.fingers, goal.palm)


def _hanging(d: Key) -> None:
    for side in SIDES:
        d.hanging(side, d.between(1.0, 1.3))


def _free(d: Key) -> None:
    for side in SIDES:
        d.side(
            arm(d.between(-1.1, 1.25), d.between(-0.4, 1.5), d.spread(-0.2, 0.5), d.between(0.05, 2.1)), side
        )


def _one_free(d: Key) -> None:
    side, other = d.sides()
    d.side(arm(d.between(-1.2, 1.2), d.between(-0.4, 1.6), d.spread(-0.2, 0.5), d.between(0.05, 2.1)), side)
    d.hand_to(other, _HIP) if d.rng.random() < 0.3 else d.hanging(other, d.between(1.0, 1.3))


def _hips(d: Key) -> None:
    one = d.rng.random() < 0.4
    first, second = d.sides()
    d.hand_to(first, _HIP)
    d.hanging(second) if one else d.hand_to(second, _HIP)


def _pockets(d: Key) -> None:
    for side in SIDES:
        d.hand_to(side, _POCKET, 0.012)


def _crossed(d: Key) -> None:
    for side, goal in zip(d.sides(), _CROSSED, strict=True):
        d.hand_at(side, goal, 0.008)


def _behind(d: Key) -> None:
    for side in SIDES:
        d.hand_to(side, _BEHIND)


def _behind_head(d: Key) -> None:
    for side in SIDES if d.rng.random() < 0.7 else d.sides()[:1]:
        d.hand_at(side, _HEAD, 0.02)


def _face(d: Key) -> None:
    _hanging(d)
    side, _ = d.sides()
    goal = (_CHIN, _EAR, _STRAP)[d.rng.integers(3)]
    d.hand_at(side, goal, 0.015)
    if goal is _EAR:
        d.grip(held=f"phone_{side}")


def _photo(d: Key) -> None:
    for side in SIDES:
        d.hand_at(side, _PHOTO, 0.012)
    d.grip(held="camera")


def _screen(d: Key) -> None:
    _hanging(d)
    side, other = d.sides()
    d.hand_at(side, _SCREEN, 0.02)
    d.look(0.15, 0.35)
    d.grip(held=f"phone_{side}")
    if d.rng.random() < 0.5:
        d.hand_at(other, _moved(_SCREEN, 0.02, -0.02, 0.0), 0.01)


def _pray(d: Key) -> None:
    for side in SIDES:
        d.hand_at(side, _PRAY, 0.004)


def _straps(d: Key) -> None:
    for side in SIDES:
        d.hand_at(side, _STRAP, 0.02)


def _overhead(d: Key) -> None:
    for side in SIDES:
        d.side(arm(-d.between(0.9, 1.45), d.between(-0.1, 0.4), d.spread(0, 0.2), d.between(0.0, 0.6)), side)


def _sideways(d: Key) -> None:
    lower = d.between(-0.4, 0.6)
    for side in SIDES:
        d.side(arm(d.spread(lower, 0.08), d.spread(0.0, 0.15), d.spread(0, 0.3), d.between(0.0, 0.5)), side)


def _forward(d: Key) -> None:
    height, bend = d.spread(1.2, 0.25), d.between(0.0, 0.7)
    for side in SIDES if d.rng.random() < 0.6 else d.sides()[:1]:
        d.side(arm(height, d.between(1.1, 1.9), d.spread(0, 0.2), d.spread(bend, 0.08)), side)


def _guard(d: Key) -> None:
    """Boxing: fists before the chin, or one thrown."""
    for side in SIDES:
        d.hand_at(side, _moved(_CHIN, 0.05, d.between(-0.05, 0.08), d.between(0.02, 0.12)), 0.02)
    if d.rng.random() < 0.4:
        d.side(
            arm(d.spread(1.1, 0.1), d.between(1.3, 1.8), d.spread(0, 0.2), d.between(0.0, 0.3)), d.sides()[0]
        )
    d.grip(*SIDES)


def _swing(d: Key) -> None:
    """Walking and running: arms against the legs, elbows bent."""
    first, second = d.sides()
    ahead, bend = d.between(0.2, 1.0), d.between(0.4, 1.9)
    d.side(arm(d.spread(1.2, 0.08), ahead, d.spread(0.2, 0.15), bend), first)
    d.side(arm(d.spread(1.15, 0.08), -d.between(0.2, 0.8), d.spread(0.1, 0.15), bend), second)


def _throw(d: Key) -> None:
    """One arm back with a ball, the other ahead; or two hands over the head."""
    first, second = d.sides()
    if d.rng.random() < 0.3:
        for side in SIDES:
            d.hand_at(
                side,
                Reach(
                    (0.13, 0.78, d.between(-0.1, 0.15)), (1.0, 0.2, 0.3), (-0.2, 1.0, 0.0), (-1.0, 0.0, 0.2)
                ),
                0.01,
            )
        d.grip(held="ball_both")
        return
    d.side(arm(-d.between(0.0, 0.7), -d.between(0.0, 0.5), -d.between(1.0, 1.7), d.between(0.8, 1.7)), first)
    d.side(arm(d.between(0.2, 1.1), d.between(0.4, 1.6), d.spread(0, 0.2), d.between(0.1, 0.6)), second)
    d.grip(held=f"ball_{first}")


def _on_knees(d: Key) -> None:
    """Both hands on the knees or thighs, or one hand and the other on top of it."""
    at = knees(d)
    both = d.rng.random() < 0.7
    first, second = d.sides()
    above = d.between(0.0, 0.18)  # metres from the knee up the thigh
    for side in (first, second) if both else (first,):
        knee = at[side] * (np.array([-1.0, 1.0, 1.0]) if side == "right" else 1)
        hip = np.array([0.06, -0.086, 0.0])
        along = (hip - knee) / np.linalg.norm(hip - knee)
        spot = knee + along * above + np.array([0.0, 0.10, 0.03])
        d.hand_to(side, Reach(tuple(spot), (1.0, 0.2, -0.6), (-0.2, -0.4, 1.0), (0.0, -1.0, -0.4)))
    if not both:
        d.hand_to(second, _HIP) if d.rng.random() < 0.5 else d.hanging(second)


def _down(d: Key) -> None:
    """Hands to the floor or the shins: arms hang from the bent trunk."""
    tip = float(d.rotvecs[0, 0] + d.rotvecs[[3, 6, 9], 0].sum())
    for side in SIDES:
        d.side(
            arm(d.spread(1.25, 0.08), tip + d.spread(0.1, 0.15), d.spread(0.0, 0.15), d.between(0.0, 0.4)),
            side,
        )


def _bar_back(d: Key) -> None:
    wide = d.between(-0.06, 0.1)
    for side in SIDES:
        d.hand_at(side, _moved(_BAR_BACK, wide, 0.0, 0.0), 0.008)
    d.grip(*SIDES, held="bar_back")


def _bar_overhead(d: Key) -> None:
    wide, high = d.between(0.25, 0.55), d.between(0.72, 0.86)
    for side in SIDES:
        d.hand_at(
            side,
            Reach((wide, high, d.between(-0.05, 0.05)), (1.0, 0.0, 0.2), (0.05, 1.0, -0.2), (0.0, 0.1, 1.0)),
            0.008,
        )
    d.grip(*SIDES, held="bar")


def _bar_front(d: Key) -> None:
    """A bar at the chest, or hanging from straight arms."""
    if d.rng.random() < 0.4:
        for side in SIDES:
            d.hand_at(side, _BAR_FRONT, 0.008)
    else:
        tip, wide = float(d.rotvecs[0, 0] + d.rotvecs[[3, 6, 9], 0].sum()), d.between(1.2, 1.32)
        ahead = tip + d.between(0.25, 0.45)
        for side in SIDES:
            d.side(arm(wide, ahead, 0.0, 0.1), side)
    d.grip(*SIDES, held="bar")


def _dumbbells(d: Key) -> None:
    kind = d.rng.integers(3)
    for side in SIDES:
        if kind == 0:
            d.hanging(side, 1.12)
        elif kind == 1:
            d.hand_at(side, _moved(_BAR_BACK, -0.1, 0.05, 0.06), 0.02)
        else:
            d.side(arm(d.spread(1.2, 0.08), d.between(0.1, 0.4), 0.1, d.between(0.5, 2.2)), side)
    d.grip(*SIDES, held="dumbbells")


def _box(d: Key) -> None:
    low = d.between(-0.12, 0.12)
    for side in SIDES:
        d.hand_at(side, _moved(_BOX, d.between(-0.03, 0.04), low, 0.0), 0.006)
    d.grip(held=("box", "ball_both")[int(d.rng.random() < 0.35)])


def _bag(d: Key) -> None:
    _hanging(d)
    side, _ = d.sides()
    if d.rng.random() < 0.3:
        d.side(arm(1.15, 0.3, 0.2, 1.6), side)
    d.grip(side, held=f"bag_{side}")


def _club(d: Key) -> None:
    """A racket, bat, stick or umbrella in one hand, or in both."""
    side, other = d.sides()
    _one_free(d)
    d.side(arm(d.between(-0.9, 1.0), d.between(0.0, 1.5), d.spread(-0.4, 0.5), d.between(0.2, 1.6)), side)
    d.grip(side, held=f"club_{side}")
    if d.rng.random() < 0.3:
        for which, height in ((side, 0.08), (other, 0.0)):
            d.hand_at(
                which,
                Reach((0.02, 0.12 + height, 0.38), (1.0, -0.8, 0.0), (-1.0, 0.0, 0.5), (-0.3, 0.0, -1.0)),
                0.005,
            )
        d.grip(*SIDES)


ARMS: dict[str, tuple[float, Callable[[Key], None]]] = {
    "hanging": (0.13, _hanging),
    "free": (0.14, _free),
    "one_free": (0.09, _one_free),
    "hips": (0.08, _hips),
    "pockets": (0.03, _pockets),
    "crossed": (0.06, _crossed),
    "behind": (0.02, _behind),
    "behind_head": (0.025, _behind_head),
    "face": (0.04, _face),
    "photo": (0.02, _photo),
    "screen": (0.03, _screen),
    "pray": (0.015, _pray),
    "straps": (0.015, _straps),
    "overhead": (0.03, _overhead),
    "sideways": (0.04, _sideways),
    "forward": (0.035, _forward),
    "guard": (0.025, _guard),
    "swing": (0.04, _swing),
    "throw": (0.03, _throw),
    "on_knees": (0.03, _on_knees),
    "down": (0.01, _down),
    "bar_back": (0.03, _bar_back),
    "bar_overhead": (0.02, _bar_overhead),
    "bar_front": (0.02, _bar_front),
    "dumbbells": (0.025, _dumbbells),
    "box": (0.03, _box),
    "bag": (0.03, _bag),
    "club": (0.025, _club),
}
"""Name -> how often, and what sets the arms."""

# what goes with a stance more often than chance: multiplies the frequency
TOGETHER: dict[str, dict[str, float]] = {
    "lunge": {"bar_back": 5, "bar_overhead": 4, "dumbbells": 4, "bar_front": 3, "on_knees": 3, "hips": 1.5},
    "squat": {"bar_back": 5, "bar_overhead": 3, "dumbbells": 3, "bar_front": 3, "forward": 4},
    "side_lunge": {"on_knees": 10},
    "crouch": {"on_knees": 3, "down": 4},
    "bend_over": {"down": 25, "bar_front": 6, "on_knees": 4},
    "sit": {"on_knees": 8},
    "sit_floor": {"on_knees": 8},
    "kneel": {"on_knees": 6},
    "kneel_one": {"on_knees": 3},
    "run": {"swing": 15, "throw": 2},
    "stride": {"swing": 8, "bag": 2},
    "warrior": {"sideways": 10, "pray": 3},
    "one_leg": {"sideways": 3, "pray": 3},
    "dance": {"free": 4, "overhead": 3},
    "twist": {"free": 2, "behind_head": 3, "throw": 2, "club": 3},
    "step_up": {"on_knees": 5},
    "jump": {"overhead": 4, "free": 3},
}
