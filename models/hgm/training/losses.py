"""Losses of the Human Gaussian Model: pictures and masks of three renders, depth, normals (equation 6)."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from turnaround.models.hgm.model import HGMOutput
from turnaround.models.hgm.training.dataset import Example
from turnaround.models.hgm.training.perceptual import NoPerceptualLoss, Structure, lpips_vgg
from turnaround.models.metrics.similarity import box_mean, ssim_maps
from turnaround.models.splat import Render, rasterize
from turnaround.models.splat.rasterize import Output
from turnaround.pipeline.frozen import Frozen
from turnaround.pipeline.values.types import Camera, Gaussians

log = logging.getLogger(__name__)


class LossConfig(Frozen):
    """What counts how much; the paper: rgb, mask and LPIPS 1, three renders of all views, no depth."""

    rgb: float = Field(default=1.0, description="mean squared error of colours over white")
    mask: float = Field(default=0.5, description="mean squared error of alpha")
    structure_weight: float = Field(default=0.05, description="of the structural loss")
    structure: Literal["box_ssim", "lpips"] = Field(
        default="box_ssim", description="1 - SSIM with a box window, or LPIPS-VGG"
    )
    structure_instead: Literal["box_ssim", "none"] = Field(
        default="box_ssim", description="what stands in where LPIPS's weights are missing; none: an error"
    )
    structure_size: int = Field(
        default=0,
        ge=0,
        description="pixels at which LPIPS compares, 256 in the released code; 0: as rendered",
    )
    vgg: str = Field(default="", description="file of VGG16's weights; empty: torch's hub cache")
    merged: float = Field(default=1.0, description="weight of the render of all Gaussians")
    image_only: float = Field(default=0.3, description="of the pixels' Gaussians alone")
    body_only: float = Field(default=0.0, description="of the body's Gaussians alone")
    alone_views: int = Field(
        default=1, ge=0, description="supervised views that the last two are rendered from; 0: all"
    )
    alone_structure: bool = Field(
        default=False, description="whether the structural loss counts for them, too"
    )
    depth: float = Field(
        default=0.2, description="L1 of the pixels' depth where it is known, metres; not for the paper's head"
    )
    normal: float = Field(
        default=0.0, description="L1 and one minus cosine of rendered normals in the supervised views"
    )
    view_depth: float = Field(default=0.0, description="L1 of rendered depth in the supervised views, metres")
    renderer: Literal["auto", "cpu"] = Field(
        default="auto", description="cpu: render there whatever the network's device"
    )


@dataclass(frozen=True)
class Supervised(Example):
    """An example with the geometry of its supervised views, for the optional losses."""

    normal: Float[Tensor, "v s s 3"]  # world frame, 0 where nothing is
    view_depth: Float[Tensor, "v s s"]  # metres, 0 where nothing is


def box_ssim(x: Float[Tensor, "b c h w"], y: Float[Tensor, "b c h w"]) -> Tensor:
    """Mean SSIM with a box window: the loss's cheap stand-in for the Gaussian one of the metric."""
    return ssim_maps(x, y, box_mean)[0].mean()


def dissimilarity(x: Float[Tensor, "b 3 h w"], y: Float[Tensor, "b 3 h w"]) -> Tensor:
    """One minus the SSIM."""
    return 1 - box_ssim(x, y)


def structural(config: LossConfig, device: torch.device | str) -> tuple[LossConfig, Structure]:
    """The structural loss of a config, and the config with the name of the one that is really used.

    Raises NoPerceptualLoss where LPIPS is asked for, cannot be had and has no stand-in (`structure_instead:
    none`).
    """
    if config.structure == "box_ssim":
        return config, dissimilarity
    try:
        found = lpips_vgg(device, config.vgg)
    except NoPerceptualLoss as error:
        if config.structure_instead == "none":
            raise
        log.warning(
            "no LPIPS: %s. The loss is %s instead, as loss.structure_instead says",
            error,
            config.structure_instead,
        )
        return config.but(structure=config.structure_instead), dissimilarity
    if not config.structure_size:
        return config, found
    size = (config.structure_size,) * 2
    return config, lambda x, y: found(
        *(F.interpolate(z, size, mode="bilinear", align_corners=False) for z in (x, y))
    )


@cache
def _has_gsplat() -> bool:
    if importlib.util.find_spec("gsplat") is None:
        log.warning(
            "gsplat is not installed: Gaussians are rendered on the CPU, slower than the network on this GPU"
        )
        return False
    return True


def render(
    gaussians: Gaussians, cameras: Camera, outputs: tuple[Output, ...] = ("rgb", "alpha"), where: str = "auto"
) -> Render:
    """Rasterize on the Gaussians' device; on the CPU where `where` says so or gsplat is missing."""
    device = gaussians.means.device
    if device.type == "cpu" or (where == "auto" and device.type == "cuda" and _has_gsplat()):
        return rasterize(gaussians, cameras, outputs=outputs)
    drawn = rasterize(gaussians.to("cpu"), cameras.to("cpu"), outputs=outputs)
    return Render(*(None if picture is None else picture.to(device) for picture in vars(drawn).values()))  # type: ignore[arg-type]


def hgm_loss(
    output: HGMOutput,
    example: Example,
    config: LossConfig | None = None,
    structure: Structure = dissimilarity,
    stride: int = 1,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of one person, and its terms: of the merged Gaussians, of each kind alone, of the pixels' depth.

    `stride`: input pixels a side for one Gaussian, 2 in the paper.
    """
    config = config or LossConfig()
    geometry: tuple[Output, ...] = tuple(
        name for name, on in (("depth", config.view_depth), ("normal", config.normal)) if on
    )  # type: ignore[misc]
    drawn = render(output.merged, example.cameras, ("rgb", "alpha", *geometry), config.renderer)
    terms = pictures(
        drawn, example, structure if config.structure_weight else None, whole=config.structure == "lpips"
    )
    loss = config.merged * _sum(terms, config)
    if len(output.pixels) and config.depth:
        terms["depth"] = _pixel_depth(output, example, stride)
        loss = loss + config.depth * terms["depth"]
    if geometry:
        terms |= _geometry(drawn, example)
        loss = (
            loss + config.normal * terms.get("normal", 0.0) + config.view_depth * terms.get("view_depth", 0.0)
        )
    few = config.alone_views or len(example.mask)
    part = Example(
        example.inputs, example.cameras[:few], example.rgb[:few], example.mask[:few], example.depth
    )
    for name, weight, gaussians in (
        ("image_only", config.image_only, output.image),
        ("body_only", config.body_only, output.body),
    ):
        if weight and output.body is not None and gaussians is not None and len(gaussians):
            alone = render(gaussians, part.cameras, where=config.renderer)
            kind = structure if config.alone_structure and config.structure_weight else None
            terms[name] = _sum(pictures(alone, part, kind, whole=config.structure == "lpips"), config)
            loss = loss + weight * terms[name]
    return loss, {name: value.detach() for name, value in terms.items()}


def _sum(terms: dict[str, Tensor], config: LossConfig) -> Tensor:
    weights = {"rgb": config.rgb, "mask": config.mask, "structure": config.structure_weight}
    return torch.stack([weights[name] * value for name, value in terms.items()]).sum()


def pictures(
    drawn: Render, example: Example, structure: Structure | None, *, whole: bool
) -> dict[str, Tensor]:
    """Colours and alpha over the full frame; structure there too (`whole`), or around the person."""
    terms = {
        "rgb": (drawn.rgb - example.rgb).square().mean(),
        "mask": (drawn.alpha - example.mask).square().mean(),
    }
    if structure is not None:
        rows, columns = (slice(None), slice(None)) if whole else _box(example.mask)
        found, truth = (x[:, rows, columns].permute(0, 3, 1, 2) for x in (drawn.rgb, example.rgb))
        terms["structure"] = structure(found, truth)
    return terms


def _pixel_depth(output: HGMOutput, example: Example, stride: int) -> Tensor:
    view, row, column = output.pixels.unbind(1)
    true = example.depth[view, row * stride, column * stride]
    known = true > 0
    return ((output.depth - true).abs() * known).sum() / known.sum().clamp(min=1)


def _geometry(drawn: Render, example: Example) -> dict[str, Tensor]:
    """L1 and cosine of normals, L1 of depth, where the truth is known."""
    if not isinstance(example, Supervised):
        raise TypeError(
            "loss.normal and loss.view_depth need examples with the geometry of their views (`Supervised`)"
        )
    known, terms = example.view_depth > 0, {}
    count = known.sum().clamp(min=1)
    if drawn.normal is not None:
        unit = F.normalize(drawn.normal, dim=-1)
        error = (unit - example.normal).abs().sum(-1) + 1 - (unit * example.normal).sum(-1)
        terms["normal"] = (error * known).sum() / count
    if drawn.depth is not None:
        terms["view_depth"] = ((drawn.depth - example.view_depth).abs() * known).sum() / count
    return terms


def _box(mask: Float[Tensor, "v h w"], margin: int = 6) -> tuple[slice, slice]:
    """The rows and columns where any of the views shows the person."""
    inside = mask.amax(0) > 0
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    if not len(rows):
        return slice(0, mask.shape[1]), slice(0, mask.shape[2])
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )
