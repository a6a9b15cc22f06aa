"""Scaled dot-product attention in the precision that is fastest on the device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def attend(
    query: Float[Tensor, "b h n c"],
    key: Float[Tensor, "b h m c"],
    value: Float[Tensor, "b h m c"],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "b h n c"]:
    """softmax(query key' / sqrt(c)) value; keys where `mask` is False are left out.

    On a CPU always in float32: torch's bfloat16 backward is six times slower there.
    """
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(query.float(), key.float(), value.float(), attn_mask=mask)
