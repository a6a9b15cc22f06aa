"""Sizes and switches of the Human Gaussian Model; three presets of one implementation."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from turnaround.models.hgm.unet import UNetConfig
from turnaround.pipeline.errors import CallError

Size = Literal["tiny", "default", "paper"]


@dataclass(frozen=True)
class HGMConfig:
    """The model's architecture; the switches are the ablations of the paper's Table 4 and docs/results.md."""

    size: int = 256  # pixels of the input pictures
    stem: int = 4  # pixels a side that the first convolution takes together; 1 in the paper
    shrink: int = 1  # input pixels a side for one Gaussian; 2 in the paper (512 px in, 256 x 256 Gaussians)
    unet: UNetConfig = field(default_factory=UNetConfig)
    patch_level: int = 1  # the up level whose map the tokens attend to, 0 = the deepest map
    head: Literal["ray", "absolute"] = "ray"  # depth along the pixel's ray | LGM's absolute xyz
    body_maps: bool = True  # the UNet also sees the body's depth, coverage and normals
    body_branch: bool = True  # tokens on the body's surface
    body_gaussians: bool = True  # those tokens become Gaussians, merged with the pixels'
    points: int = 8192  # tokens, spread over the surface; 0 = one a vertex (the paper)
    token: int = 32  # channels of a learnable token
    width: int = 64  # channels of attention and code
    heads: int = 4
    volume: bool = True  # sparse convolutions spread the tokens' features
    voxel: float = 0.025  # metres; 0.005 x 2 / 1.5 in the paper
    volume_width: int = 24
    volume_levels: int = 3
    fusion: bool = True  # self-attention among Gaussians
    fusion_layers: int = 2
    window: int = 128  # Gaussians that attend to each other, neighbours on a space-filling curve


def hgm_config(size: Size) -> HGMConfig:
    """Return a preset: `tiny` for tests, `default` ships with weights, `paper` has the paper's sizes.

    Raises:
        ValueError: another name.
    """
    presets = {"tiny": _tiny, "default": _default, "paper": _paper}
    if size not in presets:
        raise CallError(f"there is no HGM size {size!r}: tiny, default, paper")
    return presets[size]()


def _tiny() -> HGMConfig:
    unet = UNetConfig(
        in_channels=_stem_channels(4), out_channels=16 * 14,
        down_channels=(16, 24), down_attention=(False, True),
        up_channels=(24, 16), up_attention=(True, False),
        layers=1, heads=2, groups=8,
    )  # fmt: skip
    return HGMConfig(
        size=64, unet=unet, points=512, token=8, width=16, heads=2,
        voxel=0.06, volume_width=8, volume_levels=2, window=32,
    )  # fmt: skip


def _default() -> HGMConfig:
    unet = UNetConfig(
        in_channels=_stem_channels(4), out_channels=16 * 14,
        down_channels=(48, 64, 96, 128), down_attention=(False, False, True, True),
        up_channels=(128, 96, 64, 48), up_attention=(True, True, False, False),
        layers=1, heads=4, groups=16,
    )  # fmt: skip
    return HGMConfig(unet=unet)


def _paper() -> HGMConfig:
    return HGMConfig(
        size=512, stem=1, shrink=2, unet=UNetConfig(), patch_level=0, head="absolute", body_maps=False,
        body_gaussians=False, points=0, token=32, width=128, heads=8, voxel=0.005 * 2 / 1.5, volume_width=32,
        volume_levels=4, fusion_layers=4, window=256,
    )  # fmt: skip


def _stem_channels(stem: int) -> int:
    """RGB and mask at full resolution, rays once a patch, body maps at half resolution."""
    return 4 * stem * stem + 6 + 5 * (stem // 2) ** 2


def config_from_json(text: str) -> HGMConfig:
    """Read the configuration stored beside weights; ValueError where its fields are not this version's."""
    values = json.loads(text)
    unet = UNetConfig(**_fields(UNetConfig, values.get("unet", {})))
    return HGMConfig(**_fields(HGMConfig, values | {"unet": unet}))


def _fields(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    known = {f.name for f in dataclasses.fields(kind)}
    if set(values) != known:
        raise CallError(
            f"the weights' {kind.__name__} and this version's differ in {sorted(set(values) ^ known)}: "
            "train again, or use their version"
        )
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
