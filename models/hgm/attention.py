"""Attention: the product, in the format that is fastest on the device, and tokens that read a picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


def attend(
    query: Float[Tensor, "b h n c"], key: Float[Tensor, "b h m c"], value: Float[Tensor, "b h m c"],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "b h n c"]:  # fmt: skip
    """Compute softmax(query key' / sqrt(c)) value; keys where `mask` is False are left out.

    On a CPU always in float32: torch's bfloat16 backward is six times slower there.
    """
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(query.float(), key.float(), value.float(), attn_mask=mask)


class CrossAttention(nn.Module):
    """Tokens attend to patch features: pre-norm, residual, then a small MLP."""

    def __init__(self, width: int, patch_channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm_patch = nn.LayerNorm(patch_channels)
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(patch_channels + 2, 2 * width, bias=False)  # 2: the patch's place, x and y
        self.view = nn.Parameter(torch.zeros(2, 2 * width))  # front, back
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(
        self, tokens: Float[Tensor, "b n c"], patches: Float[Tensor, "b v p h w"]
    ) -> Float[Tensor, "b n c"]:
        """Let every token read every patch of every view."""
        b, v, _, h, w = patches.shape
        y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
        place = torch.stack([x, y], -1).to(patches).expand(b, v, h, w, 2)
        read = torch.cat([self.norm_patch(patches.permute(0, 1, 3, 4, 2)), place], -1)
        pairs = (self.key_value(read) + self.view[:v, None, None]).reshape(b, v * h * w, 2, self.heads, -1)
        key, value = pairs.permute(2, 0, 3, 1, 4)
        query = self.query(self.norm(tokens)).reshape(b, tokens.shape[1], self.heads, -1).transpose(1, 2)
        tokens = tokens + self.out(attend(query, key, value).transpose(1, 2).reshape(tokens.shape))
        return tokens + self.mlp(self.norm_mlp(tokens))
