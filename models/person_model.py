"""The network that makes a person's Gaussians from pictures, by its weight: HGM or GST."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import torch

from turnaround.models import zoo
from turnaround.models.hgm.weights import EMBEDDED_BODY, load_hgm
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.types import Body, Gaussians, View

GaussianModel: TypeAlias = Callable[[list[View], Body | None], Gaussians]


def gaussian_model(weights: str, body: str, device: torch.device | str) -> GaussianModel:
    """The model of a weight: front (and back) as canonical views, and a posed body -> Gaussians on `device`.

    GST reads the front alone; without a body it says its own, where HGM makes Gaussians of the picture.

    Raises:
        CallError: GST with another body than the embedded one, to whose skin its heads belong.
    """
    if not is_gst(weights):
        hgm = load_hgm(weights, body, device)
        return lambda views, posed: hgm.reconstruct(views, posed).merged
    if body != EMBEDDED_BODY:
        raise CallError(
            f"weights={weights} is a GST, which belongs to the embedded body, and body={body}: choose an HGM "
            f"weight (hgm_coarse, hgm_fusion), or body=body"
        )
    from turnaround.models.gst.person import gst_gaussians
    from turnaround.models.gst.weights import load_gst

    gst = load_gst(weights, device)
    return lambda views, posed: gst_gaussians(gst, views[0], posed).to(device)


def is_gst(name_or_path: str) -> bool:
    """Whether a weight, by name or file, is a GST's; MissingWeight where it is not there."""
    return _is_gst(str(zoo.file_of(name_or_path)), zoo.digest(name_or_path))


@lru_cache(maxsize=16)
def _is_gst(file: str, _digest: str) -> bool:
    return "gst" in zoo.metadata_of(Path(file))
