"""The body branch: learnable tokens on the body's surface that attend to the picture (section 3.3).

Tokens read the picture in two ways: by cross-attention to its patch features, with residual and normalisation
(so that they learn with a single view, unlike the released code), and by the features of the pixel they
project to.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from turnaround.models import precision
from turnaround.models.hgm.attention import attend
from turnaround.models.hgm.config import HGMConfig
from turnaround.models.hgm.inputs import HGMInput
from turnaround.models.hgm.surface import PARTS, BodySurface


@dataclass(frozen=True)
class BodyCode:
    """What the branch knows of each of n surface points of b people."""

    code: Float[Tensor, "b n c"]
    own: Float[Tensor, "b n 3"]  # colour of the point's pixel
    mirrored: Float[Tensor, "b n 3"]  # colour of the mirror point's pixel
    part: Float[Tensor, "b n 3"]  # mean colour of what is seen of its body part
    seen: Float[Tensor, "b n"]  # is the point seen, and inside the mask
    mirror_seen: Float[Tensor, "b n"]
    part_seen: Float[Tensor, "b n"]


class CrossAttention(nn.Module):
    """Tokens attend to patch features: pre-norm, residual, then a small MLP."""

    def __init__(self, width: int, patch_channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm_patch = nn.LayerNorm(patch_channels)
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(patch_channels + 2, 2 * width, bias=False)
        self.view = nn.Parameter(torch.zeros(2, 2 * width))  # front, back
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(
        self, tokens: Float[Tensor, "b n c"], patches: Float[Tensor, "b v p h w"]
    ) -> Float[Tensor, "b n c"]:
        """Every token reads every patch of every view."""
        b, v, _, h, w = patches.shape
        y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
        place = torch.stack([x, y], -1).to(patches).expand(b, v, h, w, 2)
        keys = torch.cat([self.norm_patch(patches.permute(0, 1, 3, 4, 2)), place], -1)
        keys = (
            (self.key_value(keys) + self.view[:v, None, None])
            .reshape(b, v * h * w, 2, self.heads, -1)
            .permute(2, 0, 3, 1, 4)
        )
        query = self.query(self.norm(tokens)).reshape(b, tokens.shape[1], self.heads, -1).transpose(1, 2)
        read = attend(query, keys[0], keys[1]).transpose(1, 2).reshape(tokens.shape)
        tokens = tokens + self.out(read)
        return tokens + self.mlp(self.norm_mlp(tokens))


class BodyBranch(nn.Module):
    """Points of the body and the picture's features to one code a point."""

    def __init__(self, config: HGMConfig, surface: BodySurface, channels: int, patch_channels: int) -> None:
        super().__init__()
        self.surface, width = surface, config.width
        self.tokens = nn.Parameter(torch.randn(len(surface.rest), config.token) * 0.02)
        self.enter = nn.Linear(config.token + 9, width)
        self.attend = CrossAttention(width, patch_channels, config.heads)
        read = channels + 4  # pixel-aligned features, colour and mask
        self.part_in = nn.Linear(read, width)
        self.part_tokens = nn.Parameter(torch.randn(PARTS, width) * 0.02)
        self.parts = nn.TransformerEncoderLayer(
            width, config.heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.mix = nn.Sequential(
            nn.Linear(2 * read + 2 * width + 13, 2 * width), nn.SiLU(), nn.Linear(2 * width, width), nn.SiLU()
        )

    def forward(
        self, features: Float[Tensor, "b v c h w"], patches: Float[Tensor, "b v p q r"], inputs: HGMInput
    ) -> BodyCode:
        """Codes of all points; `features` may be coarser than the pictures, `patches` are the attended
        ones."""
        read, seen = self._read(features, inputs)
        mirror = self.surface.mirror
        place = torch.cat([self.surface.rest.expand_as(inputs.points), inputs.points, inputs.normals], -1)
        tokens = self.enter(torch.cat([self.tokens.expand(len(place), -1, -1), place], -1))
        tokens = precision.run("hgm_tokens", self.attend, tokens, patches)
        part_code, part_color, part_seen = self._parts(read, seen)
        own, mirrored = read[..., -4:-1], read[:, mirror][..., -4:-1]
        flags = torch.stack([seen, seen[:, mirror], part_seen], -1)
        everything = [
            read,
            read[:, mirror],
            tokens,
            part_code,
            inputs.points,
            inputs.normals,
            part_color,
            flags,
            inputs.normals[..., 2:],
        ]
        code = self.mix(torch.cat(everything, -1))
        return BodyCode(code, own, mirrored, part_color[..., :3], seen, seen[:, mirror], part_seen)

    def _read(
        self, features: Tensor, inputs: HGMInput
    ) -> tuple[Float[Tensor, "b n r"], Float[Tensor, "b n"]]:
        """Pixel-aligned features, colour and mask of every point, blended over the views that see it."""
        reads, weights = [], []
        for view in range(features.shape[1]):
            R, t = inputs.T_camera_world[:, view, :3, :3], inputs.T_camera_world[:, view, :3, 3]
            p = (inputs.points @ R.transpose(1, 2) + t[:, None]) @ inputs.K[:, view].transpose(1, 2)
            grid = (p[..., :2] / p[..., 2:].clamp(min=0.1) / inputs.rgb.shape[-1] * 2 - 1)[:, :, None]
            picture = torch.cat([inputs.rgb[:, view], inputs.mask[:, view]], 1)
            parts = [
                F.grid_sample(x, grid, align_corners=False)[..., 0].transpose(1, 2)
                for x in (features[:, view], picture)
            ]
            reads.append(torch.cat(parts, -1))
            weights.append(inputs.visible[:, view] * parts[1][..., 3])
        stacked = torch.stack(weights) + 1e-3
        share = stacked / stacked.sum(0)
        return sum(w[..., None] * r for w, r in zip(share, reads, strict=True)), torch.stack(weights).amax(0)  # type: ignore[return-value]

    def _parts(self, read: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A code, the mean colour and whether anything is seen of every point's body parts."""
        weight = self.surface.parts * seen[..., None]  # b n parts
        total = weight.sum(1) + 1e-3
        mean = weight.transpose(1, 2) @ read / total[..., None]
        tokens = self.parts(self.part_in(mean) + self.part_tokens)
        spread = self.surface.parts
        return spread @ tokens, spread @ mean[..., -4:-1], (spread @ (total > 0.5).float()[..., None])[..., 0]
