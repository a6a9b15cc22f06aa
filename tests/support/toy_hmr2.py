"""HMR 2.0's checkpoint of any size, written down from its architecture, and what it computes, slowly."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from turnaround.models.gst.config import ViTSize

TINY = ViTSize(
    size=64,
    encoder_width=32,
    encoder_layers=2,
    encoder_heads=4,
    width=24,
    layers=2,
    heads=3,
    head_width=8,
    hidden=40,
)
DECODER = "smpl_head.transformer"


def checkpoint_shapes(size: ViTSize) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the state dict (4D-Humans' `HMR2`, ViTPose's backbone); some of SMPL's, too."""
    wide, d, inner = size.encoder_width, size.width, size.heads * size.head_width
    patches = (size.size // size.patch) * (size.size * 3 // 4 // size.patch)
    shapes: dict[str, tuple[int, ...]] = {"backbone.pos_embed": (1, patches + 1, wide)}

    def linear(name: str, outputs: int, *inputs: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (outputs, *inputs)
        if bias:
            shapes[f"{name}.bias"] = (outputs,)

    linear("backbone.patch_embed.proj", wide, 3, size.patch, size.patch)
    for k in range(size.encoder_layers):
        block = f"backbone.blocks.{k}"
        linear(f"{block}.norm1", wide)
        linear(f"{block}.attn.qkv", 3 * wide, wide)
        linear(f"{block}.attn.proj", wide, wide)
        linear(f"{block}.norm2", wide)
        linear(f"{block}.mlp.fc1", 4 * wide, wide)
        linear(f"{block}.mlp.fc2", wide, 4 * wide)
    linear("backbone.last_norm", wide)
    linear(f"{DECODER}.to_token_embedding", d, 1)
    shapes[f"{DECODER}.pos_embedding"] = (1, 1, d)
    for k in range(size.layers):
        layer = f"{DECODER}.transformer.layers.{k}"
        for part in range(3):
            linear(f"{layer}.{part}.norm", d)
        linear(f"{layer}.0.fn.to_qkv", 3 * inner, d, bias=False)
        linear(f"{layer}.0.fn.to_out.0", d, inner)
        linear(f"{layer}.1.fn.to_q", inner, d, bias=False)
        linear(f"{layer}.1.fn.to_kv", 2 * inner, wide, bias=False)
        linear(f"{layer}.1.fn.to_out.0", d, inner)
        linear(f"{layer}.2.fn.net.0", size.hidden, d)
        linear(f"{layer}.2.fn.net.3", d, size.hidden)
    for name, outputs in (("decpose", 144), ("decshape", 10), ("deccam", 3)):
        linear(f"smpl_head.{name}", outputs, d)
    shapes |= {"smpl_head.init_body_pose": (1, 144), "smpl_head.init_betas": (1, 10)}
    shapes |= {"smpl_head.init_cam": (1, 3), "discriminator.fc.weight": (4, 4), "initialized": ()}
    return shapes | {"smpl.J_regressor": (24, 6890), "smpl.v_template": (6890, 3)}


def random_state(size: ViTSize, seed: int = 0) -> dict[str, Tensor]:
    """Random tensors of these names; the mean pose and camera are those of somebody upright."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in checkpoint_shapes(size).items():
        spread = 0.5 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.1
        state[name] = spread * torch.randn(shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            state[name] += 1
    pose = torch.eye(3).repeat(24, 1, 1)
    pose[0] = torch.diag(torch.tensor([1.0, -1, -1]))
    state["smpl_head.init_body_pose"] = torch.cat([pose[..., 0], pose[..., 1]], -1).reshape(1, 144)
    state["smpl_head.init_cam"] = torch.tensor([[0.9, 0.02, 0.1]])
    return state


def slow_hmr2(state: dict[str, Tensor], window: Tensor, size: ViTSize) -> tuple[Tensor, Tensor]:
    """Windows (b,3,s,s) in [0, 1] -> SMPL's rotations against the parents (b,24,3,3), (s, tx, ty) (b,3)."""

    def linear(x: Tensor, name: str) -> Tensor:
        y = torch.einsum("...i,oi->...o", x, state[f"{name}.weight"])
        return y + state.get(f"{name}.bias", torch.zeros(()))

    def norm(x: Tensor, name: str, epsilon: float) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + epsilon).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        q, k, v = (x.reshape(*x.shape[:2], heads, -1) for x in (q, k, v))
        share = torch.einsum("bqhd,bmhd->bhqm", q, k).div(math.sqrt(q.shape[-1])).softmax(-1)
        return torch.einsum("bhqm,bmhd->bqhd", share, v).flatten(2)

    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    margin = size.size // 8
    picture = (window[..., margin:-margin] - mean[:, None, None]) / deviation[:, None, None]
    patches = F.pad(picture, (2, 2, 2, 2)).unfold(2, size.patch, size.patch).unfold(3, size.patch, size.patch)
    x = torch.einsum("bcyxij,dcij->byxd", patches, state["backbone.patch_embed.proj.weight"]).flatten(1, 2)
    x = x + state["backbone.patch_embed.proj.bias"]
    x = x + state["backbone.pos_embed"][:, 1:] + state["backbone.pos_embed"][:, :1]
    for k in range(size.encoder_layers):
        block = f"backbone.blocks.{k}"
        qkv = linear(norm(x, f"{block}.norm1", 1e-6), f"{block}.attn.qkv").chunk(3, -1)
        x = x + linear(attention(*qkv, size.encoder_heads), f"{block}.attn.proj")
        inside = linear(norm(x, f"{block}.norm2", 1e-6), f"{block}.mlp.fc1")
        x = x + linear(F.gelu(inside), f"{block}.mlp.fc2")
    image = norm(x, "backbone.last_norm", 1e-6)
    token = linear(torch.zeros(len(window), 1, 1), f"{DECODER}.to_token_embedding")
    token = token + state[f"{DECODER}.pos_embedding"]
    for k in range(size.layers):
        among, toward, each = (f"{DECODER}.transformer.layers.{k}.{part}" for part in range(3))
        qkv = linear(norm(token, f"{among}.norm", 1e-5), f"{among}.fn.to_qkv").chunk(3, -1)
        token = token + linear(attention(*qkv, size.heads), f"{among}.fn.to_out.0")
        query = linear(norm(token, f"{toward}.norm", 1e-5), f"{toward}.fn.to_q")
        seen = attention(query, *linear(image, f"{toward}.fn.to_kv").chunk(2, -1), size.heads)
        token = token + linear(seen, f"{toward}.fn.to_out.0")
        inside = linear(norm(token, f"{each}.norm", 1e-5), f"{each}.fn.net.0")
        token = token + linear(F.gelu(inside), f"{each}.fn.net.3")
    token = token[:, 0]
    pose = linear(token, "smpl_head.decpose") + state["smpl_head.init_body_pose"]
    first, second = pose.reshape(-1, 24, 2, 3).unbind(2)
    a = first / first.norm(dim=-1, keepdim=True)
    b = second - (a * second).sum(-1, keepdim=True) * a
    b = b / b.norm(dim=-1, keepdim=True)
    rotations = torch.stack([a, b, torch.linalg.cross(a, b)], -1)
    return rotations, linear(token, "smpl_head.deccam") + state["smpl_head.init_cam"]
