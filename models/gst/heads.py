"""From tokens to the raw values of the points' Gaussians: a head for each kind of token and group of
points."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.gst.config import KINDS, GSTConfig

CHANNELS = {"color": 3, "turn": 4, "opacity": 1, "scale": 3, "offset": 3}
MIXTURE = 4  # more of a copied colour: shares of three pixels (models/gst/gaussians.py) and the free colour,
FILLED = 5  # and of the nearest skin that is seen
GAIN = {"opacity": 1.0, "scale": 0.003, "offset": 0.1}  # of Xavier's initialisation; .01 for the others
BIAS = {"opacity": -2.0, "scale": math.log(0.02)}  # scale in metres


class GroupHead(nn.Module):
    """A token a group -> values of the group's points, by a matrix of full or of low rank a group."""

    def __init__(
        self, width: int, groups: int, size: int, channels: int, rank: int, gain: float, shared: bool = False
    ) -> None:
        """`size`: points of a group; `rank` 0: full; `shared`: one matrix for all groups."""
        super().__init__()
        self.squeeze = nn.Linear(width, rank, bias=False) if rank else nn.Identity()
        inputs, outputs = rank or width, size * channels
        self.weight = nn.Parameter(torch.empty(1 if shared else groups, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(1 if shared else groups, outputs))
        bound = gain * math.sqrt(6 / (inputs + outputs))
        nn.init.uniform_(self.weight, -bound, bound)
        self.channels = channels

    def forward(self, tokens: Float[Tensor, "b g d"]) -> Float[Tensor, "b m c"]:
        """m is groups x size."""
        weight = self.weight.expand(tokens.shape[1], -1, -1)
        values = torch.einsum("bgd,gdo->bgo", self.squeeze(tokens), weight) + self.bias
        return values.reshape(len(tokens), -1, self.channels)


class Heads(nn.Module):
    """All kinds."""

    def __init__(self, config: GSTConfig, size: int) -> None:
        super().__init__()
        width, more = config.network.width, 0
        if config.colors == "copied":
            more = FILLED if config.fill else MIXTURE
        self.groups = config.groups
        self.kinds = nn.ModuleDict()
        for kind in KINDS:
            channels = CHANNELS[kind] + (more if kind == "color" else 0)
            head = GroupHead(
                width,
                config.groups,
                size * config.each,
                channels,
                getattr(config.ranks, kind),
                _gain(kind, config),
                config.shared,
            )
            nn.init.constant_(head.bias, _bias(kind, config))
            self.kinds[kind] = head

    def forward(self, tokens: Float[Tensor, "b t d"]) -> dict[str, Float[Tensor, "b m c"]]:
        """Raw values by kind; tokens come by kind, then by group."""
        parts = tokens.split(self.groups, 1)
        return {kind: head(part) for (kind, head), part in zip(self.kinds.items(), parts, strict=True)}


def _gain(kind: str, config: GSTConfig) -> float:
    """The paper's; on the skin an offset of centimetres would hide what the body's own outline says."""
    return 0.005 if kind == "offset" and config.frame == "surface" else GAIN.get(kind, 0.01)


def _bias(kind: str, config: GSTConfig) -> float:
    """The paper's; discs on the skin begin nearly opaque, as their pictures would else be of fog at first."""
    if kind == "opacity" and config.frame == "surface":
        return 1.5
    return 0.0 if kind == "scale" and config.frame == "surface" else BIAS.get(kind, 0.0)
