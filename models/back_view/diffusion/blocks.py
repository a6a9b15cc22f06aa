"""Parts of the small latent diffusion model in plain torch: residual blocks, transformers and levels.

They carry diffusers' parameter names, so that its weights load by name, and compute what diffusers' parts
compute (tests/test_networks_diffusion.py holds them against it); but importing diffusers takes seconds, and
torch is there already.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

VAE_EPS, UNET_EPS, TRANSFORMER_EPS = 1e-6, 1e-5, 1e-6  # of the normalisations, as in diffusers

Resize = Literal[
    "none", "down", "down_corner", "up"
]  # down_corner pads right and below only, as the VAE's encoder does


class ResnetBlock(nn.Module):
    """Two normalised 3x3 convolutions beside a shortcut; with `time` channels, the time is added between
    them."""

    def __init__(self, channels: int, out: int, groups: int, eps: float, time: int = 0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, channels, eps), nn.GroupNorm(groups, out, eps)
        self.conv1, self.conv2 = nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.time_emb_proj = nn.Linear(time, out) if time else None
        self.conv_shortcut = nn.Conv2d(channels, out, 1) if channels != out else None

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b d h w"]:
        """`time` is the embedding of the noise level."""
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None and time is not None:
            h = h + self.time_emb_proj(F.silu(time))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Attention(nn.Module):
    """Multi-head attention of tokens to `context`'s tokens."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (
            nn.Linear(size, width, bias=False) for size in (width, context, context)
        )
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Float[Tensor, "b n c"], context: Float[Tensor, "b m d"]) -> Float[Tensor, "b n c"]:
        """Not residual."""
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for t in (self.to_q(x), self.to_k(context), self.to_v(context))
        )
        return self.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _Gated(nn.Module):
    """A linear layer one half of whose outputs, through GELU, scales the other half."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * out)

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n d"]:
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


class _TransformerBlock(nn.Module):
    """Self-attention, attention to the prompt and a gated layer; each normalised before and residual."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1, self.attn2 = Attention(width, width, heads), Attention(width, context, heads)
        self.ff = nn.ModuleDict(
            {"net": nn.Sequential(_Gated(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))}
        )

    def forward(self, x: Float[Tensor, "b n c"], prompt: Float[Tensor, "b m d"]) -> Float[Tensor, "b n c"]:
        h = self.norm1(x)
        x = x + self.attn1(h, h)
        x = x + self.attn2(self.norm2(x), prompt)
        return x + self.ff["net"](self.norm3(x))


class SpatialTransformer(nn.Module):
    """A transformer block over the pixels of a map."""

    def __init__(self, channels: int, context: int, heads: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, TRANSFORMER_EPS)
        self.proj_in, self.proj_out = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([_TransformerBlock(channels, context, heads)])

    def forward(
        self, x: Float[Tensor, "b c h w"], prompt: Float[Tensor, "b m d"]
    ) -> Float[Tensor, "b c h w"]:
        """Residual."""
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            tokens = block(tokens, prompt)
        return x + self.proj_out(tokens.transpose(1, 2).unflatten(2, x.shape[-2:]))


class Level(nn.Module):
    """Residual blocks of one resolution, transformers between them where `heads` > 0, and a change of
    resolution after them."""

    upsamplers: Any
    downsamplers: Any

    def __init__(
        self,
        widths: list[tuple[int, int]],
        groups: int,
        eps: float,
        *,
        resize: Resize = "none",
        time: int = 0,
        heads: int = 0,
        context: int = 0,
        transformers: int | None = None,
    ) -> None:
        """widths: channels into and out of each block. transformers: their number, one after each block by
        default."""
        super().__init__()
        self.widths, self.resize = widths, resize
        out = widths[-1][1]
        self.resnets = nn.ModuleList(ResnetBlock(a, b, groups, eps, time) for a, b in widths)
        count = (len(widths) if transformers is None else transformers) if heads else 0
        if count:
            self.attentions = nn.ModuleList(
                SpatialTransformer(out, context, heads, groups) for _ in range(count)
            )
        self.transformers = count
        if resize == "up":
            self.upsamplers = nn.ModuleList([nn.ModuleDict({"conv": nn.Conv2d(out, out, 3, padding=1)})])
        elif resize != "none":
            padding = 1 if resize == "down" else 0
            self.downsamplers = nn.ModuleList(
                [nn.ModuleDict({"conv": nn.Conv2d(out, out, 3, stride=2, padding=padding)})]
            )

    def block(
        self, index: int, x: Tensor, time: Tensor | None = None, prompt: Tensor | None = None
    ) -> Tensor:
        """Residual block `index`, then its transformer."""
        x = self.resnets[index](x, time)
        return self.attentions[index](x, prompt) if index < self.transformers else x

    def resized(self, x: Tensor) -> Tensor:
        """Half or twice the resolution, or the same."""
        if self.resize == "up":
            return self.upsamplers[0]["conv"](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        if self.resize == "none":
            return x
        x = F.pad(x, (0, 1, 0, 1)) if self.resize == "down_corner" else x
        return self.downsamplers[0]["conv"](x)

    def forward(self, x: Tensor, time: Tensor | None = None, prompt: Tensor | None = None) -> Tensor:
        """All blocks, then the change of resolution."""
        for index in range(len(self.widths)):
            x = self.block(index, x, time, prompt)
        return self.resized(x)


def time_features(timesteps: Float[Tensor, " b"], channels: int) -> Float[Tensor, "b c"]:
    """Cosines and sines of the timestep at falling frequencies (Ho et al. 2020)."""
    half = channels // 2
    frequencies = torch.exp(
        -torch.log(torch.tensor(10000.0)) * torch.arange(half, dtype=torch.float32) / half
    )
    angles = timesteps[:, None].float() * frequencies.to(timesteps.device)
    return torch.cat([angles.cos(), angles.sin()], -1)
