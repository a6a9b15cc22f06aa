"""Arrays of a file over frames as rotations of SMPL-X: axis-angle, 6D or matrices, in parts or as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.given.body_file import JOINTS, NAMES, Layout, matrices_of
from turnaround.models.estimator.given.whole_pose import COUNTS, PAIRS, WHOLE_POSE
from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.values.rotation import matrix_to_axis_angle

_ORDER: dict[int, tuple[tuple[str, int, int], ...]] = {  # joints of a whole pose -> fields and where they lie
    55: (("jaw_pose", 22, 23), ("leye_pose", 23, 24), ("reye_pose", 24, 25),
         ("left_hand_pose", 25, 40), ("right_hand_pose", 40, 55)),
    53: (("left_hand_pose", 22, 37), ("right_hand_pose", 37, 52), ("jaw_pose", 52, 53)),
    52: (("left_hand_pose", 22, 37), ("right_hand_pose", 37, 52)),
    24: (), 22: (),
}  # fmt: skip


def rotations(
    fields: Mapping[str, np.ndarray], person: int, layout: Layout
) -> tuple[dict[str, Float[Tensor, "f j 3"]], int]:
    """Field of Body -> axis-angle of its joints over frames, for what the file tells; and how many joints the
    file's whole pose has (0: it is in parts).

    Raises:
        FormatError: where pelvis or body are missing, or an array has another number of joints.
    """
    found: dict[str, Tensor] = {}
    for name, count in JOINTS.items():
        key = next((key for key in NAMES[name] if key in fields), None)
        if key is not None:
            found[name] = _read(key, fields[key], (23, 21) if count == 21 else (count,), person, layout)[
                :, :21
            ]
    for key, (left, right, count) in PAIRS.items():
        if key in fields:
            both = _read(key, fields[key], (2 * count,), person, layout)
            found.setdefault(left, both[:, :count])
            found.setdefault(right, both[:, count:])
    whole = next((key for key in WHOLE_POSE if key in fields), None)
    joints = 0
    if "body_pose" not in found and whole is not None:
        counts = (*COUNTS, 21) if "global_orient" in found else COUNTS
        pose = _read(whole, fields[whole], counts, person, layout)
        joints = pose.shape[1]
        for name, part in _parts(pose).items():
            found.setdefault(name, part)
    for needed in ("global_orient", "body_pose"):
        if needed not in found:
            raise FormatError(
                f"it has no {needed} (names known: {', '.join(NAMES[needed])}, or poses for the whole body); "
                f"it holds {sorted(fields)[:30]}"
            )
    return found, joints


def _parts(pose: Float[Tensor, "f j 3"]) -> dict[str, Float[Tensor, "f k 3"]]:
    count = pose.shape[1]
    if count == 21:
        return {"body_pose": pose}
    parts = {"global_orient": pose[:, :1], "body_pose": pose[:, 1:22]}
    return parts | {name: pose[:, start:end] for name, start, end in _ORDER[count]}


def _read(
    key: str, array: np.ndarray, counts: Iterable[int], person: int, layout: Layout
) -> Float[Tensor, "f j 3"]:
    rows = _rows(array, tuple(counts))
    if rows is None:
        *most, last = sorted(set(counts))
        wanted = f"{', '.join(map(str, most))} or {last}" if most else str(last)
        raise FormatError(
            f"'{key}' of shape {array.shape} is not rotations of {wanted} joints over frames, as axis-angle "
            f"(3), 6D (6) or matrices (3 x 3)"
        )
    numbers = torch.from_numpy(one_person(key, rows, person, 2).copy()).float()
    bad = ~torch.isfinite(numbers).flatten(1).all(1)
    if bool(bad.any()):
        raise FormatError(
            f"'{key}' holds NaN or infinity in {int(bad.sum())} of {len(bad)} frames, the first is frame "
            f"{int(bad.int().argmax())}; cut them out or fill them"
        )
    if numbers.shape[-1] == 3:
        return numbers
    matrices = matrices_of(key, numbers.reshape(-1, numbers.shape[-1]), layout)
    return matrix_to_axis_angle(matrices).reshape(*numbers.shape[:2], 3)


def _rows(array: np.ndarray, counts: tuple[int, ...]) -> np.ndarray | None:
    """The array as (..., joints, numbers a joint); None where its shape is of none of `counts` joints."""
    shape = array.shape
    if (
        array.ndim >= 2
        and shape[-2:] == (3, 3)
        and (counts == (1,) or (array.ndim >= 3 and shape[-3] in counts))
    ):
        joints = shape[-3] if array.ndim >= 3 and shape[-3] in counts else 1
        leading = shape[:-3] if joints != 1 or (array.ndim >= 3 and shape[-3] == 1) else shape[:-2]
        return array.reshape(*leading, joints, 9)
    if array.ndim >= 2 and shape[-1] in (3, 6, 9) and shape[-2] in counts:
        return array
    for count in counts:
        for width in (3, 6, 9):
            if array.ndim and shape[-1] == count * width:
                return array.reshape(*shape[:-1], count, width)
    return None


def one_person(key: str, array: np.ndarray, person: int, inner: int) -> np.ndarray:
    """The array of one person as (frames, ...), `inner` dimensions behind the frames.

    Of two dimensions before them the first is of the frames and the second of people.
    """
    leading = array.shape[: array.ndim - inner]
    if len([n for n in leading if n != 1]) > 1 or len(leading) > 3:
        if len(leading) != 2:
            raise FormatError(f"'{key}' of shape {array.shape}: more than frames and people")
        if person >= leading[1]:
            raise FormatError(f"person {person} was asked for, '{key}' holds {leading[1]}, 0 first")
        return array[:, person]
    return array.reshape(-1, *array.shape[array.ndim - inner :])


def values(
    fields: Mapping[str, np.ndarray], name: str, person: int, width: int
) -> Float[Tensor, "f w"] | None:
    """Coefficients or places over frames (one row where they never change), the first `width` of each row;
    fewer are filled with zeros. None where the file tells none."""
    key = next((key for key in NAMES[name] if key in fields and fields[key].size), None)
    if key is None:
        return None
    rows = one_person(key, np.atleast_1d(fields[key]), person, 1)
    if not np.isfinite(rows).all():
        raise FormatError(f"'{key}' holds NaN or infinity; cut those frames out or fill them")
    result = np.zeros((len(rows), width), np.float32)
    result[:, : rows.shape[1]] = rows[:, :width]
    return torch.from_numpy(result)
