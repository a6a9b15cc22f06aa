"""What is measured at 1,024 px, by azimuth: likeness inside the person, sharpness and VGG distance."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.flows.evaluation.measures.fine import FineTruth, Mask, Picture
from turnaround.flows.evaluation.summary import means
from turnaround.models.metrics import texture, vgg
from turnaround.models.metrics.image import gradient_energy, psnr_inside, ssim
from turnaround.models.splat.fine import rasterize_fine
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Gaussians

GROUPS = {"front": (0,), "oblique": (30, 60, 300, 330), "side": (90, 270), "back": (120, 150, 180, 210, 240)}
EDGE = 3 / 256  # of the width, within the outline, is no texture, as in backs.py
COARSER = 4  # of the detail that 256 px show, as backs.py measures it: the networks' scale
WINDOW = 10  # pixels by which SSIM's window is wider than its middle
MARGIN = 32  # pixels about the true outline that the network sees too

Box = tuple[slice, slice]  # rows, columns
Figures = dict[str, float | None]


def seen(gaussians: Gaussians, azimuth: int, size: int) -> tuple[Picture, Mask]:
    """The Gaussians over white, and their soft mask, from one of the suite's cameras."""
    out = rasterize_fine(gaussians, orbit_cameras((azimuth,), size))
    return out.rgb[0].clamp(0, 1), out.alpha[0]


def detail(gaussians: Gaussians, truth: FineTruth) -> dict[str, Figures]:
    """The figures of `of_view` and vgg for each of GROUPS; vgg is None where its network was not fetched."""
    found: dict[int, Figures] = {}
    for azimuth, image, mask in truth.views():
        picture, alpha = seen(gaussians, azimuth, len(image))
        found[azimuth] = of_view(picture, alpha, image, mask) | {"vgg": vgg_distance(picture, image, mask)}
    return {group: means([found[azimuth] for azimuth in azimuths]) for group, azimuths in GROUPS.items()}


def of_view(picture: Picture, alpha: Mask, image: Picture, mask: Mask) -> dict[str, float]:
    """The figures of a picture with its mask against the truth with its mask, both over white.

    psnr_person, ssim; `sharpness` inside the true outline, `sharpness_inside` inside both (one in a wrong
    place is no detail; NaN where they do not meet), `sharpness_coarse` as the first, of both pictures at a
    quarter of the size.
    """
    small, small_image, small_mask = reduced(picture), reduced(image), reduced(mask[..., None])[..., 0]
    return {
        "psnr_person": psnr_inside(picture, image, torch.maximum(alpha, mask)).item(),
        "ssim": ssim_over_white(picture, image),
        "sharpness": sharpness(picture, image, mask),
        "sharpness_inside": sharpness(picture, image, torch.minimum(mask, alpha)),
        "sharpness_coarse": sharpness(small, small_image, small_mask),
    }


def sharpness(picture: Picture, image: Picture, mask: Mask) -> float:
    """Energy of the gradients in an outline over the truth's there: 1 is as much detail, more is noise."""
    region = texture.interior(mask, max(1, round(EDGE * len(mask))))
    return (gradient_energy(picture, region) / gradient_energy(image, region)).item()


def reduced(image: Float[Tensor, "h w c"], times: int = COARSER) -> Float[Tensor, "h2 w2 c"]:
    """The means of squares of `times` pixels."""
    return F.avg_pool2d(image.movedim(-1, 0), times).movedim(0, -1)


def ssim_over_white(picture: Picture, image: Picture) -> float:
    """SSIM over the full frame; windows in which the pictures are equal count as 1 and are not computed."""
    box = box_of((picture != image).any(-1), WINDOW)
    if box is None:
        return 1.0
    part, true_part = picture[box], image[box]
    computed, windows = ((h - WINDOW) * (w - WINDOW) for h, w in (part.shape[:2], image.shape[:2]))
    return 1 - (1 - ssim(part, true_part).item()) * computed / windows


def vgg_distance(picture: Picture, image: Picture, mask: Mask) -> float | None:
    """The VGG distance about the true outline, of pictures halved; None without its network or anybody there.

    At full size a pair takes 3 s on two cores, halved .6 s; the finest stage then sees what 512 px show, and
    `sharpness` sees the rest. The box is the truth's alone: whatever is compared with it is compared over the
    same pixels.
    """
    network, box = vgg.network(), box_of(mask > 0.5, MARGIN)
    if network is None or box is None:
        return None
    halves = [reduced(one[box], 2) for one in (picture, image)]
    with torch.no_grad():
        return vgg.feature_distance(network, halves[0], halves[1]).item()


def box_of(where: Tensor, margin: int) -> Box | None:
    """The smallest box that holds what is set, with a margin inside of the picture; None where nothing is."""
    spans: list[slice] = []
    for dimension in (1, 0):
        hit = where.any(dimension).nonzero()
        if not len(hit):
            return None
        length = where.shape[1 - dimension]
        spans.append(slice(max(0, int(hit[0]) - margin), min(length, int(hit[-1]) + 1 + margin)))
    return spans[0], spans[1]
