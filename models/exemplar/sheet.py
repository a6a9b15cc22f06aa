"""A sheet: a picture of the person and, for each pixel, what guides a search for its like."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int8


@dataclass(frozen=True)
class Sheet:
    """A picture with its guides; beyond `mask` they may hold anything."""

    picture: Float32[np.ndarray, "h w 3"]  # sRGB in [0, 1]; a target's counts where it is `known`
    slow: Float32[
        np.ndarray, "h w 3"
    ]  # colours without detail, not mixed with the background, where `picture` is unknown
    position: Float32[
        np.ndarray, "h w 3"
    ]  # on the body in the T pose, metres: x to the person's left, y up, z to the front
    part: Int8[np.ndarray, "h w"]  # one of parts.PARTS
    normal: Float32[np.ndarray, "h w 3"]  # unit, of the body, in the camera's frame
    mask: Bool[np.ndarray, "h w"]  # the person
    known: Bool[np.ndarray, "h w"]  # where `picture` is what somebody has seen

    @property
    def height(self) -> int:
        """Rows."""
        return self.mask.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.mask.shape[1]

    def replace(self, **fields: np.ndarray) -> Sheet:
        """The sheet with other arrays."""
        return dataclasses.replace(self, **fields)

    def window(self, top: int, left: int, height: int, width: int) -> Sheet:
        """The rows and columns from `top` and `left` on; what is beyond the picture repeats its border and is
        nobody."""
        rows, columns = np.arange(top, top + height), np.arange(left, left + width)
        inside = ((rows >= 0) & (rows < self.height))[:, None] & ((columns >= 0) & (columns < self.width))
        taken = np.ix_(rows.clip(0, self.height - 1), columns.clip(0, self.width - 1))
        fields = {field.name: getattr(self, field.name)[taken] for field in dataclasses.fields(self)}
        return Sheet(**{**fields, "mask": fields["mask"] & inside, "known": fields["known"] & inside})

    def mirrored(self) -> Sheet:
        """The picture as a mirror beside the camera shows it: the contours lie as those of the view from
        behind."""
        fields = {
            field.name: np.ascontiguousarray(getattr(self, field.name)[:, ::-1])
            for field in dataclasses.fields(self)
        }
        return Sheet(**{**fields, "normal": fields["normal"] * np.array([-1, 1, 1], np.float32)})


def side_by_side(sheets: Sequence[Sheet], gap: int) -> Sheet:
    """One sheet with all of them in a row, `gap` columns of nobody between."""
    height = max(sheet.height for sheet in sheets)
    framed = [sheet.window(0, 0, height, sheet.width + gap) for sheet in sheets]
    return Sheet(
        **{
            field.name: np.concatenate([getattr(one, field.name) for one in framed], 1)
            for field in dataclasses.fields(Sheet)
        }
    )
