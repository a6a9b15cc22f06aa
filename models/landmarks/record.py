"""Landmarks as plain values in the pixels of another picture: what `prepare` writes and others read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from turnaround.models.landmarks.everybody import PersonLandmarks
from turnaround.models.landmarks.face import Face
from turnaround.models.landmarks.hands import Hand
from turnaround.models.landmarks.names import FACE_68
from turnaround.models.landmarks.pose import Pose, Variant

if TYPE_CHECKING:
    from turnaround.pipeline.values.types import Camera

SOURCE = "blazepose"


def absent(reason: str) -> dict[str, Any]:
    """Make the record of a person on whom no landmark network was run, with the reason."""
    return {"source": "none", "reason": reason}


def as_record(
    person: PersonLandmarks,
    corner: tuple[float, float],
    scale: float,
    variant: Variant,
) -> dict[str, Any]:
    """Write one person's landmarks in a picture whose upper left corner lies at `corner` of the photo.

    Args:
        corner: x and y, pixels of the photo.
        scale: pixels of that picture for one of the photo.

    Returns:
        {"source", "network", "flag", "pose" [33][x, y, z, visibility, presence],
        "world" [33][x, y, z] in metres, "mirrored" {"pose", "world"},
        "hands" {"left", "right": {"xy", "world", "flag"} or None},
        "face" {"points" [68][x, y, z], "flag"} or None}
    """
    left, right = (None if hand is None else _hand(hand, corner, scale) for hand in person.hands)
    return {
        "source": SOURCE,
        "network": f"pose_landmark_{variant}",
        "flag": round(person.pose.flag, 4),
        **_pose(person.pose, corner, scale),
        "mirrored": _pose(person.mirrored, corner, scale),
        "hands": {"left": left, "right": right},
        "face": None if person.face is None else _face(person.face, corner, scale),
    }


def moved(record: Mapping[str, Any], source: Camera, target: Camera) -> dict[str, Any]:
    """Bring a record from the pixels of one camera to those of another at the same place.

    x and y get the cameras' scale and shift, z the scale. ValueError where they do not stand at one place.
    """
    if record["source"] == "none":
        return dict(record)

    def within(part: Mapping[str, Any] | None, name: str) -> dict[str, Any] | None:
        return None if part is None else {**part, name: _points_at(part[name], source, target)}

    return {
        **record,
        "pose": _points_at(record["pose"], source, target),
        "mirrored": within(record["mirrored"], "pose"),
        "hands": {side: within(hand, "xy") for side, hand in record["hands"].items()},
        "face": within(record["face"], "points"),
    }


Keypoints = Mapping[str, Sequence[float]]


def keypoints_at(keypoints: Keypoints, source: Camera, target: Camera) -> dict[str, list[float]]:
    """Bring named keypoints (x, y, confidence) from the pixels of one camera to those of another.

    ValueError where the cameras do not stand at one place.
    """
    rows = _points_at([row[:2] for row in keypoints.values()], source, target)
    return {name: [*point, *row[2:]] for (name, row), point in zip(keypoints.items(), rows, strict=True)}


def _points_at(points: Sequence[Sequence[float]], source: Camera, target: Camera) -> list[list[float]]:
    """Rows of x, y, perhaps z, and what stays as it is."""
    from turnaround.pipeline.values.crop import (
        between,  # needs torch, which the rest of this file does without
    )

    scale, shift = between(source, target)
    table = np.array(points, float).reshape(len(points), -1)
    table[:, :2] = table[:, :2] * scale + shift
    table[:, 2:3] *= scale[0]
    return _rounded(table, 4)


def _pose(pose: Pose, corner: tuple[float, float], scale: float) -> dict[str, Any]:
    certainty = np.stack([pose.visibility, pose.presence], 1)
    table = np.concatenate([(pose.xy - corner) * scale, pose.z[:, None] * scale, certainty], 1)
    return {"pose": _rounded(table, 3), "world": _rounded(pose.world, 4)}


def _hand(hand: Hand, corner: tuple[float, float], scale: float) -> dict[str, Any]:
    xy = (hand.xy - corner) * scale
    return {"xy": _rounded(xy, 3), "world": _rounded(hand.world, 5), "flag": round(hand.flag, 4)}


def _face(face: Face, corner: tuple[float, float], scale: float) -> dict[str, Any]:
    points = face.points[list(FACE_68)]
    moved = np.concatenate([(points[:, :2] - corner) * scale, points[:, 2:] * scale], 1)
    return {"points": _rounded(moved, 3), "flag": round(face.flag, 4)}


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    return np.round(values, digits).tolist()
