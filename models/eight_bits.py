"""Large tensors of a weight file in 8 bits: whole numbers, and a scale for each row.

A tensor `NAME` of two dimensions or more and at least `LEAST` numbers is stored as int8 of its shape beside
`NAME.scale`, float32 (rows,), where a row is all that feeds one output (the first dimension); value = number
x scale. Norms, biases and small matrices stay as they are. A row's scale is its largest magnitude / 127, so
no value moves by more than half a scale. Clipping the largest ones for a smaller squared error would gain .01
of 45 dB on the Human Gaussian Models (docs/results.md, "Weights in 8 bits").
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST = 2048  # numbers of a tensor that is worth a scale
SUFFIX = ".scale"
_TOP = 127  # symmetric: -128 is not used


def packed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with its large float tensors in 8 bits; the others are the same objects."""
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.dim() > 1 and tensor.numel() >= LEAST:
            out[name], out[name + SUFFIX] = _in_rows(tensor.float())
        else:
            out[name] = tensor
    return out


def _in_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """int8 of the shape of `values`, and float32 (rows,)."""
    rows = values.flatten(1)
    scale = rows.abs().amax(1) / _TOP
    steps = rows / torch.where(scale > 0, scale, 1)[:, None]  # a row of zeros has a scale of 0
    return steps.round().clamp(-_TOP, _TOP).to(torch.int8).reshape(values.shape), scale


def unpacked(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with its 8-bit tensors as float32, others the same objects.

    Raises:
        ValueError: an int8 tensor without its scale, or a scale of another kind or shape; names the tensor.
    """
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) in state:
            continue
        if tensor.dtype == torch.int8 or name + SUFFIX in state:
            out[name] = _widened(name, tensor, state.get(name + SUFFIX))
        else:
            out[name] = tensor
    return out


def _widened(name: str, numbers: Tensor, scale: Tensor | None) -> Tensor:
    """float32 of the shape of `numbers`."""
    if scale is None:
        raise ValueError(f"tensor {name} is int8, and {name}{SUFFIX} is missing")
    if numbers.dtype != torch.int8 or scale.dtype != torch.float32:
        raise ValueError(
            f"tensor {name} with a scale is {numbers.dtype} and {scale.dtype}, expected int8 and float32"
        )
    if numbers.dim() == 0 or scale.shape != numbers.shape[:1]:
        raise ValueError(
            f"tensor {name} is {tuple(numbers.shape)}, its scale {tuple(scale.shape)}, expected one a row"
        )
    if not (torch.isfinite(scale) & (scale >= 0)).all():
        raise ValueError(f"scales of tensor {name} are not all finite and at least 0")
    return numbers.float() * scale.reshape(-1, *[1] * (numbers.dim() - 1))
