"""Fusion: self-attention in which every token is a Gaussian (section 3.3), and what it changes of them.

Where there are too many for full attention they attend in windows of neighbours along a space-filling curve;
every second layer shifts the windows by half, so that information crosses their borders.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from turnaround.models import precision
from turnaround.models.hgm.attention import attend
from turnaround.models.hgm.heads import ImageHead
from turnaround.models.hgm.tokens import BodyTokens, PixelTokens

CELL = 0.02  # metres, the finest step of the curve
PIXEL = 3 + 3 + 1  # channels of a pixel beside feature, volume and raw values: centre, colour, a one
POINT = 3 + 3 + 1  # of a point beside code and volume: place, normal, is it seen


def morton_order(points: Float[Tensor, "n 3"]) -> Int[Tensor, " n"]:
    """Order of the points along a Z-curve of 2 cm cells: neighbours in the order are near in space."""
    cell = ((points.detach() + 5.12) / CELL).long().clamp(0, 511)
    code = torch.zeros(len(points), dtype=torch.long, device=points.device)
    for bit in range(9):
        for axis in range(3):
            code |= ((cell[:, axis] >> bit) & 1) << (3 * bit + axis)
    return code.argsort(stable=True)


class WindowAttention(nn.Module):
    """Pre-norm transformer layer on windows of a sequence."""

    def __init__(self, width: int, heads: int, window: int, shift: bool) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, window // 2 if shift else 0
        self.norm, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """Tokens in the order of the curve; any number of them."""
        n, c = x.shape
        front = self.shift
        back = -(n + front) % self.window
        padded = F.pad(self.norm(x), (0, 0, front, back))
        real = F.pad(torch.ones(n, dtype=torch.bool, device=x.device), (front, back)).reshape(
            -1, 1, 1, self.window
        )
        qkv = self.qkv(padded).reshape(-1, self.window, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        # a window of nothing but padding attends to itself, its result is dropped
        mask = real | ~real.any(-1, keepdim=True)
        mixed = attend(qkv[0], qkv[1], qkv[2], mask).transpose(1, 2).reshape(-1, c)
        x = x + self.out(mixed[front : front + n])
        return x + self.mlp(self.norm_mlp(x))


class FusionTransformer(nn.Module):
    """Gaussians' features and centres to mixed features, in the order given."""

    def __init__(self, width: int, heads: int, layers: int, window: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            WindowAttention(width, heads, window, shift=bool(i % 2)) for i in range(layers)
        )

    def forward(self, tokens: Float[Tensor, "n c"], centres: Float[Tensor, "n 3"]) -> Float[Tensor, "n c"]:
        """Does not depend on the order of the Gaussians (up to ties within a cell of the curve)."""
        order = morton_order(centres)
        x = tokens[order]
        for layer in self.layers:
            x = layer(x)
        return torch.zeros_like(x).index_copy(0, order, x)


class Fusion(nn.Module):
    """All Gaussians of a person attend to each other, then each changes its own raw values."""

    def __init__(
        self, head: ImageHead, image_in: nn.Linear, body_in: nn.Linear, transformer: FusionTransformer,
        image_out: nn.Linear, body_out: nn.Linear,
    ) -> None:  # fmt: skip
        """Put the transformer between a layer in and a layer out for each kind of Gaussian.

        Args:
            head: of the pixels; says how a change enters.
            image_in: from feature, volume, raw values and PIXEL further channels.
            body_in: from code, volume and POINT further channels.
            transformer: mixes the tokens.
            image_out, body_out: to a change of the raw values.
        """
        super().__init__()
        self.head, self.image_in, self.body_in, self.transformer = head, image_in, body_in, transformer
        self.image_out, self.body_out = image_out, body_out

    def forward(
        self,
        pixels: PixelTokens,
        body: BodyTokens | None,
        places: Float[Tensor, "m 3"],
        volume: Float[Tensor, "m d"],
    ) -> tuple[PixelTokens, BodyTokens | None]:
        """The same tokens with other raw values.

        Args:
            pixels: n of them.
            body: m - n points, or None.
            places: world positions of the Gaussians of all pixels, then of all points.
            volume: features of the body's volume at these places.
        """
        n = len(pixels)
        tokens = self._pixels(pixels, places[:n], volume[:n])
        if body is not None:
            tokens = torch.cat([tokens, self._points(body, volume[n:])])
        mixed = precision.run("hgm_fusion", self.transformer, tokens, places)
        change = self.image_out(mixed[:n]).float()
        pixels = dataclasses.replace(pixels, raw=self.head.changed(pixels.raw, change))
        if body is not None:
            body = dataclasses.replace(body, raw=body.raw + self.body_out(mixed[n:]).float())
        return pixels, body

    def _pixels(self, pixels: PixelTokens, centres: Tensor, volume: Tensor) -> Float[Tensor, "n c"]:
        one = centres.new_ones(len(centres), 1)
        return self.image_in(torch.cat([pixels.feature, pixels.raw, centres, pixels.color, one, volume], -1))

    def _points(self, body: BodyTokens, volume: Tensor) -> Float[Tensor, "k c"]:
        return self.body_in(torch.cat([body.code, body.points, body.normals, body.seen[:, None], volume], -1))
