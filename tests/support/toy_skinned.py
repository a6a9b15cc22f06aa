"""A tetrahedron on three bones with two clips and two shapes: the smallest file with everything in it."""

from __future__ import annotations

import numpy as np
import torch

from tests.support.toy_textured import tetrahedron
from turnaround.pipeline.formats.rigged.skinned import Clip, Morph, Skeleton, Skinned
from turnaround.pipeline.values.rig import SkinWeights


def person() -> Skinned:
    bones = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [2, 1, 0, 0], [2, 1, 0, 0]])
    weights = torch.tensor([[1.0, 0, 0, 0], [0.7, 0.3, 0, 0], [0.6, 0.4, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0]])
    bones[3] = torch.tensor([2, 1, 0, 0])
    joints = np.array([[0, 0, 0], [0, -0.5, 0.1], [0.3, -0.5, 0.1]])
    return Skinned(tetrahedron(), SkinWeights(bones, weights), Skeleton(("a", "b", "c"), (-1, 0, 1), joints))


def clips() -> tuple[Clip, ...]:
    """A turn of one bone while another is held, and a pose of one frame."""
    half = np.linspace(0, np.pi / 4, 5)
    turning = np.stack([np.cos(half), np.sin(half), 0 * half, 0 * half], -1)
    held = np.tile([np.sqrt(0.5), 0, np.sqrt(0.5), 0], (5, 1))
    still = np.tile([1.0, 0, 0, 0], (5, 1))
    root = np.stack([half, -1 + 0 * half, 0 * half], -1)
    moving = Clip("move", 25.0, np.stack([still, -turning, held], 1), root)
    return moving, Clip("pose", 30.0, np.tile([1.0, 0, 0, 0], (1, 3, 1)), np.zeros((1, 3)))


def morphs() -> tuple[Morph, ...]:
    deltas = np.array([[0.1, 0, 0], [0, 0.1, -0.2]], np.float32)
    return Morph("smile", np.array([1, 3]), deltas), Morph("nothing", np.zeros(0, np.int64), np.zeros((0, 3)))
