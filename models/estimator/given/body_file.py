"""Bodies that other estimators wrote: `photo.smplx.npz`, `.json` or `.pkl` of PIXIE, PyMAF-X, SMPLer-X,
Multi-HMR and kin.

They agree on SMPL-X and differ in names, in how rotations are written (axis-angle, matrices, 6D, quaternions
never), in PCA or full hands, and in how the camera is told: a translation in camera space, or a
weak-perspective (s, tx, ty).
"""

from __future__ import annotations

import io
import logging
import math
import zipfile
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.given.pickles import MAX_BYTES, load_pickle
from turnaround.models.estimator.given.whole_pose import (
    BODY_POSE,
    PAIRS,
    WHOLE_POSE,
    of_a_film,
    of_person,
    split_pairs,
    split_whole_pose,
)
from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.untrusted import check_plain, parse_json, read_npz
from turnaround.pipeline.values.camera import DISTANCE, FOCAL
from turnaround.pipeline.values.rotation import matrix_to_axis_angle, rot6d_to_matrix
from turnaround.pipeline.values.types import Body

log = logging.getLogger(__name__)

NAMES: dict[str, tuple[str, ...]] = {
    "betas": ("betas", "shape", "pred_shape", "smplx_shape", "pred_betas", "smplx_betas"),
    "expression": ("expression", "exp", "pred_exp", "expr", "smplx_expr", "pred_expression"),
    "global_orient": (
        "global_orient",
        "global_pose",
        "root_pose",
        "smplx_root_pose",
        "pred_global_orient",
        "pred_orient",
        "root_orient",
    ),
    "body_pose": BODY_POSE,
    "left_hand_pose": (
        "left_hand_pose",
        "lhand_pose",
        "smplx_lhand_pose",
        "pred_lhand_pose",
        "pred_left_hand_pose",
    ),
    "right_hand_pose": (
        "right_hand_pose",
        "rhand_pose",
        "smplx_rhand_pose",
        "pred_rhand_pose",
        "pred_right_hand_pose",
    ),
    "jaw_pose": ("jaw_pose", "smplx_jaw_pose", "pred_jaw_pose", "pose_jaw"),
    "leye_pose": ("leye_pose", "left_eye_pose"),
    "reye_pose": ("reye_pose", "right_eye_pose"),
    "transl": ("transl", "translation", "cam_trans", "cam_t", "pred_cam_t", "trans"),
}
"""Field of Body -> names under which files hold it."""
Layout = Literal["columns", "rows", "pairs"]
"""How rotations are written: by columns; by rows (nine numbers: as the inverse); six also as the rows of two
columns, in pairs."""
CAMERA = ("cam", "pred_cam", "weak_cam", "orig_cam")
KNOWN = {*(name for names in NAMES.values() for name in names), *WHOLE_POSE, *PAIRS, *CAMERA}
"""All names of arrays that are understood."""
MAX_VALUE = 1000.0
JOINTS = {
    "global_orient": 1,
    "body_pose": 21,
    "left_hand_pose": 15,
    "right_hand_pose": 15,
    "jaw_pose": 1,
    "leye_pose": 1,
    "reye_pose": 1,
}


class UnknownBody(ValueError):
    """The file's content cannot be understood as one SMPL-X body."""


def read_body(data: bytes, person: int = 0, layout: Layout = "columns") -> tuple[Body, bool]:
    """The body in a sidecar file's bytes, and whether the file placed it before the camera.

    Args:
        data: .npz, .json or .pkl, told apart by content.
        person: which one, where the file holds several.
        layout: how its rotations of six or nine numbers are written.

    Returns:
        A Body in the world frame, with zeros for what the file does not tell. The second value is False where
        it gave neither translation nor camera: `transl` is then zero and must be found from the picture.

    Raises:
        UnknownBody: what was found, what was expected, and the remedy.
    """
    try:
        return _understood(fields_of(data, person), person, layout)
    except UnknownBody:
        raise
    except (ValueError, LookupError, OverflowError, RuntimeError) as error:  # RuntimeError: torch's algebra
        raise UnknownBody(f"the body file cannot be read: {error}") from error


def fields_of(data: bytes, person: int = 0) -> dict[str, np.ndarray]:
    """The arrays of a sidecar file by name, as it holds them; ValueError where it cannot be read."""
    return flatten(parse(data), person)


def _understood(fields: Mapping[str, np.ndarray], person: int, layout: Layout) -> tuple[Body, bool]:
    fields = of_person(fields, person)
    values = {
        name: next((fields[key] for key in keys if key in fields), None) for name, keys in NAMES.items()
    }
    if values["body_pose"] is None:
        values |= split_whole_pose(fields)
    values |= {name: half for name, half in split_pairs(fields).items() if values[name] is None}
    if of_a_film(fields):
        log.warning(
            "the body file is motion capture: its pose %d is used (stages.estimate.given.person), placed by "
            "the picture",
            person,
        )
        values["transl"] = None
    for needed in ("global_orient", "body_pose"):
        if values[needed] is None:
            raise UnknownBody(
                f"the body file has no {needed} (names known: {', '.join(NAMES[needed])}); it holds "
                f"{sorted(fields)[:30]}"
            )
    body = {name: _rotations(name, values[name], count, person, layout) for name, count in JOINTS.items()}
    body |= {name: _coefficients(name, values[name], person) for name in ("betas", "expression")}
    transl, placed = _placement(
        values["transl"], next((fields[key] for key in CAMERA if key in fields), None), person
    )
    result = Body(**body, transl=transl)
    for name, tensor in vars(result).items():
        if not bool(torch.isfinite(tensor).all()) or float(tensor.abs().max()) > MAX_VALUE:
            raise UnknownBody(
                f"'{name}' of the body file is not finite or beyond {MAX_VALUE:.0f} (metres, radians or "
                f"coefficients)"
            )
    return result, placed


def parse(data: bytes) -> Any:
    """The Python value in the file; ValueError for one that holds nothing."""
    if not data:
        raise FormatError("it is empty (0 bytes); write it again")
    if data[:2] == b"PK" and _is_npz(data):
        arrays = read_npz(data, MAX_BYTES, needed=KNOWN)  # AMASS has dictionaries beside its poses
        return {key: array for key, array in arrays.items() if array.dtype.kind in "fiub"}
    if data.lstrip()[:1] in (b"{", b"["):
        value = parse_json(data)
        check_plain(value)
        return value
    return load_pickle(data)


def _is_npz(data: bytes) -> bool:
    """Whether a zip archive holds numpy's arrays; ValueError for a damaged or an empty one."""
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except zipfile.BadZipFile as error:
        raise FormatError(f"it begins like a zip archive and is damaged ({error})") from error
    if not names:
        raise FormatError(
            "it is an .npz without a single array; save it again: `numpy.savez(path, global_orient=..., "
            "body_pose=...)`"
        )
    return any(name.endswith(".npy") for name in names)


def flatten(value: Any, person: int) -> dict[str, np.ndarray]:
    """One level of names -> arrays; lists of people and dictionaries inside (`annot`, `param_pred`, `smplx`)
    are opened."""
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
        if person >= len(value):
            raise FormatError(f"person {person} was asked for, the file holds {len(value)}")
        value = value[person]
    if not isinstance(value, Mapping):
        raise FormatError(f"expected named fields (a dictionary), got {type(value).__name__}")
    result: dict[str, np.ndarray] = {}
    for key, content in value.items():
        if isinstance(content, Mapping) or (
            isinstance(content, (list, tuple)) and content and isinstance(content[0], Mapping)
        ):
            result |= {k: v for k, v in flatten(content, person).items() if k not in result}
            continue
        try:
            array = np.asarray(content)
        except ValueError:  # ragged lists are not what we look for
            continue
        if array.dtype.kind in "fiub":
            with np.errstate(over="ignore", invalid="ignore"):
                result[str(key)] = array.astype(np.float32)
    return result


def _rotations(
    name: str, value: np.ndarray | None, count: int, person: int, layout: Layout
) -> Float[Tensor, "..."]:
    """Axis-angle (count, 3), or (3,) for a single joint, from any of the known ways of writing."""
    if value is None:
        return torch.zeros(3) if count == 1 else torch.zeros(count, 3)
    array = _of_person(value, {count * width for width in (3, 6, 9)}, person)
    if array is None and count == 21:  # SMPL's 23 joints: the hands' two are not SMPL-X's
        array = _of_person(value, {23 * 3, 23 * 9}, person)
        array = None if array is None else array.reshape(23, -1)[:21].reshape(-1)
    if array is None:
        raise UnknownBody(
            f"'{name}' has shape {np.shape(value)}, expected {count} rotations as axis-angle ({count}, 3), "
            f"6D ({count}, 6) or matrices "
            f"({count}, 3, 3)"
            + ("; hands in PCA coefficients must be expanded first" if "hand" in name else "")
        )
    rotations = torch.from_numpy(array.reshape(count, -1))
    if rotations.shape[1] > 3:
        rotations = matrix_to_axis_angle(matrices_of(name, rotations, layout))
    return rotations[0] if count == 1 else rotations


def matrices_of(name: str, numbers: Float[Tensor, "n k"], layout: Layout) -> Float[Tensor, "n 3 3"]:
    """Rotations of nine numbers, or of the six of two columns."""
    if numbers.shape[1] == 9:
        matrices = _nearest_rotation(name, numbers.reshape(-1, 3, 3))
    elif layout == "pairs":
        return rot6d_to_matrix(numbers.reshape(-1, 3, 2).mT.reshape(-1, 6))
    else:
        matrices = rot6d_to_matrix(numbers)
    return matrices.mT.contiguous() if layout == "rows" else matrices


def _nearest_rotation(name: str, matrices: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n 3 3"]:
    u, s, vt = torch.linalg.svd(matrices)
    if (s - 1).abs().max() > 0.2 or (torch.det(u @ vt) < 0).any():
        raise UnknownBody(
            f"'{name}' holds 3x3 matrices that are no rotations (singular values "
            f"{float(s.min()):.2f}..{float(s.max()):.2f})"
        )
    return u @ vt


def _coefficients(name: str, value: np.ndarray | None, person: int) -> Float[Tensor, " 10"]:
    """The first ten; fewer are filled with zeros. PIXIE writes 200 betas and 50 expressions, others 10."""
    if value is None:
        return torch.zeros(10)
    rows = np.atleast_2d(value).reshape(-1, np.shape(value)[-1] if np.ndim(value) else 1)
    row = rows[min(person, len(rows) - 1)]
    result = torch.zeros(10)
    result[: min(10, len(row))] = torch.from_numpy(row[:10].copy())
    return result


def _of_person(value: np.ndarray, sizes: set[int], person: int) -> np.ndarray | None:
    """The numbers of one person: the whole array if it has one of `sizes`, else its row; None if neither
    fits."""
    if value.size in sizes:
        return np.ascontiguousarray(value).reshape(-1)
    if value.ndim > 1 and person < len(value) and value[person].size in sizes:
        return np.ascontiguousarray(value[person]).reshape(-1)
    return None


def _placement(
    transl: np.ndarray | None, camera: np.ndarray | None, person: int
) -> tuple[Float[Tensor, " 3"], bool]:
    """`transl` in the world frame.

    A translation is taken as in camera space (OpenCV axes, metres) and moved to the world's origin, DISTANCE
    before the camera. One nearer than half a metre cannot be before a camera: it is already relative to our
    world.
    """
    if transl is not None and (row := _of_person(transl, {3}, person)) is not None and bool(np.any(row)):
        result = torch.from_numpy(row.copy())
        return (result - torch.tensor([0, 0, DISTANCE]) if result[2] > 0.5 else result), True
    if camera is not None and (row := _of_person(camera, {3}, person)) is not None:
        return weak_perspective_to_transl(torch.from_numpy(row.copy())), True
    return torch.zeros(3), False


def weak_perspective_to_transl(camera: Float[Tensor, "*b 3"], focal: float = FOCAL) -> Float[Tensor, "*b 3"]:
    """Weak perspective (s, tx, ty) of the square picture -> translation before the canonical camera, world
    frame.

    A point (x, y) of the body is drawn at s * (x + tx) in [-1, 1]; perspective draws it at 2 * focal * (x +
    tx) / depth. Equal where depth = 2 * focal / s (HMR's convention with the project's focal length).
    """
    s, tx, ty = camera.unbind(-1)
    return torch.stack([tx, ty, 2 * focal / s.clamp(min=1e-3) - DISTANCE], -1)


def transl_to_weak_perspective(transl: Float[Tensor, "*b 3"], focal: float = FOCAL) -> Float[Tensor, "*b 3"]:
    """The inverse of `weak_perspective_to_transl`."""
    return torch.stack([2 * focal / (transl[..., 2] + DISTANCE), transl[..., 0], transl[..., 1]], -1)


def upright(body: Body) -> bool:
    """Whether the head points up in the picture: files with y up axes fail this and need turning by pi about
    x."""
    angle = body.global_orient.norm()
    if angle < 1e-6:
        return False
    axis = body.global_orient / angle
    up_y = math.cos(angle) + float(axis[1] ** 2) * (1 - math.cos(angle))  # y component of R @ (0, 1, 0)
    return up_y < 0
