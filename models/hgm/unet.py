"""The image branch: an asymmetric U-Net with attention across views at its deep levels.

Modules and parameters carry LGM's names, so that at the paper's size LGM's public weights load by name
(section 3.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.hgm.attention import attend


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of the image branch."""

    in_channels: int = 9  # RGB and the Pluecker ray
    out_channels: int = 14  # of conv_out
    down_channels: tuple[int, ...] = (64, 128, 256, 512, 1024, 1024)  # a level each, stride 2 between them
    down_attention: tuple[bool, ...] = (False, False, False, True, True, True)
    up_channels: tuple[int, ...] = (1024, 1024, 512, 256, 128)
    up_attention: tuple[bool, ...] = (True, True, True, False, False)
    layers: int = 2  # residual blocks a level on the way down, one more on the way up
    heads: int = 16
    groups: int = 32  # of the group normalisation
    skip_scale: float = math.sqrt(0.5)


class ResnetBlock(nn.Module):
    """Two normalised 3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int, out: int, config: UNetConfig) -> None:
        super().__init__()
        self.skip_scale = config.skip_scale
        self.norm1 = nn.GroupNorm(math.gcd(config.groups, channels), channels, eps=1e-5)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.norm2 = nn.GroupNorm(math.gcd(config.groups, out), out, eps=1e-5)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Same size, `out` channels."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (h + self.shortcut(x)) * self.skip_scale


class Attention(nn.Module):
    """Multi-head self-attention with LGM's parameter names."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Every token attends to all tokens of its sample."""
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(b, n, c))


class MVAttention(nn.Module):
    """Self-attention over the pixels of all views of a person together."""

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.skip_scale = config.skip_scale
        self.norm = nn.GroupNorm(math.gcd(config.groups, channels), channels, eps=1e-5)
        self.attn = Attention(channels, config.heads)

    def forward(self, x: Float[Tensor, "bv c h w"], views: int) -> Float[Tensor, "bv c h w"]:
        """`x` holds the views of each person one after the other."""
        bv, c, h, w = x.shape
        people = bv // views
        pixels = self.norm(x).reshape(people, views, c, h * w).permute(0, 1, 3, 2)
        mixed = self.attn(pixels.reshape(people, views * h * w, c))
        mixed = mixed.reshape(people, views, h * w, c).permute(0, 1, 3, 2).reshape(bv, c, h, w)
        return (mixed + x) * self.skip_scale


class Level(nn.Module):
    """Residual blocks of one resolution, each with attention where the level has it."""

    def __init__(self, widths: list[tuple[int, int]], attention: bool, config: UNetConfig) -> None:
        super().__init__()
        self.nets = nn.ModuleList(ResnetBlock(a, b, config) for a, b in widths)
        self.attns = nn.ModuleList(MVAttention(b, config) if attention else nn.Identity() for _, b in widths)

    def block(self, i: int, x: Tensor, views: int) -> Tensor:
        """Residual block i, then its attention."""
        x = self.nets[i](x)
        attention = self.attns[i]
        return attention(x, views) if isinstance(attention, MVAttention) else x


class DownBlock(Level):
    """A level on the way down."""

    def __init__(self, channels: int, out: int, attention: bool, last: bool, config: UNetConfig) -> None:
        super().__init__(
            [(channels if i == 0 else out, out) for i in range(config.layers)], attention, config
        )
        self.downsample = None if last else nn.Conv2d(out, out, 3, stride=2, padding=1)

    def forward(self, x: Tensor, views: int) -> list[Tensor]:
        """All intermediate maps, the last one is the output."""
        maps = []
        for i in range(len(self.nets)):
            x = self.block(i, x, views)
            maps.append(x)
        if self.downsample is not None:
            maps.append(self.downsample(x))
        return maps


class MidBlock(nn.Module):
    """Two residual blocks around one attention."""

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.nets = nn.ModuleList(ResnetBlock(channels, channels, config) for _ in range(2))
        self.attns = nn.ModuleList([MVAttention(channels, config)])

    def forward(self, x: Tensor, views: int) -> Tensor:
        """Same shape."""
        return self.nets[1](self.attns[0](self.nets[0](x), views))


class UpBlock(Level):
    """A level on the way up: each block also reads a map of the way down."""

    def __init__(
        self, channels: int, skip: int, out: int, attention: bool, last: bool, config: UNetConfig
    ) -> None:
        count = config.layers + 1
        widths = [
            ((channels if i == 0 else out) + (skip if i == count - 1 else out), out) for i in range(count)
        ]
        super().__init__(widths, attention, config)
        self.upsample = None if last else nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor, skips: list[Tensor], views: int) -> Tensor:
        """Takes as many maps from the end of `skips` as it has blocks."""
        for i in range(len(self.nets)):
            x = self.block(i, torch.cat([x, skips.pop()], 1), views)
        return (
            x if self.upsample is None else self.upsample(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        )


class UNet(nn.Module):
    """Maps pictures of `views` views a person to a feature map and to `out_channels` a pixel.

    The output has half the input's resolution where there is one up level less than down levels (paper).
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        down, up = config.down_channels, config.up_channels
        self.conv_in = nn.Conv2d(config.in_channels, down[0], 3, padding=1)
        inputs = (down[0], *down[:-1])
        last = len(down) - 1
        self.down_blocks = nn.ModuleList(
            DownBlock(a, b, config.down_attention[i], i == last, config)
            for i, (a, b) in enumerate(zip(inputs, down, strict=True))
        )
        self.mid_block = MidBlock(down[-1], config)
        self.up_blocks = nn.ModuleList()
        width = up[0]
        for i, out in enumerate(up):
            skip = down[max(-2 - i, -len(down))]
            self.up_blocks.append(UpBlock(width, skip, out, config.up_attention[i], i == len(up) - 1, config))
            width = out
        self.norm_out = nn.GroupNorm(math.gcd(config.groups, up[-1]), up[-1], eps=1e-5)
        self.conv_out = nn.Conv2d(up[-1], config.out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "bv c h w"], views: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the normalised features, conv_out of them, and the maps of the way up, the deepest first."""
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            maps = block(x, views)
            skips.extend(maps)
            x = maps[-1]
        x = self.mid_block(x, views)
        ascent = [x]
        for block in self.up_blocks:
            x = block(x, skips, views)
            ascent.append(x)
        features = F.silu(self.norm_out(x))
        return features, self.conv_out(features), ascent
