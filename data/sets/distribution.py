"""Narrower distributions of people than the whole generator's: for measuring what a shift costs a network.

The gap of GST (Prospero et al. 2024, Table 2) is between what an estimator was trained on and what it meets.
Here both sides are made: one of everyday poses in one half of the wardrobe seen by a level camera, another of
unusual poses in the other half seen from above and below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from turnaround.data.clothes.closet import Closet
from turnaround.data.clothes.wardrobe import Half, Split
from turnaround.data.poses.variety import EVERYDAY
from turnaround.pipeline.errors import CallError

Poses: TypeAlias = Literal["all", "everyday", "unusual"]
_EVERYDAY_SHARE: dict[Poses, float] = {"all": EVERYDAY, "everyday": 1.0, "unusual": 0.0}


@dataclass(frozen=True)
class Distribution:
    """Which of the generator's people; the default is all of them, to the same bytes as without one."""

    poses: Poses = "all"  # of data/poses: those of everyday.py, or the stances of variety.py, or both
    wardrobe: Half = "all"
    # singles: a level camera's lens and framing, nothing cut off, empty hands
    level: bool = False
    pitch: float = 0.0  # degrees: each camera of a views set is raised or lowered by up to this much

    def __post_init__(self) -> None:
        if not 0 <= self.pitch < 90:
            raise CallError(f"pitch {self.pitch}: expected 0 to 89 degrees")

    @property
    def everyday(self) -> float:
        """Share of poses that come from data/poses/everyday.py."""
        return _EVERYDAY_SHARE[self.poses]

    def closet(self, split: Split) -> Closet:
        """The clothes of this distribution's people."""
        return Closet.open(split, self.wardrobe)


EVERYTHING = Distribution()
