"""Placing a body of unknown position before the canonical camera so that it covers the person's mask."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.pipeline.values.camera import DISTANCE, project
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body, View


def projected_box(model: BodyModel, body: Body, view: View) -> Float[Tensor, " 4"]:
    """Left, top, right, bottom of the body in the view, pixels."""
    pixels, _ = project(model(body).vertices, view.camera)
    return torch.cat([pixels.amin(0), pixels.amax(0)])


def mask_box(view: View) -> Float[Tensor, " 4"]:
    """The same of the mask."""
    rows, columns = (view.mask > 0.5).any(1).nonzero()[:, 0], (view.mask > 0.5).any(0).nonzero()[:, 0]
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()


def box_overlap(a: Float[Tensor, " 4"], b: Float[Tensor, " 4"]) -> float:
    """Intersection over union."""
    size = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0)
    both = size.prod()
    return float(both / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both))


def place_body(model: BodyModel, body: Body, view: View, steps: int = 12) -> Body:
    """The body moved so that its box in the view has the mask's centre and size; the pose stays."""
    wanted, focal = mask_box(view), float(view.camera.K[0, 0])
    joints = model(body).joints
    transl = body.transl - joints[0]  # starts with the pelvis at the origin
    for _ in range(steps):
        found = projected_box(model, dataclasses.replace(body, transl=transl), view)
        depth = DISTANCE + float(transl[2] + joints[0, 2] - body.transl[2])
        ratio = float((found[2:] - found[:2]).norm() / (wanted[2:] - wanted[:2]).norm())
        shift = (wanted[:2] + wanted[2:] - found[:2] - found[2:]) / 2 * depth / focal
        transl = transl + torch.cat([shift, torch.tensor([depth * (min(max(ratio, 0.5), 2.0) - 1)])])
    return dataclasses.replace(body, transl=transl)


def turn_upright(body: Body) -> Body:
    """The body turned by pi about the x axis: from OpenGL's axes (y up) to OpenCV's."""
    turn = torch.diag(torch.tensor([1.0, -1, -1]))
    return dataclasses.replace(
        body, global_orient=matrix_to_axis_angle(turn @ axis_angle_to_matrix(body.global_orient))
    )
