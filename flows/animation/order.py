"""What is ordered of `animate`: checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from turnaround.flows.animation.edits import Edits, rgb
from turnaround.pipeline.errors import CallError

if TYPE_CHECKING:
    from turnaround.pipeline.values.motion import Motion

FORMATS = ("mp4", "html", "glb", "ply", "npz")
CAMERAS = ("front", "orbit", "follow")
STILL = {"orbit": 8.0, "front": 2.0, "follow": 2.0}  # seconds of a film of one pose
SIZES = (16, 4096)  # pixels
_OF_FILMS = {"camera": "front", "size": 512, "background": "white", "floor": True}
_OF_SCENES = ("mp4", "glb")  # that hold several persons
Step = Callable[[int, int], object]  # frames done, frames in all


@dataclass(frozen=True)
class Order:
    """What to make of subjects and a motion."""

    motion: str | Path | Motion
    to: str = "mp4"
    camera: str = "front"
    out: Path | None = None  # a file, or a folder for NAME-MOTION.<to>; here by default
    fps: float = 25.0
    seconds: float | None = None
    size: int = 512  # pixels of the film's height
    background: str = "white"
    floor: bool = True  # soft shadows on the ground
    together: bool = False  # all subjects in one scene
    frame: int | None = None  # of ply: this one alone
    edits: Edits = field(default_factory=Edits)

    def __post_init__(self) -> None:
        """CallError for what does not go together."""
        if self.to not in FORMATS:
            raise CallError(f"--to {self.to}: expected one of {', '.join(FORMATS)}")
        if self.camera not in CAMERAS:
            raise CallError(f"--camera {self.camera}: expected one of {', '.join(CAMERAS)}")
        low, high = SIZES
        if not low <= self.size <= high or self.size % 2:
            raise CallError(f"--size {self.size}: expected an even number of pixels from {low} to {high}")
        rgb(self.background)
        for name, default in _OF_FILMS.items():
            if self.to != "mp4" and getattr(self, name) != default:
                raise CallError(f"--{name} goes with --to mp4; --to {self.to} does not know it")
        if self.together and self.to not in _OF_SCENES:
            raise CallError(
                f"--together goes with --to {' or '.join(_OF_SCENES)}; --to {self.to} holds one person"
            )
        if self.frame is not None and self.to != "ply":
            raise CallError(f"--frame goes with --to ply; --to {self.to} writes all frames")
        if self.edits.height is not None and self.to in ("npz", "html"):
            raise CallError(
                f"--height scales what is seen; --to {self.to} does not know it, --betas changes the shape"
            )
