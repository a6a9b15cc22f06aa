"""From the file beside the photo to a body in the view: read, compared with the person, turned and placed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.config import GivenConfig
from turnaround.models.estimator.given.agreement import Distance, Shown, shown
from turnaround.models.estimator.given.body_file import Layout, UnknownBody, fields_of, read_body, upright
from turnaround.models.estimator.given.conventions import Reading, best_reading, mirrored
from turnaround.models.estimator.given.hands import relative_to_mean, with_mean_hands
from turnaround.models.estimator.given.placing import (
    box_overlap,
    mask_box,
    place_body,
    projected_box,
    turn_upright,
)
from turnaround.pipeline.values.types import Body, View

log = logging.getLogger(__name__)
COVERS = 0.6  # overlap of boxes from which a file's own position is taken
MOST_PEOPLE = 20  # of a file, that are tried where the chosen one does not fit


class Mismatch(ValueError):
    """The body of the file is not the person's in the view."""


def given_body(
    data: bytes, model: BodyModel, view: View, landmarks: Mapping[str, Any], choice: GivenConfig
) -> Body:
    """The body of a sidecar file, as the view shows it.

    Args:
        data: the file.
        landmarks: as `prepare` writes them, in pixels of the view.

    Raises:
        UnknownBody: it cannot be read.
        Mismatch: it is another one's, with the distance and the remedy.
    """
    body, placed = read_body(data, choice.person)
    if choice.axes == "opengl" or (choice.axes == "auto" and not upright(body)):
        log.warning("the given body is turned by 180 degrees about x (its axes point y up)")
        body = turn_upright(body)
    if not choice.trust:
        reading = _compared(Reading(body, ""), data, shown(view, landmarks), model, choice)
        body, placed = reading.body, placed and not reading.turned
    if choice.hands == "mean" or (
        choice.hands == "auto" and relative_to_mean(fields_of(data, choice.person))
    ):
        body = with_mean_hands(body, model)
    return _placed(body, placed, model, view, choice)


def _compared(
    as_written: Reading, data: bytes, seen: Shown, model: BodyModel, choice: GivenConfig
) -> Reading:
    """How the file is meant; Mismatch where it means somebody else."""

    def read(layout: Layout) -> Body:
        body = read_body(data, choice.person, layout)[0]
        return turn_upright(body) if choice.axes == "opengl" else body

    reading, distance = best_reading(as_written, read, seen, model, axes=choice.axes == "auto")
    if distance.contradicts:
        believed = "give the body of this photo, remove the file to use the photo's own, or believe it with"
        raise Mismatch(
            f"the body file beside the photo is not of the person in it: {distance}"
            f"{_hint(reading.body, distance, data, seen, model, choice)}; {believed} "
            "--set stages.estimate.given.trust=true"
        )
    if reading.said:
        said = f"{reading.said}; read so, {distance}"
        log.warning(
            "the given body is not written as usual: %s (as it is: --set stages.estimate.given.trust=true)",
            said,
        )
    return reading


def _hint(
    body: Body, distance: Distance, data: bytes, seen: Shown, model: BodyModel, choice: GivenConfig
) -> str:
    """What would fit: the mirror image, or somebody else in the file."""
    if distance.turned is not None and seen.distance(model, mirrored(body)).fits:
        return "; its mirror image fits, so left and right are exchanged, or it is of the mirrored photo"
    for person in range(MOST_PEOPLE):
        try:
            other = read_body(data, person)[0]
        except UnknownBody:
            break
        other = other if upright(other) else turn_upright(other)
        if person != choice.person and seen.distance(model, other).fits:
            return f"; person {person} of the file fits: --set stages.estimate.given.person={person}"
    return ""


def _placed(body: Body, placed: bool, model: BodyModel, view: View, choice: GivenConfig) -> Body:
    """The body where the file says, or where the mask is."""
    if choice.placement == "file":
        return body
    overlap = box_overlap(projected_box(model, body, view), mask_box(view)) if placed else 0.0
    if choice.placement == "auto" and overlap > COVERS:
        return body
    log.warning("the given body is placed by the mask (its own position covers %.0f %% of it)", 100 * overlap)
    return place_body(model, body, view)
