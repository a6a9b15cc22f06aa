"""SMPL-X and SMPL parameters as datasets write them (.pkl, .json, .npz) to the fields of `Body`; no pickle is
executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from turnaround.data.scans.scan import ScanError
from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.given.pickles import load_pickle
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.formats.untrusted import parse_json, read_npz
from turnaround.pipeline.values.types import Body

JOINTS = {"global_orient": 1, "body_pose": 21, "jaw_pose": 1, "leye_pose": 1, "reye_pose": 1}
SMPL_POSE = 69  # 23 joints: those of SMPL-X's body and the two hands


@dataclass(frozen=True)
class HandSpace:
    """The hands' principal components of a body model file, without which 12 coefficients mean nothing."""

    components: Float32[np.ndarray, "2 45 45"]  # left, right
    mean: Float32[np.ndarray, "2 45"]

    @staticmethod
    def of(file: Path) -> HandSpace:
        """Read them from a file in SMPL-X's format."""
        with np.load(file, allow_pickle=False) as archive:
            values = {
                key: archive[key].astype(np.float32) for key in archive.files if key.startswith("hands_")
            }
        return HandSpace(
            np.stack([values[f"hands_components{side}"] for side in "lr"]),
            np.stack([values[f"hands_mean{side}"] for side in "lr"]),
        )


@dataclass(frozen=True)
class SourceBody:
    """The body model that a dataset's parameters were fitted with."""

    model: BodyModel
    hands: HandSpace


def read_fields(file: Path) -> dict[str, np.ndarray]:
    """Named arrays of a .pkl, .json or .npz file; ScanError where it is missing, damaged or unsafe."""
    if not file.is_file():
        raise ScanError(
            f"{file} is missing: expected the fitted body's parameters; download the dataset's SMPL-X "
            f"archive and unpack it there"
        )
    data = file.read_bytes()
    try:
        value = _parsed(file, data)
        if not isinstance(value, Mapping):
            raise CallError(f"expected named fields, got {type(value).__name__}")
        arrays = {str(key): np.asarray(content) for key, content in value.items() if content is not None}
    except (ValueError, KeyError, OSError) as error:
        raise ScanError(f"{file}: the body's parameters cannot be read: {error}") from error
    with np.errstate(over="ignore", invalid="ignore"):
        found = {
            key: array.astype(np.float32)
            for key, array in arrays.items()
            if array.dtype.kind in "fiub" and array.size
        }
    broken = [key for key, array in found.items() if not np.isfinite(array).all()]
    if broken:
        raise ScanError(f"{file}: {', '.join(broken)} of the body's parameters are not finite")
    return found


def _parsed(file: Path, data: bytes) -> Any:
    if file.suffix == ".json":
        return parse_json(data)
    if file.suffix == ".npz":
        return read_npz(data)
    return load_pickle(data)


def body_of(
    file: Path, fields: Mapping[str, np.ndarray], hands: HandSpace | None, *, flat_hand: bool
) -> Body:
    """The Body in `fields`, with zeros for what they do not tell.

    Args:
        hands: of the body that the parameters were fitted with; without it, hands in PCA coefficients stay
        flat. flat_hand: whether zeros mean flat hands (smplx's `flat_hand_mean`), else the mean hand.

    Raises:
        ScanError: a field is missing or has a wrong size.
    """
    pose = {name: _rotations(file, fields, name, count) for name, count in JOINTS.items()}
    both = {
        f"{side}_hand_pose": _hand(file, fields, f"{side}_hand_pose", hands, k, flat_hand)
        for k, side in enumerate(("left", "right"))
    }
    shape = {name: _ten(fields.get(name)) for name in ("betas", "expression")}
    transl = fields.get("transl")
    return Body(
        **pose,
        **both,
        **shape,
        transl=torch.zeros(3) if transl is None else torch.from_numpy(transl.reshape(-1)[:3].copy()),
    )


def _rotations(file: Path, fields: Mapping[str, np.ndarray], name: str, count: int) -> Tensor:
    value = fields.get(name)
    if value is None:
        if name == "body_pose":
            raise ScanError(f"{file}: no 'body_pose'; it holds {sorted(fields)}; expected SMPL-X parameters")
        return torch.zeros(3)
    flat = value.reshape(-1)
    if count == 21 and flat.size == SMPL_POSE:
        flat = flat[:63]
    if flat.size != count * 3:
        raise ScanError(f"{file}: '{name}' has shape {value.shape}, expected {count} rotations as axis-angle")
    rotations = torch.from_numpy(flat.reshape(count, 3).copy())
    return rotations[0] if count == 1 else rotations


def _hand(
    file: Path, fields: Mapping[str, np.ndarray], name: str, hands: HandSpace | None, side: int, flat: bool
) -> Float[Tensor, "15 3"]:
    """Full axis-angle relative to the flat hand, as `models.body` wants it."""
    value = fields.get(name)
    if value is None:
        return torch.zeros(15, 3)
    row = value.reshape(-1)
    if row.size > 45:
        raise ScanError(
            f"{file}: '{name}' has shape {value.shape}, expected PCA coefficients or 15 rotations"
        )
    mean = np.zeros(45, np.float32) if flat or hands is None else hands.mean[side]
    if row.size < 45:  # smplx's use_pca; with 45 numbers it takes them as rotations
        row = np.zeros(45, np.float32) if hands is None else row @ hands.components[side, : row.size]
    return torch.from_numpy((row + mean).astype(np.float32).reshape(15, 3))


def _ten(value: np.ndarray | None) -> Float[Tensor, " 10"]:
    result = torch.zeros(10)
    if value is not None:
        row = value.reshape(-1)[:10]
        result[: len(row)] = torch.from_numpy(row.copy())
    return result
