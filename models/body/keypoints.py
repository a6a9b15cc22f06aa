"""Keypoints that a picture shows: the 17 of COCO and 6 of the feet, from joints and points of the skin."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel, BodyOutput
from turnaround.models.body.skeleton import JOINT_INDEX, JOINT_NAMES
from turnaround.pipeline.errors import FormatError

KEYPOINT_NAMES: tuple[str, ...] = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
)
"""The order of COCO-WholeBody's first 23 keypoints; left is the person's."""

BODY_NAMES: frozenset[str] = frozenset((*KEYPOINT_NAMES, *JOINT_NAMES[:25]))
"""Keypoints of the body and feet under any of their names; not fingers and face, which the refinement leaves
alone."""

SURFACE_NAMES: tuple[str, ...] = tuple(name for name in KEYPOINT_NAMES if name not in JOINT_INDEX)
"""The keypoints that are vertices of the skin; the others are joints."""

KEYPOINT_MIRROR: tuple[int, ...] = tuple(
    KEYPOINT_NAMES.index(name.replace("left_", "*").replace("right_", "left_").replace("*", "right_"))
    for name in KEYPOINT_NAMES
)
"""Index of each keypoint's left-right counterpart."""

_SMPLX_VERTICES = 10475
# `smplx.vertex_ids["smplx"]`
_SMPLX_IDS = {
    "nose": 9120,
    "left_ear": 6,
    "right_ear": 616,
    "left_big_toe": 5770,
    "left_small_toe": 5780,
    "left_heel": 8846,
    "right_big_toe": 8463,
    "right_small_toe": 8474,
    "right_heel": 8635,
}


def surface_vertices(model: BodyModel) -> list[int]:
    """Vertex ids of SURFACE_NAMES: stored in the free body's file, known for SMPL-X's mesh; ValueError
    otherwise."""
    if model.keypoint_vertices is not None:
        return [int(vertex) for vertex in model.keypoint_vertices]
    if model.num_vertices == _SMPLX_VERTICES:
        return [_SMPLX_IDS[name] for name in SURFACE_NAMES]
    raise FormatError(
        f"no keypoint vertices for a body of {model.num_vertices} vertices: expected the key "
        f"'keypoint_vertices' "
        f"({len(SURFACE_NAMES)},) in its file, or SMPL-X's {_SMPLX_VERTICES} vertices"
    )


def keypoints(output: BodyOutput, model: BodyModel) -> Float[Tensor, "*b 23 3"]:
    """The keypoints of posed bodies, world frame, metres, in the order of KEYPOINT_NAMES."""
    surface = output.vertices[..., surface_vertices(model), :]
    points = [
        output.joints[..., JOINT_INDEX[name], :]
        if name in JOINT_INDEX
        else surface[..., SURFACE_NAMES.index(name), :]
        for name in KEYPOINT_NAMES
    ]
    return torch.stack(points, -2)
