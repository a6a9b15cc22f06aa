"""2D keypoints in the body's own definition, from landmarks: what the overlay draws and the refinement pulls
to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.keypoints import KEYPOINT_NAMES, keypoints
from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.lifter.landmark_points import (
    KNUCKLES,
    POINT_NAMES,
    body_points,
    observed_points,
)
from turnaround.models.estimator.lifter.network import Lifted, Lifter
from turnaround.models.estimator.lifter.sighting import Sighting
from turnaround.models.landmarks.wholebody import FACE_NAMES, hand_names
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import Body, Camera

_SAME = {"left_big_toe": "left_foot_index", "right_big_toe": "right_foot_index"}
_UNKNOWN = ("left_small_toe", "right_small_toe")  # no landmark tells them


def keypoint_table(
    lifter: Lifter,
    fitted: Lifted,
    seen: Sighting,
    body: Body,
    model: BodyModel,
    camera: Camera,
    landmarks: Mapping[str, Any],
) -> dict[str, list[float]]:
    """Name -> x, y in pixels of the view, certainty: COCO-WholeBody's body, feet, hands and face, as far as
    they are seen.

    A landmark and the body's joint of that name are not the same point (hips differ most): each landmark of
    the body is moved by what lies between them on the fitted body. Points of hands and face are the networks'
    own.
    """
    points = body_points(fitted.joints, fitted.rotations, lifter.offsets)[0].cpu()
    theirs, _ = project(points, camera)
    own, _ = project(keypoints(model(body), model), camera)
    observed, certainty = (value[0].cpu() for value in observed_points(seen))
    table: dict[str, list[float]] = {}
    for k, name in enumerate(KEYPOINT_NAMES):
        if name in _UNKNOWN:
            continue
        source = _source(name, certainty)
        if float(certainty[source]) == 0:
            continue
        place = (observed[source] + 1) / 2 * camera.width + own[k] - theirs[source]
        table[name] = _row(place, certainty[source])
    return table | _hands(landmarks) | _face(landmarks)


def _source(name: str, certainty: Float[Tensor, " n"]) -> int:
    """The landmark for a keypoint; a wrist's is the hand network's where the hand is seen, which is twice as
    exact."""
    side, _, part = name.partition("_")
    if part == "wrist":
        hand = POINT_NAMES.index(f"{side}_hand-{KNUCKLES[0]}")
        if float(certainty[hand]) > 0:
            return hand
    return POINT_NAMES.index(_SAME.get(name, name))


def _hands(landmarks: Mapping[str, Any]) -> dict[str, list[float]]:
    table: dict[str, list[float]] = {}
    for side, hand in landmarks["hands"].items():
        if hand is not None:
            rows = zip(hand_names(side), hand["xy"], strict=True)
            table |= {name: [*xy, hand["flag"]] for name, xy in rows}
    return table


def _face(landmarks: Mapping[str, Any]) -> dict[str, list[float]]:
    face = landmarks["face"]
    if face is None:
        return {}
    return {name: [*point[:2], face["flag"]] for name, point in zip(FACE_NAMES, face["points"], strict=True)}


def _row(place: Float[Tensor, "2"], certainty: Float[Tensor, ""]) -> list[float]:
    return [round(float(value), 3) for value in (*place, certainty)]
