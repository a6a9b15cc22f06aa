"""The mask that stage 01 finds, against the true one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.flows.evaluation import suite as people
from turnaround.flows.evaluation.composites import Composite, composites
from turnaround.models.matting.cutout import cut_square, frame_square
from turnaround.models.metrics.image import iou
from turnaround.pipeline.formats.preview import overlay
from turnaround.pipeline.photos.photo import decode
from turnaround.pipeline.stage import Stage, StageError
from turnaround.pipeline.values.crop import networks_copy

log = logging.getLogger(__name__)
LOW = 0.1  # share of the pictures whose best value is `iou_low`


def matting_errors(found: Float[Tensor, "h w"], truth: Float[Tensor, "h w"]) -> dict[str, float]:
    """Intersection over union of the masks cut at one half, and the mean absolute difference of the soft
    ones."""
    return {"iou": iou(found, truth).item(), "mae": (found - truth).abs().mean().item()}


def stage_mask(prepare: Stage[Any], photo: bytes, device: torch.device) -> Float[Tensor, "s s"] | None:
    """The mask that `prepare` makes of a photo, in the photo's whole frame; None where it finds nobody, or no
    clear one.

    The stage must be set to framing=frame.
    """
    try:
        made: Any = prepare.run(device=device, image=photo, mask=None)
        return networks_copy(made.view).mask.cpu()
    except StageError as error:
        log.info("matting: %s", error)
        return None


def true_mask(composite: Composite, size: int) -> Float[Tensor, "s s"]:
    """The true mask on the grid of `stage_mask`."""
    nothing = np.zeros((*composite.mask.shape, 3), np.float32)
    return cut_square(nothing, composite.mask, frame_square(composite.mask.shape), size, straight=True)[1]


def matting(prepare: Stage[Any], person: people.TestPerson, device: torch.device) -> list[dict[str, Any]]:
    """Errors of the stage over each kind of background; a photo that the stage refuses counts as an empty
    mask."""
    rows: list[dict[str, Any]] = []
    for composite in composites(person):
        found = stage_mask(prepare, composite.jpeg, device)
        truth = true_mask(composite, found.shape[0] if found is not None else 512)
        errors = matting_errors(torch.zeros_like(truth) if found is None else found, truth)
        rows.append({"background": composite.kind, "refused": found is None, **errors})
    return rows


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Means over pictures, the lowest tenth's bound, and the mean by background; None without pictures."""
    if not rows:
        return None
    overlaps = np.array([row["iou"] for row in rows])
    kinds = dict.fromkeys(row["background"] for row in rows)
    by_kind = {
        kind: float(np.mean([row["iou"] for row in rows if row["background"] == kind])) for kind in kinds
    }
    return {
        "iou": float(overlaps.mean()),
        "iou_low": float(np.quantile(overlaps, LOW)),
        "mae": float(np.mean([row["mae"] for row in rows])),
        "count": len(rows),
        "refused": sum(bool(row["refused"]) for row in rows),
        "iou_by_background": by_kind,
    }


def sheet(
    prepare: Stage[Any], person: people.TestPerson, device: torch.device
) -> list[Float[Tensor, "_ _ 3"]]:
    """Each composite with the found mask in red."""
    pictures: list[Tensor] = []
    for composite in composites(person):
        pixels = decode(composite.jpeg, "composite")[0]
        found = stage_mask(prepare, composite.jpeg, device)
        size = found.shape[0] if found is not None else 512
        square = cut_square(pixels, None, frame_square(pixels.shape), size, straight=True)[0]
        pictures.append(square if found is None else overlay(square, found))
    return pictures
