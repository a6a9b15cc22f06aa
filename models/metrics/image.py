"""Picture metrics: PSNR, SSIM, LPIPS-VGG where its weights are present, silhouette IoU."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from turnaround.models.metrics.similarity import gaussian_mean, ssim_maps

Images = Float[Tensor, "*b h w 3"]
Masks = Float[Tensor, "*b h w"]


def psnr(image: Images, truth: Images) -> Float[Tensor, "*b"]:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1], over the full frame."""
    return decibel((image - truth).square().mean((-3, -2, -1)))


def psnr_inside(image: Images, truth: Images, region: Masks) -> Float[Tensor, "*b"]:
    """PSNR over the pixels where `region` is above 0.05; infinite error nowhere, NaN where the region is
    empty."""
    inside = (region > 0.05).to(image.dtype)
    error = (image - truth).square().mean(-1)
    return decibel((error * inside).sum((-2, -1)) / inside.sum((-2, -1)))


def psnr_pooled(image: Images, truth: Images) -> float:
    """PSNR of the squared error of all pictures together, as the released HGM script has it."""
    return decibel((image - truth).square().mean()).item()


def decibel(mse: Tensor) -> Tensor:
    """Turn mean squared errors of values in [0, 1] into PSNR; 100 dB at most."""
    return -10 * torch.log10(mse.clamp(min=1e-10))


def ssim(image: Images, truth: Images, *, data_range: float = 1.0) -> Float[Tensor, "*b"]:
    """Structural similarity (Wang et al. 2004): Gaussian window of 11 pixels, sigma 1.5, borders not
    padded."""
    similarity, _ = ssim_maps(_channels_first(image), _channels_first(truth), gaussian_mean, data_range)
    return similarity.mean((-3, -2, -1)).reshape(image.shape[:-3])


def ms_ssim(image: Images, truth: Images, *, data_range: float = 2.0) -> Float[Tensor, "*b"]:
    """Multi-scale SSIM (Wang et al. 2003), five scales; `data_range` 2 is the released HGM script's setting.

    Raises ValueError when the pictures are smaller than 176 pixels, where the coarsest window would not fit.
    """
    if min(image.shape[-3:-1]) < 176:
        raise ValueError(f"ms_ssim needs pictures of at least 176 pixels, got {tuple(image.shape[-3:-1])}")
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    x, y = _channels_first(image), _channels_first(truth)
    result = torch.ones(x.shape[:2], dtype=x.dtype)
    for scale, weight in enumerate(weights):
        similarity, contrast = ssim_maps(x, y, gaussian_mean, data_range)
        value = similarity if scale == len(weights) - 1 else contrast
        result = result * value.mean((-2, -1)).clamp(min=0) ** weight
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return result.mean(1).reshape(image.shape[:-3])


def _channels_first(image: Tensor) -> Tensor:
    return image.reshape(-1, *image.shape[-3:]).permute(0, 3, 1, 2)


def iou(mask: Masks, truth: Masks, *, half_counts: bool = False) -> Float[Tensor, "*b"]:
    """Measure the intersection over union of masks cut at one half; 1 where both are empty.

    Args:
        mask, truth: in [0, 1].
        half_counts: whether one half itself is inside, as refinement has it and evaluation has not. Half of
            the edge's pixels of a mask drawn with four samples are one half: the rules give two numbers.
    """
    a, b = (mask >= 0.5, truth >= 0.5) if half_counts else (mask > 0.5, truth > 0.5)
    both, either = areas(a, b)
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(either, dtype=torch.float32))


def areas(
    a: Bool[Tensor, "*b h w"], b: Bool[Tensor, "*b h w"]
) -> tuple[Int[Tensor, "*b"], Int[Tensor, "*b"]]:
    """Count the pixels of the intersection and of the union."""
    return (a & b).sum((-2, -1)), (a | b).sum((-2, -1))


def sharpness(image: Images, region: Masks) -> Float[Tensor, "*b"]:
    """Mean gradient magnitude of the luminance inside `region`: how much detail a picture has."""
    grey = image.mean(-1)
    dx = (grey[..., :-1, 1:] - grey[..., :-1, :-1]).square()
    dy = (grey[..., 1:, :-1] - grey[..., :-1, :-1]).square()
    inside = (region[..., :-1, :-1] > 0.5).to(image.dtype)
    return ((dx + dy).sqrt() * inside).sum((-2, -1)) / inside.sum((-2, -1)).clamp(min=1)


def gradient_energy(image: Images, region: Float[Tensor, "*#b h w"]) -> Float[Tensor, "*b"]:
    """Mean squared gradient of the luminance inside `region`; NaN where it is empty."""
    grey = image.mean(-1)
    dx, dy = grey[..., :-1, 1:] - grey[..., :-1, :-1], grey[..., 1:, :-1] - grey[..., :-1, :-1]
    inside = (region[..., :-1, :-1] > 0.5).to(image.dtype)
    return ((dx.square() + dy.square()) * inside).sum((-2, -1)) / inside.sum((-2, -1))


def lpips(image: Images, truth: Images, *, normalize: bool = True) -> Float[Tensor, "*b"] | None:
    """LPIPS-VGG (Zhang et al. 2018) on [-1, 1], or None where the package or its VGG weights are not on this
    machine.

    `normalize` False gives the network [0, 1] instead, as the released HGM script does.
    """
    network = _lpips_network()
    if network is None:
        return None
    x, y = (
        _channels_first(picture) * 2 - 1 if normalize else _channels_first(picture)
        for picture in (image, truth)
    )
    with torch.no_grad():
        value = network(x, y)
    return value.reshape(image.shape[:-3])


@lru_cache(maxsize=1)
def _lpips_network():
    backbone = Path(torch.hub.get_dir()) / "checkpoints" / "vgg16-397923af.pth"
    if not backbone.is_file():
        return None
    try:
        from lpips import LPIPS  # type: ignore[import-not-found]
    except ImportError:
        return None
    return LPIPS(net="vgg", verbose=False).eval()


def mean_or_none(values: list[float | None]) -> float | None:
    """The mean of what could be computed, None where nothing could."""
    known = [v for v in values if v is not None and not math.isnan(v)]
    return sum(known) / len(known) if known else None
