"""The embedded latent diffusion model for inference: VAE, UNet and ControlNet in plain torch, read from the
files that training writes.

Training and Stable Diffusion use diffusers' classes (models/back_view/diffusion/networks.py); these read
the same weights by the same names and give the same numbers, without diffusers' import.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models import zoo
from turnaround.models.back_view.diffusion.blocks import UNET_EPS, VAE_EPS, Level, time_features
from turnaround.pipeline.errors import CallError

Config = dict[str, Any]
Network = TypeVar("Network", bound="LatentVAE | LatentUNet | LatentControlNet")
_KNOWN = {  # what these classes compute; a file with another value was not written by this project's training
    "act_fn": "silu",
    "mid_block_add_attention": False,
    "use_linear_projection": False,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "resnet_time_scale_shift": "default",
    "class_embed_type": None,
    "addition_embed_type": None,
    "num_attention_heads": None,
    "upcast_attention": False,
    "only_cross_attention": False,
    "downsample_padding": 1,
    "norm_eps": UNET_EPS,
    "shift_factor": None,
    "transformer_layers_per_block": 1,
    "global_pool_conditions": False,
    "controlnet_conditioning_channel_order": "rgb",
}


class _Half(nn.Module):
    """Encoder or decoder of the VAE."""

    down_blocks: Any
    up_blocks: Any

    def __init__(
        self, inputs: int, outputs: int, levels: list[Level], middle: Level, groups: int, down: bool
    ) -> None:
        super().__init__()
        first, last = levels[0].widths[0][0], levels[-1].widths[-1][1]
        self.down = down
        self.conv_in = nn.Conv2d(inputs, first, 3, padding=1)
        self.mid_block = middle
        self.add_module("down_blocks" if down else "up_blocks", nn.ModuleList(levels))
        self.conv_norm_out = nn.GroupNorm(groups, last, VAE_EPS)
        self.conv_out = nn.Conv2d(last, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [*self.down_blocks, self.mid_block] if self.down else [self.mid_block, *self.up_blocks]
        x = self.conv_in(x)
        for part in parts:
            x = part(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class LatentVAE(nn.Module):
    """Pictures <-> latents; `scale` is what latents are multiplied by."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths, groups, count = (
            list(config["block_out_channels"]),
            config["norm_num_groups"],
            config["layers_per_block"],
        )
        latents, self.scale = config["latent_channels"], float(config["scaling_factor"])
        down = [
            Level(
                [(a, b)] + [(b, b)] * (count - 1), groups, VAE_EPS, resize="none" if b_last else "down_corner"
            )
            for (a, b), b_last in zip(pairwise([widths[0], *widths]), _last(widths), strict=True)
        ]
        up = [
            Level([(a, b)] + [(b, b)] * count, groups, VAE_EPS, resize="none" if b_last else "up")
            for (a, b), b_last in zip(pairwise([widths[-1], *widths[::-1]]), _last(widths), strict=True)
        ]
        middles = [Level([(widths[-1], widths[-1])] * 2, groups, VAE_EPS) for _ in range(2)]
        self.encoder = _Half(config["in_channels"], 2 * latents, down, middles[0], groups, True)
        self.decoder = _Half(latents, config["out_channels"], up, middles[1], groups, False)
        self.quant_conv, self.post_quant_conv = (
            nn.Conv2d(2 * latents, 2 * latents, 1),
            nn.Conv2d(latents, latents, 1),
        )

    def posterior(
        self, image: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b c k l"], Float[Tensor, "b c k l"]]:
        """Mean and standard deviation of the scaled latents of pictures in [0, 1]."""
        mean, log_variance = self.quant_conv(self.encoder(_inner(image * 2 - 1))).float().chunk(2, 1)
        return mean * self.scale, (0.5 * log_variance.clamp(-30, 20)).exp() * self.scale

    def decode(self, latents: Float[Tensor, "b c k l"]) -> Float[Tensor, "b 3 h w"]:
        """Pictures of scaled latents, not clipped to [0, 1]."""
        return self.decoder(self.post_quant_conv(_inner(latents / self.scale))).float() * 0.5 + 0.5


class _Trunk(nn.Module):
    """What UNet and ControlNet share: the time's embedding, the way down and the middle."""

    down_blocks: Any
    time_embedding: Any

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        widths, kinds, count = (
            list(config["block_out_channels"]),
            config["down_block_types"],
            config["layers_per_block"],
        )
        self.time = 4 * widths[0]
        self.conv_in = nn.Conv2d(config["in_channels"], widths[0], 3, padding=1)
        self.time_embedding = nn.ModuleDict(
            {"linear_1": nn.Linear(widths[0], self.time), "linear_2": nn.Linear(self.time, self.time)}
        )
        self.down_blocks = nn.ModuleList(
            self._level([(a, b)] + [(b, b)] * (count - 1), kind, "none" if last else "down")
            for (a, b), kind, last in zip(pairwise([widths[0], *widths]), kinds, _last(widths), strict=True)
        )
        self.mid_block = self._level([(widths[-1], widths[-1])] * 2, "CrossAttnMid", "none", transformers=1)

    def _level(
        self, widths: list[tuple[int, int]], kind: str, resize: Any, transformers: int | None = None
    ) -> Level:
        heads = (
            self.config["attention_head_dim"] if kind.startswith("CrossAttn") else 0
        )  # diffusers' name for the number of heads
        return Level(
            widths,
            self.config["norm_num_groups"],
            UNET_EPS,
            resize=resize,
            time=self.time,
            heads=heads,
            context=self.config["cross_attention_dim"],
            transformers=transformers,
        )

    def _embedded_time(self, timestep: int, like: Tensor) -> Float[Tensor, "1 t"]:
        features = time_features(
            torch.tensor([float(timestep)], device=like.device), self.conv_in.out_channels
        )
        return self.time_embedding["linear_2"](F.silu(self.time_embedding["linear_1"](features)))

    def _descend(self, x: Tensor, time: Tensor, prompt: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The middle's map and all maps on the way, the first one included."""
        maps = [x]
        for level in self.down_blocks:
            for index in range(len(level.widths)):
                x = level.block(index, x, time, prompt)
                maps.append(x)
            if level.resize != "none":
                x = level.resized(x)
                maps.append(x)
        x = self.mid_block.block(0, x, time, prompt)
        return self.mid_block.block(1, x, time), maps

    def prompt(self, like: Tensor) -> Float[Tensor, "b 1 w"]:
        """The one prompt of the embedded model: a token of zeros."""
        return like.new_zeros(len(like), 1, self.config["cross_attention_dim"])


class LatentControlNet(_Trunk):
    """What a control picture adds to the maps of the UNet."""

    controlnet_cond_embedding: Any

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        widths, condition = (
            list(config["block_out_channels"]),
            list(config["conditioning_embedding_out_channels"]),
        )
        pairs = [pair for a, b in pairwise(condition) for pair in ((a, a, 1), (a, b, 2))]
        self.controlnet_cond_embedding = nn.ModuleDict(
            {
                "conv_in": nn.Conv2d(config["conditioning_channels"], condition[0], 3, padding=1),
                "blocks": nn.ModuleList(nn.Conv2d(a, b, 3, stride, padding=1) for a, b, stride in pairs),
                "conv_out": nn.Conv2d(condition[-1], widths[0], 3, padding=1),
            }
        )
        maps = [widths[0]]
        for width, last in zip(widths, _last(widths), strict=True):
            maps += [width] * (config["layers_per_block"] + (not last))
        self.controlnet_down_blocks = nn.ModuleList(nn.Conv2d(width, width, 1) for width in maps)
        self.controlnet_mid_block = nn.Conv2d(widths[-1], widths[-1], 1)

    def forward(
        self, latents: Float[Tensor, "b c k l"], timestep: int, picture: Float[Tensor, "b 3 h w"]
    ) -> tuple[Tensor, list[Tensor]]:
        """Additions to the middle's map and to every other; `picture` in [0, 1]."""
        embed = self.controlnet_cond_embedding
        seen = F.silu(embed["conv_in"](_inner(picture)))
        for block in embed["blocks"]:
            seen = F.silu(block(seen))
        x = self.conv_in(_inner(latents)) + embed["conv_out"](seen)
        middle, maps = self._descend(x, self._embedded_time(timestep, latents), self.prompt(latents))
        return self.controlnet_mid_block(middle), [
            block(m) for block, m in zip(self.controlnet_down_blocks, maps, strict=True)
        ]


class LatentUNet(_Trunk):
    """The denoiser; predicts v."""

    up_blocks: Any

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        widths, kinds, count = (
            list(config["block_out_channels"])[::-1],
            config["up_block_types"],
            config["layers_per_block"],
        )
        before, skips = [widths[0], *widths[:-1]], [*widths[1:], widths[-1]]
        self.up_blocks = nn.ModuleList(
            self._level(
                [((a if k == 0 else b) + (skip if k == count else b), b) for k in range(count + 1)],
                kind,
                "none" if last else "up",
            )
            for a, b, skip, kind, last in zip(before, widths, skips, kinds, _last(widths), strict=True)
        )
        self.conv_norm_out = nn.GroupNorm(config["norm_num_groups"], widths[-1], UNET_EPS)
        self.conv_out = nn.Conv2d(widths[-1], config["out_channels"], 3, padding=1)

    def forward(
        self,
        latents: Float[Tensor, "b c k l"],
        timestep: int,
        control: tuple[Tensor, list[Tensor]] | None = None,
        weight: float = 1.0,
    ) -> Float[Tensor, "b c k l"]:
        """v of noisy latents; `control` is what the ControlNet gave, added `weight` times."""
        time, prompt = self._embedded_time(timestep, latents), self.prompt(latents)
        x, maps = self._descend(self.conv_in(_inner(latents)), time, prompt)
        if control is not None:
            x = x + weight * control[0]
            maps = [m + weight * extra for m, extra in zip(maps, control[1], strict=True)]
        for level in self.up_blocks:
            for index in range(len(level.widths)):
                x = level.block(index, torch.cat([x, maps.pop()], 1), time, prompt)
            x = level.resized(x)
        return self.conv_out(F.silu(self.conv_norm_out(x))).float()


def load(kind: type[Network], name_or_path: str | Path) -> Network:
    """A network from the file that `models.back_view.diffusion.networks.save` wrote, ready for inference.

    Raises:
        MissingWeight: there is no such weight.
        ValueError: the file holds no configuration, or one of a network that this project does not train.
        RuntimeError: a tensor is missing or has another shape.
    """
    state, metadata = zoo.load_state(name_or_path)
    if "config" not in metadata:
        raise CallError(
            f"weight {name_or_path} has no diffusers configuration; write it with "
            f"models.back_view.diffusion.networks.save"
        )
    config = json.loads(metadata["config"])
    strange = {key: config[key] for key, value in _KNOWN.items() if config.get(key, value) != value}
    if strange:
        raise CallError(
            f"weight {name_or_path}: {strange} is not what the embedded networks have; expected "
            f"{ {k: _KNOWN[k] for k in strange} }"
        )
    with torch.device("meta"):
        network = kind(config)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def _last(items: list[int]) -> list[bool]:
    return [k == len(items) - 1 for k in range(len(items))]


def _inner(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
