"""Pictures with people for the tests of the landmarks, and the golden file of what is found in them.

`PYTHONPATH=. python tests/support/landmark_pictures.py` writes tests/golden/landmarks.json anew.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from turnaround.models.landmarks import files
from turnaround.models.landmarks.everybody import PersonLandmarks, complete, find_poses
from turnaround.models.landmarks.pose import Pose
from turnaround.models.landmarks.record import as_record
from turnaround.models.landmarks.region import Picture

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/landmarks.json"
NAMES = ("astronaut", "person_40006")

needs_networks = pytest.mark.skipif(
    not files.available(), reason="the landmark networks are not in the cache; `turnaround fetch` brings them"
)


@lru_cache(maxsize=8)
def pixels(name: str) -> np.ndarray:
    """Load a picture, uint8 (h, w, 3): the astronaut (512 px, a half figure) or one of docs/demo."""
    if name == "astronaut":
        return skimage.data.astronaut()
    return np.asarray(Image.open(ROOT / f"docs/demo/{name}.jpg").convert("RGB"))


def resized(image: np.ndarray, height: int) -> np.ndarray:
    """Scale a picture to a height."""
    size = (round(image.shape[1] * height / image.shape[0]), height)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def noise(height: int, width: int) -> np.ndarray:
    """Draw a colour for every pixel, uint8 (height, width, 3); the same at every call."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def canvas(height: int, width: int) -> np.ndarray:
    """Paint a soft background (height, width, 3) on which people can be pasted."""
    spots = np.random.default_rng(0).integers(90, 150, (8, 8, 3)).astype(np.uint8)
    return np.array(Image.fromarray(spots).resize((width, height), Image.Resampling.BICUBIC))


def paste(onto: np.ndarray, image: np.ndarray, x: int, y: int) -> None:
    """Put a picture's upper left corner at (x, y)."""
    onto[y : y + image.shape[0], x : x + image.shape[1]] = image


def shifted(points: np.ndarray, x: float, y: float) -> np.ndarray:
    """Move points (n, 2)."""
    return points + np.array([x, y])


def only(image: np.ndarray) -> Pose:
    """Find the one person of a picture."""
    poses = find_poses(Picture(image))
    assert len(poses) == 1, [pose.region for pose in poses]
    return poses[0]


def difference(a: np.ndarray, b: np.ndarray, pose: Pose) -> float:
    """Average the distance of 33 points over those that `pose` sees, in % of its circle's diameter."""
    seen = pose.visibility > 0.5
    diameter = 2 * np.hypot(*(pose.circle[1] - pose.circle[0]))
    return float(100 * np.hypot(*(a - b).T)[seen].mean() / diameter)


@lru_cache(maxsize=8)
def found(name: str) -> PersonLandmarks:
    """Find body, hands and face in a picture; once a process."""
    picture = Picture(pixels(name))
    return complete(picture, find_poses(picture)[0])


def record(name: str) -> dict[str, Any]:
    """Write what is found as plain values."""
    return as_record(found(name), (0.0, 0.0), 1.0, "heavy")


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: record(name) for name in NAMES}, separators=(",", ":")) + "\n")
