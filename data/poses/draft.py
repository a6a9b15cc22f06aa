"""A pose while it is put together: trunk, head, arms and legs with their natural scatter."""

from __future__ import annotations

import numpy as np

from turnaround.data.poses.limbs import Limb, Reach, arm, head, leg, mirror, reach, trunk
from turnaround.models.body.skeleton import JOINT_INDEX


class Draft:
    """Axis-angle rotations (55,3) in the making; all scatter comes from `rng`."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.rotvecs = np.zeros((55, 3))
        self.torso(0.08)
        self.look(0.2)

    def spread(self, centre: float, sigma: float) -> float:
        """A normal number, cut off at two sigma."""
        return float(np.clip(self.rng.normal(centre, sigma), centre - 2 * sigma, centre + 2 * sigma))

    def between(self, low: float, high: float) -> float:
        """A uniform number."""
        return float(self.rng.uniform(low, high))

    def _put(self, limb: Limb, prefix: str = "") -> None:
        for name, rotvec in limb.items():
            self.rotvecs[JOINT_INDEX[prefix + name]] = rotvec

    def side(self, limb: Limb, side: str) -> None:
        """Set a limb, given for the left, on a side."""
        self._put(limb if side == "left" else mirror(limb), f"{side}_")

    def torso(self, sigma: float, forward: float = 0.03, turn: float = 0.0, side: float = 0.0) -> None:
        """Bend the trunk, each angle with scatter."""
        self._put(
            trunk(self.spread(forward, sigma), self.spread(turn, sigma), self.spread(side, 0.6 * sigma))
        )

    def look(self, sigma: float, forward: float = 0.0) -> None:
        """Turn the head at random."""
        self._put(
            head(self.spread(forward, 0.6 * sigma), self.spread(0, 1.3 * sigma), self.spread(0, 0.4 * sigma))
        )

    def hanging(self, side: str, lower: float = 1.22, sigma: float = 0.08, bend: float = 0.25) -> None:
        """An arm that hangs, more or less."""
        limb = arm(
            self.spread(lower, sigma),
            self.spread(0.02, 0.12),
            self.spread(0.05, 0.2),
            abs(self.spread(bend, 0.15)),
        )
        limb["wrist"] = self.rng.normal(0, 0.12, 3)
        self.side(limb, side)

    def hand_at(self, side: str, goal: Reach, sigma: float = 0.02) -> None:
        """A hand that goes somewhere."""
        self.side(reach(goal, self.rng.normal(0, sigma, 3)), side)

    def leg(
        self,
        side: str,
        flex: float,
        spread: float,
        turn: float,
        bend: float,
        sigma: float = 0.05,
        point: float = 0.0,
    ) -> None:
        """A leg by angles, each with scatter."""
        flex, spread, turn = (self.spread(value, sigma) for value in (flex, spread, turn))
        self.side(
            leg(flex, spread, turn, max(0.0, self.spread(bend, sigma)), self.spread(point, 0.5 * sigma)), side
        )

    def stand(self, apart: float = 0.07) -> None:
        """Both legs straight, about `apart` radians open."""
        wide, turn = abs(self.spread(apart, 0.06)), abs(self.spread(0.12, 0.12))
        for side in ("left", "right"):
            self.leg(side, 0.0, wide, turn, 0.04, sigma=0.04)

    def sides(self) -> tuple[str, str]:
        """Left and right in random order."""
        return ("left", "right") if self.rng.random() < 0.5 else ("right", "left")
