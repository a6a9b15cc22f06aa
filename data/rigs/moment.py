"""What a reader hands over for one moment of a rig: cameras, pictures, masks, and perhaps the body."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64

from turnaround.data.rigs.distortion import Lens
from turnaround.pipeline.errors import TurnaroundError

PICTURES = (".jpg", ".jpeg", ".png")


class RigError(TurnaroundError, ValueError):
    """One moment, or one person of a folder, cannot be used: names the file and the remedy."""

    fault = "picture"


@dataclass(frozen=True)
class RigCamera:
    """A real camera as it was calibrated. OpenCV axes, pixel centres at +0.5, whatever the file had."""

    name: str
    K: Float64[np.ndarray, "3 3"]  # pixels
    T_camera_world: Float64[np.ndarray, "4 4"]  # metres
    lens: Lens
    size: tuple[int, int] | None = None  # width and height of the calibrated pictures, where they are told

    @property
    def centre(self) -> Float64[np.ndarray, "3"]:
        """Where it stands in the world, metres."""
        return -self.T_camera_world[:3, :3].T @ self.T_camera_world[:3, 3]


@dataclass(frozen=True)
class RigView:
    """One camera's picture of a moment."""

    camera: RigCamera
    picture: Path
    mask: Path | None  # None: the picture's own alpha, or our network
    mask_is: Literal["soft", "labels"] = "soft"  # labels: whatever is not 0 is the person


@dataclass(frozen=True)
class KnownBody:
    """Where a moment's body is told, in the world of the cameras."""

    kind: Literal["smplx", "humman"]
    file: Path  # its parameters
    name: str = ""  # of HuMMan: SEQUENCE_FRAME


@dataclass(frozen=True)
class Moment:
    """All pictures of one person at one time."""

    person: str
    frame: str
    views: tuple[RigView, ...]
    body: KnownBody | None = None
    # against gravity, world; None: pictures stay turned as they are
    up: tuple[float, float, float] | None = None
    fault: str | None = None  # why it cannot be used, as far as the files' names tell

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.person}_{self.frame}"
