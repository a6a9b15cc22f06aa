"""A plain vision transformer that takes the weights of ViTPose (Xu et al. 2022, sec. 3.1) and HMR 2.0.

It differs from the usual one in two ways that their weights bring: the picture is padded by two pixels, and
there is no class token, but its place in the position embedding is added to every patch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from turnaround.models.gst.config import ViTSize

PADDING = 2  # pixels about the picture
MLP = 4  # hidden width of a block over its width
EPSILON = 1e-6  # of the layer norms
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, R G B
SIDE = 8  # the square window loses one part in so many at its left, and at its right


class ViT(nn.Module):
    """Windows -> image tokens, row by row."""

    mean: Float[Tensor, "3 1 1"]
    deviation: Float[Tensor, "3 1 1"]

    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        width = size.encoder_width
        rows, columns = grid_of(size)
        self.patches = nn.Conv2d(3, width, size.patch, size.patch, PADDING)
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty(1 + rows * columns, width), std=0.02))
        self.blocks = nn.ModuleList(Block(width, size.encoder_heads) for _ in range(size.encoder_layers))
        self.norm = nn.LayerNorm(width, EPSILON)
        for name, value in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(value)[:, None, None], persistent=False)

    def forward(self, rgb: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b m d"]:
        """`rgb` in [0, 1], the square window whole."""
        margin = rgb.shape[-1] // SIDE
        rgb = (rgb[..., margin:-margin] - self.mean) / self.deviation
        x = self.patches(rgb).flatten(2).transpose(1, 2) + self.position[1:] + self.position[0]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Block(nn.Module):
    """Attention among tokens, then a perceptron for each, both over normed values and added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, EPSILON) for _ in range(2))
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, MLP * width), nn.GELU(), nn.Linear(MLP * width, width))

    def forward(self, x: Float[Tensor, "b m d"]) -> Float[Tensor, "b m d"]:
        """As the class says."""
        q, k, v = self.qkv(self.norms[0](x)).chunk(3, -1)
        x = x + self.out(attend(q, k, v, self.heads))
        return x + self.mlp(self.norms[1](x))


def attend(
    queries: Float[Tensor, "b q d"],
    keys: Float[Tensor, "b m d"],
    values: Float[Tensor, "b m d"],
    heads: int,
    apart: Bool[Tensor, "q m"] | None = None,
) -> Float[Tensor, "b q d"]:
    """Attention of several heads; `apart` is true where a query does not see a key."""
    split = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (queries, keys, values)]
    seen = F.scaled_dot_product_attention(*split, attn_mask=None if apart is None else ~apart)
    return seen.transpose(1, 2).flatten(2)


def grid_of(size: ViTSize) -> tuple[int, int]:
    """Rows and columns of patches."""
    return size.size // size.patch, (size.size - 2 * (size.size // SIDE)) // size.patch
