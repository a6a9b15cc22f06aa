"""What a given body surely means where it is written otherwise than it seems: degrees, rows, other axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import MIRROR_JOINT
from turnaround.models.estimator.given.agreement import Distance, Shown
from turnaround.models.estimator.given.body_file import Layout
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body

POSES = (
    "global_orient",
    "body_pose",
    "left_hand_pose",
    "right_hand_pose",
    "jaw_pose",
    "leye_pose",
    "reye_pose",
)
TURN = 2 * math.pi  # radians: nobody writes more in radians
HALF = 0.5  # of the distance as written, that another reading must have at most
LAYOUTS: tuple[tuple[Layout, str], ...] = (
    ("columns", ""),
    ("rows", "its rotations are written by rows"),
    ("pairs", "its 6D rotations are written in pairs"),
)
_X, _Y, _Z = torch.eye(3)
AXES: tuple[tuple[str, Float[Tensor, "3"]], ...] = (
    ("its axes point y up", math.pi * _X),
    ("its axes point z up", math.pi / 2 * _X),
    ("its axes point z up", -math.pi / 2 * _X),
    ("it faces away from the camera", math.pi * _Y),
    ("it is turned by 180 degrees in the picture", math.pi * _Z),
    ("it is turned by 90 degrees in the picture", math.pi / 2 * _Z),
    ("it is turned by 90 degrees in the picture", -math.pi / 2 * _Z),
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """One way of understanding a body file."""

    body: Body
    said: str  # what is unusual about it; "" as it is written
    turned: bool = False  # its axes are others: the file's position means nothing

    def but(self, body: Body, said: str, *, turned: bool = False) -> Reading:
        """The same, and something else that is unusual."""
        return Reading(body, ", ".join(part for part in (self.said, said) if part), self.turned or turned)


def best_reading(
    as_written: Reading, read: Callable[[Layout], Body], shown: Shown, model: BodyModel, *, axes: bool
) -> tuple[Reading, Distance]:
    """Find how a body file is meant, and how far that is from what the view shows.

    Another reading than the plain one is taken only where that is poor, and it fits at half the distance.

    Args:
        read: reads the file by another layout.
        axes: whether its axes may be others than they seem.
    """
    distance = shown.distance(model, as_written.body, outline=True)
    impossible = largest_angle(as_written.body) > 2 * TURN
    if not distance.poor and not impossible:
        return as_written, distance
    # a mask does not tell the front from the back
    others = list(_others(as_written, read, axes=axes, sides=shown.points is not None))
    found = [(reading, shown.distance(model, reading.body)) for reading in others]
    best = min(found, key=lambda pair: pair[1].apart, default=(as_written, distance))
    if best[1].fits and best[1].apart <= HALF * distance.apart:
        return best
    if impossible:
        distance = shown.distance(model, best[0].body, outline=True)
        return best[0], distance
    return as_written, distance


def _others(
    as_written: Reading, read: Callable[[Layout], Body], *, axes: bool, sides: bool
) -> Iterator[Reading]:
    """The other readings, those with the fewest changes first."""
    plain: list[Reading] = []
    for layout, said in LAYOUTS:
        body = read(layout)
        if layout == "columns" or not _same(body, plain[0].body):
            plain.append(Reading(body, said))
    plain += [
        reading.but(in_radians(reading.body), "its angles are degrees")
        for reading in plain
        if largest_angle(reading.body) > math.pi + 0.1
    ]
    yield from plain
    if not axes:
        return
    for said, turn in AXES:
        if sides or "away" not in said:
            yield from (reading.but(turned(reading.body, turn), said, turned=True) for reading in plain)
    if sides:
        for said, turn in AXES[:3]:
            facing = [
                reading.but(turned(turned(reading.body, turn), math.pi * _Y), said, turned=True)
                for reading in plain
            ]
            yield from facing


def largest_angle(body: Body) -> float:
    """The largest angle of a joint, in the unit of the numbers."""
    return max(float(getattr(body, name).norm(dim=-1).max()) for name in POSES)


def in_radians(body: Body) -> Body:
    """The body of a file in degrees."""
    return replace(body, **{name: torch.deg2rad(getattr(body, name)) for name in POSES})


def turned(body: Body, turn: Float[Tensor, "3"]) -> Body:
    """The body turned as a whole by an axis-angle, and moved to where the camera looks."""
    orient = axis_angle_to_matrix(turn) @ axis_angle_to_matrix(body.global_orient)
    return replace(body, global_orient=matrix_to_axis_angle(orient), transl=torch.zeros(3))


def mirrored(body: Body) -> Body:
    """The body of the mirror image."""
    flip = torch.tensor([1.0, -1, -1])
    body_pose = (body.body_pose * flip)[[joint - 1 for joint in MIRROR_JOINT[1:22]]]
    return replace(
        body,
        global_orient=body.global_orient * flip,
        body_pose=body_pose,
        transl=body.transl * torch.tensor([-1.0, 1, 1]),
    )


def _same(a: Body, b: Body) -> bool:
    return all(
        torch.allclose(getattr(a, field.name), getattr(b, field.name), atol=1e-5) for field in fields(Body)
    )
