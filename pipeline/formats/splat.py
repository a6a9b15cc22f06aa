"""Gaussians as `.splat`, the 32-byte records of antimatter15's web viewer (https://github.com/antimatter15/splat).

Each record: position (3 x float32, metres), scale (3 x float32, metres), colour and opacity (4 x uint8 of
255), rotation (4 x uint8, wxyz as 128 + 128 q). The axes are those of our PLY files (OpenCV, y down), which
viewers of this format expect as well. Records go from the most to the least visible, so that a viewer that
loads them bit by bit shows the person first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.values.types import Gaussians

RECORD = np.dtype([("position", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 4), ("rotation", "u1", 4)])


def encode(gaussians: Gaussians) -> bytes:
    """The `.splat` bytes of `gaussians`, 32 each; ValueError where a value is not finite. Colours outside of
    [0, 1] are clipped."""
    return records_of(gaussians)[by_visibility(gaussians).cpu().numpy()].tobytes()


def records_of(gaussians: Gaussians) -> np.ndarray:
    """The (n,) RECORD of `gaussians` in their own order; as `encode` otherwise."""
    g = gaussians.detach().to("cpu")
    for name, value in vars(g).items():
        if not value.isfinite().all():
            raise FormatError(f"{name} of {len(g)} Gaussians has values that are not finite")
    records = np.zeros(len(g), RECORD)
    records["position"], records["scale"] = g.means.numpy(), g.scales.numpy()
    records["color"] = np.round(
        torch.cat([g.colors, g.opacities[:, None]], 1).double().clamp(0, 1).numpy() * 255
    )
    quats = torch.nn.functional.normalize(g.quats.double(), dim=-1).numpy()
    records["rotation"] = np.round(quats * 128 + 128).clip(0, 255)
    return records


def by_visibility(gaussians: Gaussians) -> Int[Tensor, " n"]:
    """The order of the records: by volume times opacity."""
    visible = gaussians.scales.double().prod(-1) * gaussians.opacities.double()
    return torch.argsort(visible, descending=True, stable=True)


def decode(data: bytes) -> Gaussians:
    """Gaussians of a `.splat` file; ValueError where it is no sequence of 32-byte records of finite
    numbers."""
    if len(data) % RECORD.itemsize:
        raise FormatError(
            f"not a .splat, or cut short: {len(data)} bytes, expected a multiple of {RECORD.itemsize}"
        )
    records = np.frombuffer(data, RECORD)
    if not (np.isfinite(records["position"]).all() and np.isfinite(records["scale"]).all()):
        raise FormatError("a .splat with positions or scales that are not finite")
    colors = torch.from_numpy(records["color"].astype(np.float32) / np.float32(255))
    quats = torch.from_numpy((records["rotation"].astype(np.float32) - 128) / 128)
    return Gaussians(
        means=torch.from_numpy(records["position"].astype(np.float32)),
        quats=torch.nn.functional.normalize(quats, dim=-1),
        scales=torch.from_numpy(records["scale"].astype(np.float32)),
        opacities=colors[:, 3].clone(),
        colors=colors[:, :3].clone(),
    )


def save(gaussians: Gaussians, path: Path) -> None:
    """Write `encode(gaussians)`."""
    path.write_bytes(encode(gaussians))


def load(path: Path) -> Gaussians:
    """Read a `.splat`; ValueError names the file."""
    try:
        return decode(path.read_bytes())
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error
