"""The fusion transformer: attention among Gaussians."""

from __future__ import annotations

import pytest
import torch

from turnaround.models.hgm.fusion import FusionTransformer, morton_order


def test_fusion_does_not_depend_on_the_order_of_the_gaussians():
    torch.manual_seed(0)
    fusion = FusionTransformer(8, 2, 3, 16)
    tokens, centres = torch.randn(75, 8), torch.rand(75, 3)
    shuffle = torch.randperm(75)
    torch.testing.assert_close(
        fusion(tokens[shuffle], centres[shuffle]), fusion(tokens, centres)[shuffle], atol=1e-5, rtol=1e-4
    )


def test_gaussians_attend_to_each_other_across_windows():
    """One change reaches the neighbours on the curve, and through shifted windows further; tokens are
    Gaussians."""
    torch.manual_seed(0)
    fusion = FusionTransformer(8, 2, 2, 16)
    tokens, centres = torch.randn(64, 8), torch.rand(64, 3)
    order = morton_order(centres)
    changed = tokens.clone()
    changed[order[20]] = torch.randn(8)
    reached = (fusion(changed, centres) - fusion(tokens, centres)).abs().amax(1)[order] > 1e-5
    assert reached[16:32].all()
    assert reached.sum() > 16
    assert not reached[48:].any()


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 40])
def test_fusion_takes_any_number_of_gaussians(count):
    out = FusionTransformer(8, 2, 2, 16)(torch.randn(count, 8), torch.rand(count, 3))
    assert out.shape == (count, 8)
    assert torch.isfinite(out).all()


def test_neighbours_on_the_curve_are_near():
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0))
    along = points[morton_order(points)].diff(dim=0).norm(dim=-1).mean()
    assert along < 0.2 * points.diff(dim=0).norm(dim=-1).mean()
