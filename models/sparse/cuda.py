"""Sparse 3D convolution by spconv: the fast twin of `models/sparse/convolution.py`, on the same weights and
state dict.

`accelerate(model)` exchanges the layers of a model in place. With spconv's Native algorithm it also runs on a
CPU, where only tests want it (the torch twin is faster there).
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from turnaround.models.sparse.convolution import SparseConv3d, SparseVoxels, coarser


def available() -> bool:
    """Whether spconv is installed."""
    return importlib.util.find_spec("spconv") is not None


class SpconvConv3d(SparseConv3d):
    """`SparseConv3d` computed by spconv; gives the same voxels in the same order."""

    def forward(self, voxels: SparseVoxels, rows: Int[Tensor, "m 27"] | None = None) -> SparseVoxels:
        """Convolve; `rows`, the torch twin's table, is not needed."""
        del rows
        out = self._module()(_tensor(voxels))
        if self.stride == 1:  # the voxels stay, and their order
            return voxels.with_features(out.features)
        target = coarser(voxels)
        return target.with_features(out.features[_matching(out.indices, target)])

    def _module(self) -> Any:
        """spconv's layer around this layer's own weight; made at each call, since it holds nothing else."""
        import spconv.pytorch as spconv  # pyright: ignore[reportMissingImports]

        # Native is the one algorithm that runs on both devices; the implicit GEMMs are for CUDA alone
        algo = None if self.weight.device.type == "cuda" else spconv.ConvAlgo.Native
        kind = spconv.SubMConv3d if self.stride == 1 else spconv.SparseConv3d
        out, channels = self.weight.shape[0], self.weight.shape[-1]
        with torch.device("meta"):
            layer = kind(channels, out, 3, stride=self.stride, padding=1, bias=False, algo=algo)
        del layer.weight
        layer.weight = self.weight
        return layer.train(self.training)


def accelerate(model: nn.Module) -> int:
    """Exchange every `SparseConv3d` below `model` for spconv's; returns how many. ImportError without
    spconv."""
    if not available():
        raise ImportError(
            "spconv is not installed: pip install 'turnaround[cuda]', or keep the torch twin of "
            "models/sparse/convolution.py"
        )
    layers = [layer for layer in model.modules() if type(layer) is SparseConv3d]
    for layer in layers:
        layer.__class__ = SpconvConv3d  # same parameters, same state dict, another forward
    return len(layers)


def _tensor(voxels: SparseVoxels) -> Any:
    import spconv.pytorch as spconv  # pyright: ignore[reportMissingImports]

    return spconv.SparseConvTensor(
        voxels.features.float(), voxels.coordinates.int().contiguous(), list(voxels.shape), voxels.batch
    )


def _matching(found: Int[Tensor, "m 4"], target: SparseVoxels) -> Int[Tensor, " m"]:
    """Rows of spconv's output in the order of the target's voxels (sorted by batch, x, y, z)."""
    x, y, z = target.shape
    key = ((found[:, 0].long() * x + found[:, 1]) * y + found[:, 2]) * z + found[:, 3]
    if len(key) != len(target.coordinates):
        raise RuntimeError(f"spconv made {len(key)} voxels, expected {len(target.coordinates)}")
    return key.argsort()
