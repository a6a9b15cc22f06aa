"""A rig as an .npz: `rest.*` and `photo.*` (SMPL-X parameters), `joints`, bones and weights of mesh and
Gaussians, and the bones `about` those Gaussians that were added."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.untrusted import read_npz
from turnaround.pipeline.values.arrays import as_array
from turnaround.pipeline.values.rig import INFLUENCES, Rig, SkinWeights
from turnaround.pipeline.values.types import Body

MOST_BYTES = 256 * 2**20  # of the arrays of a rig: 8 million points


def save(rig: Rig, path: Path) -> None:
    """Write the rig; equal rigs give equal bytes."""
    arrays = {"joints": as_array(rig.joints).copy("C")}
    for name in ("rest", "photo"):
        body = getattr(rig, name)
        arrays |= {f"{name}.{field}": as_array(value).copy("C") for field, value in vars(body).items()}
    for name in ("mesh", "gaussians"):
        skin: SkinWeights = getattr(rig, name)
        arrays[f"{name}.bones"] = skin.bones.numpy().astype(np.uint8)
        arrays[f"{name}.weights"] = as_array(skin.weights).copy("C")
    arrays["about"] = rig.about.numpy().astype(np.uint8)
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise FormatError(f"{path.name}: {', '.join(broken)} of the rig are not finite")
    with path.open("wb") as stream:  # numpy stamps its entries 1980-01-01, so the bytes repeat
        np.savez(stream, allow_pickle=False, **arrays)


def load(path: Path) -> Rig:
    """Read what `save` wrote; FormatError for anything else."""
    try:
        with path.open("rb") as stream:
            arrays = read_npz(stream, MOST_BYTES)
        bodies = {name: _body(arrays, name) for name in ("rest", "photo")}
        joints = torch.from_numpy(arrays["joints"])
        about = _about(arrays, len(joints))
        skins = {name: _skin(arrays, name, len(joints)) for name in ("mesh", "gaussians")}
    except (ValueError, KeyError) as error:
        raise FormatError(f"{path}: not a rig: {error}") from error
    return Rig(bodies["rest"], bodies["photo"], joints, skins["mesh"], skins["gaussians"], about)


def _body(arrays: dict[str, np.ndarray], name: str) -> Body:
    neutral = Body.neutral()
    values: dict[str, torch.Tensor] = {}
    for field in fields(Body):
        array = arrays[f"{name}.{field.name}"]
        expected = tuple(getattr(neutral, field.name).shape)
        if array.shape != expected or array.dtype != np.float32:
            raise ValueError(
                f"{name}.{field.name} is {array.dtype} {array.shape}, expected float32 {expected}"
            )
        values[field.name] = torch.from_numpy(array)
    return Body(**values)


def _about(arrays: dict[str, np.ndarray], joints: int) -> torch.Tensor:
    if "about" not in arrays:  # written before what was added had its bones: it is always shown
        return torch.zeros(0, INFLUENCES, dtype=torch.int64)
    about = arrays["about"]
    if about.ndim != 2 or about.shape[1] != INFLUENCES or len(about) > len(arrays["gaussians.bones"]):
        raise ValueError(f"about: {about.shape}, expected (m, {INFLUENCES}) of at most all Gaussians")
    if about.size and int(about.max()) >= joints:
        raise ValueError(f"about: bone {int(about.max())} of {joints}")
    return torch.from_numpy(about.astype(np.int64))


def _skin(arrays: dict[str, np.ndarray], name: str, joints: int) -> SkinWeights:
    bones, weights = arrays[f"{name}.bones"], arrays[f"{name}.weights"]
    if bones.shape != weights.shape or bones.ndim != 2 or bones.shape[1] != INFLUENCES:
        raise ValueError(
            f"{name}: bones {bones.shape} and weights {weights.shape}, expected (n, {INFLUENCES}) each"
        )
    if bones.size and int(bones.max()) >= joints:
        raise ValueError(f"{name}: bone {int(bones.max())} of {joints}")
    return SkinWeights(torch.from_numpy(bones.astype(np.int64)), torch.from_numpy(weights))
