"""Heads of the Human Gaussian Model: what each raw channel moves, and that wild ones do no harm."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from gaussian_checks import assert_valid

from turnaround.models.hgm.heads import ABSOLUTE, BODY, RAY, AbsoluteHead, RayHead, body_gaussians
from turnaround.models.hgm.tokens import BodyTokens, PixelTokens
from turnaround.pipeline.values.camera import camera_center, orbit_cameras, project, rays
from turnaround.pipeline.values.types import Gaussians


def pixel_tokens(raw: torch.Tensor) -> PixelTokens:
    """Grey pixels 2 m before a camera at the origin."""
    n = len(raw)
    ray, zero = torch.tensor([0.1, 0.2, 1.0]).expand(n, 3), torch.zeros(n, 3)
    return PixelTokens(raw, zero.long(), zero, torch.full((n,), 2.0), zero, ray, zero + 0.5, 0.01)


def body_tokens(raw: torch.Tensor) -> BodyTokens:
    """Points that are seen, on a surface that looks along z."""
    n = len(raw)
    one, up = torch.ones(n), torch.tensor([0.0, 0.0, 1.0]).expand(n, 3)
    colors = (torch.full((n, 3), level) for level in (0.2, 0.4, 0.6))
    return BodyTokens(raw, raw, 0 * up, up, *colors, one, one, one, 0.01)


HEADS = {  # head, its channels, and which attribute each group of them moves
    "absolute": (
        lambda raw: AbsoluteHead()(pixel_tokens(raw)),
        ABSOLUTE,
        "means opacities scales quats colors",
    ),
    "ray": (lambda raw: RayHead()(pixel_tokens(raw)), RAY, "means means opacities scales quats colors"),
    "body": (
        lambda raw: body_gaussians(body_tokens(raw)),
        BODY,
        "means scales opacities colors colors quats",
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_every_group_of_channels_moves_its_own_attribute(name):
    head, layout, attributes = HEADS[name]
    raw = 0.1 * torch.randn(4, sum(layout), generator=torch.Generator().manual_seed(0))
    before, groups = head(raw), raw.split(layout, -1)
    for i, attribute in enumerate(attributes.split()):
        # not all by the same: softmax of the mixture would not notice
        stirred = [g + torch.linspace(0.1, 0.3, g.shape[1]) * (k == i) for k, g in enumerate(groups)]
        after = head(torch.cat(stirred, -1))
        moved = {f.name for f in dataclasses.fields(Gaussians)
                 if not torch.equal(getattr(before, f.name), getattr(after, f.name))}  # fmt: skip
        depth_too = {"scales"} if name == "ray" and i == 0 else set()  # a pixel is as wide as it is far
        assert moved == {attribute} | depth_too


def test_fusion_moves_absolute_positions_and_replaces_the_rest():
    raw, change = torch.randn(2, 5, 14, generator=torch.Generator().manual_seed(0))
    xyz, *rest = AbsoluteHead().changed(raw, change).split(ABSOLUTE, -1)
    torch.testing.assert_close(xyz, (raw + change).split(ABSOLUTE, -1)[0])
    assert all(torch.equal(a, b) for a, b in zip(rest, change.split(ABSOLUTE, -1)[1:], strict=True))
    torch.testing.assert_close(RayHead().changed(raw, change), raw + change)


def test_ray_head_at_zero_puts_the_pixel_on_its_ray_at_the_base_depth():
    camera = orbit_cameras([40.0], 16)[0]
    directions = rays(camera).reshape(-1, 3)
    n = len(directions)
    color, base = torch.rand(n, 3), 1.5 + torch.rand(n)
    tokens = pixel_tokens(torch.zeros(n, 14))
    g = RayHead()(
        dataclasses.replace(
            tokens, base=base, centre=camera_center(camera).expand(n, 3), ray=directions, color=color
        )
    )
    pixels, depth = project(g.means, camera)
    v, u = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(16) + 0.5, indexing="ij")
    torch.testing.assert_close(pixels, torch.stack([u, v], -1).reshape(-1, 2), atol=1e-3, rtol=0)
    torch.testing.assert_close(depth, base)
    torch.testing.assert_close(g.colors, color)
    assert_valid(g)


def test_heads_stay_valid_for_wild_values():
    raw = 50 * torch.randn(500, 14, generator=torch.Generator().manual_seed(0))
    absolute = AbsoluteHead()(pixel_tokens(raw))
    assert absolute.means.abs().max() <= 1
    # softplus underflows to 0 far below: the splat renderer takes that as nothing
    assert_valid(dataclasses.replace(absolute, scales=absolute.scales.clamp(min=1e-12)))
    assert_valid(RayHead()(pixel_tokens(raw)))
    assert_valid(body_gaussians(body_tokens(50 * torch.randn(500, 18))))
