"""The body branch: learnable tokens on the body's surface that attend to the picture (section 3.3).

Tokens read the picture in two ways: by cross-attention to its patch features, with residual and normalisation
(so that they learn with a single view, unlike the released code), and by the features of the pixel that they
project to.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models import precision
from turnaround.models.hgm.attention import CrossAttention
from turnaround.models.hgm.config import HGMConfig
from turnaround.models.hgm.heads import BODY_CHANNELS
from turnaround.models.hgm.image_branch import ImageMaps
from turnaround.models.hgm.inputs import HGMInput
from turnaround.models.hgm.surface import PARTS, BodySurface
from turnaround.models.hgm.tokens import BodyTokens

PICTURE = (3, 1)  # colour and mask, which are read beside the features
PLACE = 3 + 3 + 3  # channels beside a token: its place at rest, its place now, the normal
KNOWN = (
    3 + 3 + 3 + 3 + 1
)  # channels beside what is read: place, normal, the part's colour, flags, the normal's z


class BodyBranch(nn.Module):
    """Points of the body and the image branch's maps to tokens, and to a first Gaussian for each."""

    def __init__(self, config: HGMConfig, surface: BodySurface, channels: int, patch_channels: int) -> None:
        super().__init__()
        self.surface, width = surface, config.width
        self.tokens = nn.Parameter(torch.randn(len(surface.rest), config.token) * 0.02)
        self.enter = nn.Linear(config.token + PLACE, width)
        self.attend = CrossAttention(width, patch_channels, config.heads)
        self.read = (channels, *PICTURE)  # what a point reads of its pixel
        read = sum(self.read)
        self.part_in = nn.Linear(read, width)
        self.part_tokens = nn.Parameter(torch.randn(PARTS, width) * 0.02)
        self.parts = nn.TransformerEncoderLayer(
            width, config.heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        known = 2 * read + 2 * width + KNOWN  # of the point's pixel and its mirror's, of token and body part
        self.mix = nn.Sequential(
            nn.Linear(known, 2 * width), nn.SiLU(), nn.Linear(2 * width, width), nn.SiLU()
        )
        self.head = nn.Linear(width, BODY_CHANNELS)

    def forward(self, maps: ImageMaps, inputs: HGMInput) -> list[BodyTokens | None]:
        """Every person's tokens; None for a person without a body."""
        read, seen = self._read(maps.features, inputs)
        place = torch.cat([self.surface.rest.expand_as(inputs.points), inputs.points, inputs.normals], -1)
        tokens = self.enter(torch.cat([self.tokens.expand(inputs.people, -1, -1), place], -1))
        tokens = precision.run("hgm_tokens", self.attend, tokens, maps.patches)
        part_code, part, part_seen = self._parts(read, seen)
        mirror, mirror_seen = read[:, self.surface.mirror], seen[:, self.surface.mirror]
        flags = torch.stack([seen, mirror_seen, part_seen], -1)
        towards = inputs.normals.split((2, 1), -1)[1]
        known = [read, mirror, tokens, part_code, inputs.points, inputs.normals, part, flags, towards]
        code = self.mix(torch.cat(known, -1))
        everybody = {
            "code": code, "points": inputs.points, "normals": inputs.normals,
            "own": self._color(read), "mirrored": self._color(mirror), "part": part,
            "seen": seen, "mirror_seen": mirror_seen, "part_seen": part_seen,
        }  # fmt: skip
        return [
            self._person({name: value[person] for name, value in everybody.items()}) if given else None
            for person, given in enumerate(inputs.has_body.tolist())
        ]

    def _person(self, known: dict[str, Tensor]) -> BodyTokens:
        return BodyTokens(raw=self.head(known["code"]).float(), **known, spacing=self.surface.spacing)

    def _color(self, read: Float[Tensor, "*b r"]) -> Float[Tensor, "*b 3"]:
        return read.split(self.read, -1)[1]

    def _read(
        self, features: Tensor, inputs: HGMInput
    ) -> tuple[Float[Tensor, "b n r"], Float[Tensor, "b n"]]:
        """What every point's pixel holds, blended over the views that see the point; and is it seen."""
        reads, weights = [], []
        for view in range(inputs.views):
            grid = _on_picture(inputs, view)
            picture = torch.cat([inputs.rgb[:, view], inputs.mask[:, view]], 1)
            feature, pixel = (
                F.grid_sample(x, grid, align_corners=False)[..., 0].transpose(1, 2)
                for x in (features[:, view], picture)
            )
            _, mask = pixel.split(PICTURE, -1)
            reads.append(torch.cat([feature, pixel], -1))
            weights.append(inputs.visible[:, view] * mask[..., 0])
        seen = torch.stack(weights)
        share = (seen + 1e-3) / (seen + 1e-3).sum(0)
        return torch.stack([w[..., None] * r for w, r in zip(share, reads, strict=True)]).sum(0), seen.amax(0)

    def _parts(self, read: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A code, the mean colour and whether anything is seen of every point's body parts."""
        spread = self.surface.parts  # points x parts
        weight = spread * seen[..., None]
        total = weight.sum(1) + 1e-3
        mean = weight.transpose(1, 2) @ read / total[..., None]
        tokens = self.parts(self.part_in(mean) + self.part_tokens)
        seen_parts = (total > 0.5).float()[..., None]
        return spread @ tokens, spread @ self._color(mean), (spread @ seen_parts)[..., 0]


def _on_picture(inputs: HGMInput, view: int) -> Float[Tensor, "b n 1 2"]:
    """Where the points appear in one view, in [-1, 1] as `grid_sample` wants it."""
    T = inputs.T_camera_world[:, view]
    R, t = T[:, :3, :3], T[:, :3, 3]
    seen = (inputs.points @ R.transpose(1, 2) + t[:, None]) @ inputs.K[:, view].transpose(1, 2)
    xy, depth = seen.split((2, 1), -1)
    return (xy / depth.clamp(min=0.1) / inputs.size * 2 - 1)[:, :, None]
