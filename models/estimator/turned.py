"""Whether a photo is upside down or on its side, by the picture's network alone: it knows upright people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.estimate import COVER_SIZE
from turnaround.models.mesh.silhouette import body_masks
from turnaround.models.metrics.image import iou
from turnaround.models.refinement.evidence import resize_mask
from turnaround.pipeline.values.camera import resize
from turnaround.pipeline.values.types import Body, Camera, View

DOUBTFUL = 0.75  # IoU of a body with the mask, below which other sides are tried
SURE, MORE = 0.7, 0.2  # IoU of the body on the turned view, and by how much it must be the better one


def better_turned(
    estimate: Callable[[View], Body], view: View, body: Body, model: BodyModel
) -> tuple[int, float, float] | None:
    """Find the quarter turns counter-clockwise on which an estimate fits far better than `body` on the view.

    Args:
        estimate: the body of a view by its picture alone.

    Returns:
        the turns, and the IoU with the mask without and with them; None where the photo seems to be upright.
    """
    before = covers(body, view, model)
    if before >= DOUBTFUL:
        return None
    found = []
    for quarters in (2, 1, 3):
        turned = quarter_turned(view, quarters)
        found.append((covers(estimate(turned), turned, model), quarters))
    best, quarters = max(found, key=lambda pair: pair[0])
    return (quarters, before, best) if best >= max(SURE, before + MORE) else None


def quarter_turned(view: View, quarters: int) -> View:
    """Turn a view counter-clockwise; its camera, which the estimate is for, stays."""
    image, mask = (torch.rot90(value, quarters, (0, 1)).contiguous() for value in (view.image, view.mask))
    return View(image, mask, view.camera)


def covers(body: Body, view: View, model: BodyModel) -> float:
    """Measure the IoU of a body's outline and a view's mask."""
    camera = resize(view.camera, COVER_SIZE)
    one = Camera(camera.K[None], camera.T_camera_world[None], COVER_SIZE, COVER_SIZE)
    drawn = body_masks(model(body).vertices, model.skin_faces.numpy().astype(np.int32), one)
    return float(iou(drawn, resize_mask(view.mask, COVER_SIZE)[None], half_counts=True))
