"""The picture of one person at 1,024 px on the evaluation's page: ours below the truth, from five sides."""

from __future__ import annotations

from pathlib import Path

import torch

from flows.evaluation.detail import of_view, seen
from flows.evaluation.fine import FineTruth
from flows.evaluation.pictures import window, write_jpeg
from pipeline.preview import contact_sheet
from pipeline.types import Gaussians

VERSION = "1"  # of this picture: another number draws it anew
SHOWN = (0, 60, 90, 150, 180)  # azimuths in degrees
CELL = 512  # pixels


def draw(file: Path, gaussians: Gaussians, truth: FineTruth) -> bool:
    """Write it: the truth above, ours below, with the figures of each view."""
    above, below, masks = {}, {}, []
    for azimuth, image, mask in truth.views(SHOWN):
        picture, alpha = seen(gaussians, azimuth, len(image))
        figures = of_view(picture, alpha, image, mask)
        above[f"true {azimuth}"] = image
        below[f"ours {azimuth}: {figures['psnr_person']:.1f} dB inside, sharpness {figures['sharpness']:.2f}"] = picture
        masks.append(torch.maximum(mask, alpha))
    shown = {name: image[window(torch.stack(masks).amax(0))] for name, image in (above | below).items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_jpeg(file, contact_sheet(shown, columns=len(SHOWN), size=CELL))
    return True
