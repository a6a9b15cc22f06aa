"""What every set of Gaussians must hold, for tests."""

from __future__ import annotations

import dataclasses

import torch

from turnaround.pipeline.values.types import Gaussians


def assert_valid(gaussians: Gaussians) -> None:
    for field in dataclasses.fields(Gaussians):
        assert torch.isfinite(getattr(gaussians, field.name)).all(), field.name
    assert (gaussians.scales > 0).all()
    for bounded in (gaussians.opacities, gaussians.colors):
        assert ((bounded >= 0) & (bounded <= 1)).all()
    torch.testing.assert_close(gaussians.quats.norm(dim=-1), torch.ones(len(gaussians)))
