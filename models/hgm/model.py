"""The Human Gaussian Model: image branch, body branch, volume and fusion transformer (sections 3.3 and
3.5)."""

from __future__ import annotations

import copy
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from turnaround.models import precision, zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.body_branch import BodyBranch, BodyCode
from turnaround.models.hgm.config import HGMConfig, config_from_json
from turnaround.models.hgm.fusion import FusionTransformer
from turnaround.models.hgm.heads import (
    BODY_CHANNELS,
    IMAGE_CHANNELS,
    absolute_gaussians,
    body_gaussians,
    ray_depth,
    ray_gaussians,
)
from turnaround.models.hgm.inputs import HGMInput, prepare
from turnaround.models.hgm.surface import BodySurface
from turnaround.models.hgm.unet import UNet
from turnaround.models.hgm.volume import BodyVolume
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.camera import camera_center, plucker, rays, resize
from turnaround.pipeline.values.types import Body, Gaussians, View

FOREGROUND = 0.25  # mask value above which a pixel makes a Gaussian
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class HGMOutput:
    """Gaussians of one person, and what training looks at."""

    merged: Gaussians
    image: Gaussians  # of the pixels alone
    body: Gaussians | None  # of the body's surface alone
    pixels: Tensor  # (n, 3) view, row, column of every image Gaussian
    depth: Tensor  # (n,) metres along its camera's axis


class HGM(nn.Module):
    """One or two pictures of a person, and a body, to 3D Gaussians."""

    def __init__(self, config: HGMConfig, body_model: BodyModel | None = None) -> None:
        super().__init__()
        self.config = config
        self.body_model = body_model or BodyModel.load()
        self.unet = UNet(config.unet)
        up = config.unet.up_channels
        self.view = nn.Parameter(torch.zeros(2, config.unet.in_channels))  # tells the front from the back
        channels, width = up[-1], config.width
        per_pixel = config.unet.out_channels // IMAGE_CHANNELS
        self.conv = nn.Conv2d(IMAGE_CHANNELS, IMAGE_CHANNELS, 1) if config.head == "absolute" else None
        if config.unet.out_channels != IMAGE_CHANNELS * max(1, config.stem // config.shrink) ** 2:
            raise CallError(
                f"conv_out has {config.unet.out_channels} channels, expected {IMAGE_CHANNELS} for each of "
                f"{per_pixel} Gaussians"
            )
        surface = BodySurface(self.body_model, config.points)
        self.surface = surface
        self._copies: tuple[BodyModel, BodySurface] | None = None  # a tuple: not moved with the module
        self.spacing = (1.9 / len(surface.rest)) ** 0.5 * 0.65  # metres; 1.9 square metres of skin
        patch_channels = (
            config.unet.down_channels[-1] if config.patch_level == 0 else up[config.patch_level - 1]
        )
        if config.body_branch:
            self.body_branch = BodyBranch(config, surface, channels, patch_channels)
            self.body_head = nn.Linear(width, BODY_CHANNELS)
            _quiet(self.body_head)
        volume_channels = 0
        if config.body_branch and config.volume:
            self.volume = BodyVolume(config)
            volume_channels = self.volume.channels
        if config.fusion:
            self.image_in = nn.Linear(channels + volume_channels + IMAGE_CHANNELS + 7, width)
            self.body_in = nn.Linear(width + volume_channels + 7, width)
            self.fusion = FusionTransformer(width, config.heads, config.fusion_layers, config.window)
            self.image_out, self.body_out = nn.Linear(width, IMAGE_CHANNELS), nn.Linear(width, BODY_CHANNELS)
            for layer in (self.image_out, self.body_out):
                _quiet(layer)
        if config.head == "ray":
            _quiet(self.unet.conv_out)

    def forward(self, inputs: HGMInput) -> list[HGMOutput]:
        """A batch of people (see `prepare`); each result has its own number of Gaussians."""
        features, raw, patches = self._image_branch(inputs)
        code = self.body_branch(features, patches, inputs) if self.config.body_branch else None
        return [self._person(b, inputs, features[b], raw[b], code) for b in range(len(inputs.has_body))]

    @torch.no_grad()
    def reconstruct(self, views: list[View], body: Body | None) -> HGMOutput:
        """Gaussians of one person from one view, or from two (front, back); raises ValueError for other
        counts."""
        if len(views) not in (1, 2):
            raise CallError(f"the model takes one view or two (front, back), got {len(views)}")
        device = self.view.device
        body_model, surface = self._on_cpu()
        inputs = prepare(
            [v.to("cpu") for v in views],
            None if body is None else body.to("cpu"),
            body_model,
            surface,
            self.config.size,
        )
        return self.eval()(inputs.to(device))[0]

    def _on_cpu(self) -> tuple[BodyModel, BodySurface]:
        """Body and surface where the z-buffer runs; copies are made once where the model lives on a GPU."""
        if self.view.device.type == "cpu":
            return self.body_model, self.surface
        if self._copies is None:
            self._copies = (copy.deepcopy(self.body_model).cpu(), copy.deepcopy(self.surface).cpu())
        return self._copies

    def _image_branch(self, inputs: HGMInput) -> tuple[Tensor, Tensor, Tensor]:
        """Features (b, v, c, h, w), raw Gaussians (b, v, 14, g, g) and patch features (b, v, p, q, r)."""
        b, v = inputs.rgb.shape[:2]
        x = self._unet_input(inputs).to(memory_format=torch.channels_last)
        features, raw, maps = precision.run(f"hgm_unet_{v}", self.unet, x, v)
        patches = maps[self.config.patch_level]
        if self.config.stem > self.config.shrink:
            raw = F.pixel_shuffle(raw, self.config.stem // self.config.shrink)
        if self.conv is not None:
            raw = self.conv(raw)
        return tuple(t.float().reshape(b, v, *t.shape[1:]) for t in (features, raw, patches))  # type: ignore[return-value]

    def _unet_input(self, inputs: HGMInput) -> Float[Tensor, "bv c h w"]:
        config = self.config
        b, v = inputs.rgb.shape[:2]
        rgb, mask = inputs.rgb.flatten(0, 1), inputs.mask.flatten(0, 1)
        if config.stem == 1:
            white = rgb * mask + 1 - mask
            mean, std = (torch.tensor(c, device=rgb.device)[:, None, None] for c in (MEAN, STD))
            parts = [(white - mean) / std, self._plucker(inputs, config.size)]
        else:
            parts = [
                F.pixel_unshuffle(torch.cat([rgb * 2 - 1, mask * 2 - 1], 1), config.stem),
                self._plucker(inputs, config.size // config.stem),
            ]
        if config.body_maps:
            maps = inputs.maps.flatten(0, 1) * inputs.has_body.repeat_interleave(v)[:, None, None, None]
            known = inputs.has_body.repeat_interleave(v)[:, None, None, None].float()
            depth = (maps[:, :1] - 2 * known) * 3
            parts.append(F.pixel_unshuffle(torch.cat([depth, maps[:, 1:]], 1), config.stem // 2))
        x = torch.cat(parts, 1)
        return x + self.view[:v].repeat(b, 1)[:, :, None, None]

    def _plucker(self, inputs: HGMInput, size: int) -> Float[Tensor, "bv 6 h w"]:
        cameras = [
            resize(inputs.camera(b, v), size)
            for b in range(inputs.rgb.shape[0])
            for v in range(inputs.rgb.shape[1])
        ]
        return torch.stack([plucker(camera) for camera in cameras])

    def _person(
        self, b: int, inputs: HGMInput, features: Tensor, raw: Tensor, code: BodyCode | None
    ) -> HGMOutput:
        image_raw, context = self._pixels(b, inputs, features, raw)
        with_body = code is not None and bool(inputs.has_body[b])
        body_raw = self.body_head(code.code[b]).float() if with_body else None  # type: ignore[union-attr]
        if self.config.fusion:
            image_raw, body_raw = self._fuse(
                b, inputs, image_raw, body_raw, context, code if with_body else None
            )
        image = self._image_gaussians(image_raw, context)
        depth = ray_depth(image_raw, context["base"]) if self.config.head == "ray" else image.means[:, 2]
        if body_raw is None:
            return HGMOutput(image, image, None, context["pixels"], depth)
        body = body_gaussians(body_raw, inputs.points[b], inputs.normals[b], code, b, self.spacing)  # type: ignore[arg-type]
        merged = Gaussians.cat([image, body]) if self.config.body_gaussians else image
        return HGMOutput(merged, image, body, context["pixels"], depth)

    def _pixels(
        self, b: int, inputs: HGMInput, features: Tensor, raw: Tensor
    ) -> tuple[Float[Tensor, "n 14"], dict[str, Any]]:
        """Raw values and context of every pixel that makes a Gaussian, all views."""
        config, size = self.config, raw.shape[-1]
        collected: dict[str, list[Tensor]] = {
            name: [] for name in ("raw", "pixels", "feature", "base", "centre", "ray", "color")
        }
        for v in range(raw.shape[0]):
            camera = dataclasses.replace(inputs.camera(b, v))
            mask = (
                inputs.mask[b, v]
                if size == inputs.mask.shape[-1]
                else F.adaptive_avg_pool2d(inputs.mask[b, v], size)
            )
            color = (
                inputs.rgb[b, v]
                if size == inputs.rgb.shape[-1]
                else F.adaptive_avg_pool2d(inputs.rgb[b, v], size)
            )
            chosen = (
                mask[0] > FOREGROUND if config.head == "ray" else torch.ones_like(mask[0], dtype=torch.bool)
            )
            row, column = chosen.nonzero().unbind(1)
            base = torch.full((len(row),), 2.0, device=raw.device)
            if bool(inputs.has_body[b]):
                base = F.interpolate(
                    inputs.maps[b, v : v + 1, :1], size=(size, size), mode="bilinear", align_corners=False
                )[0, 0, row, column]
            scale = size / features.shape[-1]
            near = features[v][:, (row / scale).long(), (column / scale).long()].T
            collected["raw"].append(raw[v][:, row, column].T)
            collected["pixels"].append(torch.stack([torch.full_like(row, v), row, column], 1))
            collected["feature"].append(near)
            collected["base"].append(base)
            collected["centre"].append(camera_center(camera).expand(len(row), 3))
            step = inputs.rgb.shape[-1] // size
            collected["ray"].append(rays(camera)[row * step + step // 2, column * step + step // 2])
            collected["color"].append(color[:, row, column].T)
        context: dict[str, Any] = {name: torch.cat(parts) for name, parts in collected.items()}
        context["footprint"] = float(inputs.rgb.shape[-1] / size / inputs.K[b, 0, 0, 0])
        return context["raw"], context

    def _image_gaussians(self, raw: Tensor, context: dict[str, Any]) -> Gaussians:
        if self.config.head == "absolute":
            return absolute_gaussians(raw)
        return ray_gaussians(
            raw, context["base"], context["centre"], context["ray"], context["color"], context["footprint"]
        )

    def _fuse(
        self,
        b: int,
        inputs: HGMInput,
        image_raw: Tensor,
        body_raw: Tensor | None,
        context: dict[str, Any],
        code: BodyCode | None,
    ):
        """Volume features at all centres, self-attention among all Gaussians, then residuals (default) or
        values anew (paper)."""
        centres = self._image_gaussians(image_raw, context).means
        person = torch.zeros(len(centres), dtype=torch.long, device=centres.device)
        volume = None
        if code is not None and self.config.volume:
            queries = torch.cat([centres, inputs.points[b]])
            which = torch.cat([person, person.new_zeros(len(inputs.points[b]))])
            volume = self.volume(inputs.points[b : b + 1], code.code[b : b + 1], queries, which)
        elif self.config.body_branch and self.config.volume:
            volume = centres.new_zeros(len(centres), self.volume.channels)
        n = len(centres)
        parts = [context["feature"], image_raw, centres, context["color"], torch.ones_like(centres[:, :1])]
        tokens = self.image_in(torch.cat(parts + ([volume[:n]] if volume is not None else []), -1))
        places = centres
        if code is not None:
            points = inputs.points[b]
            parts = [code.code[b], points, inputs.normals[b], code.seen[b][:, None]]
            tokens = torch.cat(
                [tokens, self.body_in(torch.cat(parts + ([volume[n:]] if volume is not None else []), -1))]
            )
            places = torch.cat([centres, points])
        mixed = precision.run("hgm_fusion", self.fusion, tokens, places)
        image_change, body_change = self.image_out(mixed[:n]).float(), self.body_out(mixed[n:]).float()
        if self.config.head == "absolute":  # positions are residual, the other attributes are predicted anew
            image_raw = torch.cat([image_raw[:, :3] + image_change[:, :3], image_change[:, 3:]], -1)
        else:
            image_raw = image_raw + image_change
        return image_raw, None if body_raw is None else body_raw + body_change

    def save(self, name_or_path: str | Path, state: dict[str, Tensor] | None = None, **facts: str) -> Path:
        """Write the weights with their configuration."""
        state = {
            k: v
            for k, v in (state or self.state_dict()).items()
            if not k.startswith(("body_model.", "surface."))
        }
        return zoo.save_state(
            name_or_path,
            state,
            {"config": json.dumps(dataclasses.asdict(self.config)), "body": self.body_model.digest, **facts},
        )

    @classmethod
    def load(
        cls, name_or_path: str | Path, device: torch.device | str = "cpu", body_model: BodyModel | None = None
    ) -> HGM:
        """The model of a weight name or file; every tensor must match, else RuntimeError names what does
        not."""
        state, metadata = zoo.load_state(name_or_path)
        if "config" not in metadata:
            raise CallError(
                f"{name_or_path} holds no HGM configuration; LGM's weights start a model through `load_lgm`"
            )
        model = cls(config_from_json(metadata["config"]), body_model)
        model.load_state_dict(state)
        return model.to(device).eval()


def _quiet(layer: nn.Linear | nn.Conv2d) -> None:
    """Start near zero, so that the first Gaussians are the prior's."""
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
