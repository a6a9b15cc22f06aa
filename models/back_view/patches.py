"""Training pictures of the back view networks: people cut out of a folder of rendered views, and random
patches of them.

A file of the folder holds the 12 views of a person: rgb u8 (12, s, s, 3) over white, mask u8 (12, s, s),
azimuths (12,).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from turnaround.models.training.people import split_people
from turnaround.pipeline.errors import CallError

__all__ = ["Patches", "Picture", "cut_out", "read_pictures", "sample_patches", "split_people"]

BACK_AZIMUTHS = (120.0, 240.0)  # degrees; the views that count as back views
MARGIN = 12  # pixels kept around a person


@dataclass(frozen=True)
class Picture:
    """A person cut out of a view: rgb u8 (h, w, 3) over white, mask u8 (h, w), and the coarse model's rgb if
    there is one."""

    rgb: np.ndarray
    mask: np.ndarray
    coarse: np.ndarray | None = None


def read_pictures(files: list[Path], backs_only: bool, coarse: Path | None = None) -> list[Picture]:
    """The views of all people in `files`, or only those from behind, cut to the person.

    With `coarse`, the folder that `models.back_view.pairs` wrote (the first three channels), the view at 180
    degrees carries its coarse version and is listed as often as the other back views of a person together.
    """
    pictures = []
    for file in files:
        with np.load(file) as data:
            azimuths = data["azimuths"] % 360
            chosen = (
                (azimuths >= BACK_AZIMUTHS[0]) & (azimuths <= BACK_AZIMUTHS[1])
                if backs_only
                else azimuths >= 0
            )
            pictures += [
                cut_out(rgb, mask)
                for rgb, mask in zip(data["rgb"][chosen], data["mask"][chosen], strict=True)
                if mask.any()
            ]
            if coarse is not None and (coarse / f"{file.stem}.npy").is_file():
                back = int(np.argmin(np.abs(azimuths - 180)))
                pair = cut_out(
                    data["rgb"][back], data["mask"][back], np.load(coarse / f"{file.stem}.npy")[..., :3]
                )
                pictures += [pair] * int(chosen.sum())
    if not pictures:
        raise CallError(
            f"no picture with a person in {len(files)} files; expected .npz files of rendered views"
        )
    return pictures


def cut_out(rgb: np.ndarray, mask: np.ndarray, coarse: np.ndarray | None = None) -> Picture:
    """The box around the mask with a margin."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    r0, r1 = max(rows[0] - MARGIN, 0), rows[-1] + 1 + MARGIN
    c0, c1 = max(columns[0] - MARGIN, 0), columns[-1] + 1 + MARGIN
    box = (slice(r0, r1), slice(c0, c1))
    return Picture(rgb[box].copy(), mask[box].copy(), None if coarse is None else coarse[box].copy())


@dataclass(frozen=True)
class Patches:
    """A batch of patches: image (b, 3, h, w) in [0, 1] over white, mask (b, 1, h, w) in [0, 1], and coarse
    versions.

    `coarse` is the image itself where `paired` (b,) is false.
    """

    image: Float[Tensor, "b 3 h w"]
    mask: Float[Tensor, "b 1 h w"]
    coarse: Float[Tensor, "b 3 h w"]
    paired: Bool[Tensor, " b"]

    @property
    def weight(self) -> Float[Tensor, "b 1 h w"]:
        """1 on the person and near its outline, 0.1 on the white elsewhere."""
        return 0.1 + 0.9 * torch.nn.functional.max_pool2d(self.mask, 9, 1, 4)


def sample_patches(
    pictures: list[Picture], count: int, size: tuple[int, int], rng: np.random.Generator
) -> Patches:
    """`count` random patches of `size` (h, w) pixels that touch a person, half of them mirrored."""
    stack, paired = [], []
    for index in rng.integers(len(pictures), size=count):
        patch = _patch(pictures[index], size, rng)
        stack.append(patch[:, ::-1] if rng.random() < 0.5 else patch)
        paired.append(pictures[index].coarse is not None)
    batch = torch.from_numpy(np.stack(stack)).permute(0, 3, 1, 2).float() / 255
    return Patches(
        batch[:, :3].contiguous(), batch[:, 3:4].contiguous(), batch[:, 4:].contiguous(), torch.tensor(paired)
    )


def _patch(picture: Picture, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A window (h, w, 7) of rgb, mask and coarse rgb whose centre lies on the picture, padded with white."""
    height, width = size
    rows, columns = picture.mask.shape
    top = (
        int(rng.integers(-height // 8, max(rows - height + height // 8, 0) + 1))
        if rows > height
        else (rows - height) // 2
    )
    left = (
        int(rng.integers(-width // 8, max(columns - width + width // 8, 0) + 1))
        if columns > width
        else (columns - width) // 2
    )
    coarse = picture.rgb if picture.coarse is None else picture.coarse
    patch = np.full((height, width, 7), 255, np.uint8)
    patch[..., 3] = 0
    r0, r1, c0, c1 = max(top, 0), min(top + height, rows), max(left, 0), min(left + width, columns)
    inside = (slice(r0, r1), slice(c0, c1))
    patch[r0 - top : r1 - top, c0 - left : c1 - left] = np.concatenate(
        [picture.rgb[inside], picture.mask[inside][..., None], coarse[inside]], -1
    )
    return patch
