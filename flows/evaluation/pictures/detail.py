"""The picture of one person at 1,024 px on the evaluation's page: ours below the truth, from five sides."""

from __future__ import annotations

from pathlib import Path

import torch

from turnaround.flows.evaluation.measures.detail import box_of, of_view, seen
from turnaround.flows.evaluation.measures.fine import FineTruth, Mask
from turnaround.flows.evaluation.pictures.views import write_jpeg
from turnaround.pipeline.formats.preview import contact_sheet
from turnaround.pipeline.values.types import Gaussians

VERSION = "1"  # of this picture: another number draws it anew
SHOWN = (0, 60, 90, 150, 180)  # azimuths in degrees
CELL, MARGIN = 512, 12  # pixels


def draw(file: Path, gaussians: Gaussians, truth: FineTruth) -> bool:
    """Write it: the truth above, ours below, with the figures of each view."""
    above, below, masks = {}, {}, []
    for azimuth, image, mask in truth.views(SHOWN):
        picture, alpha = seen(gaussians, azimuth, len(image))
        figures = of_view(picture, alpha, image, mask)
        above[f"true {azimuth}"] = image
        told = f"{figures['psnr_person']:.1f} dB inside, sharpness {figures['sharpness']:.2f}"
        below[f"ours {azimuth}: {told}"] = picture
        masks.append(torch.maximum(mask, alpha))
    rows, columns = _square(torch.stack(masks).amax(0))
    shown = {name: image[rows, columns] for name, image in (above | below).items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_jpeg(file, contact_sheet(shown, columns=len(SHOWN), size=CELL))
    return True


def _square(mask: Mask) -> tuple[slice, slice]:
    """The smallest square of the picture that holds what the mask has."""
    size = len(mask)
    box = box_of(mask > 0.05, MARGIN) or (slice(0, size), slice(0, size))
    side = max(span.stop - span.start for span in box)
    starts = [min(max(0, (span.start + span.stop - side) // 2), size - side) for span in box]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)
