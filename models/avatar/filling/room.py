"""Room for further pictures in a texture: what its charts leave free."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from turnaround.models.mesh.zbuffer import rasterize_mesh

CELL = 4  # texels; pictures lie at multiples, one cell apart


class Room:
    """A texture's free cells, of which rectangles are taken."""

    def __init__(self, taken: Bool[np.ndarray, "c c"]) -> None:
        """taken: cells that hold something."""
        self._taken = taken.copy()
        self._sums = _sums(taken)

    def take(self, height: int, width: int) -> tuple[int, int] | None:
        """Row and column of the first free rectangle of so many texels, now taken; None without one."""
        tall, wide, size = -(-height // CELL), -(-width // CELL), len(self._taken)
        if tall > size or wide > size:
            return None
        sums = self._sums
        inside = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
        free = int((inside == 0).argmax())
        row, column = divmod(free, inside.shape[1])
        if inside[row, column]:
            return None
        self._taken[max(row - 1, 0) : row + tall + 1, max(column - 1, 0) : column + wide + 1] = True
        self._sums = _sums(self._taken)
        return CELL * row, CELL * column


def _sums(taken: Bool[np.ndarray, "c c"]) -> Int[np.ndarray, "s s"]:
    """How many cells above and to the left of each corner are taken."""
    return np.pad(taken.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32), ((1, 0), (1, 0)))


def room_beside(uv: Float[np.ndarray, "v 2"], faces: Int[np.ndarray, "f 3"], size: int) -> Room:
    """What an atlas leaves free, a cell from its charts.

    Args:
        uv: [0, 1].
        faces: of the atlas.
        size: texels of a side, a multiple of CELL.
    """
    cells = size // CELL
    fine = 2 * cells
    flat = np.concatenate([uv * fine, np.ones((len(uv), 1))], 1).astype(np.float32)
    drawn = rasterize_mesh(flat, faces, fine, fine)[0] >= 0
    taken = np.asarray(drawn.reshape(cells, 2, cells, 2).any((1, 3)))
    column, row = np.floor(uv * cells).astype(int).clip(0, cells - 1).T
    taken[row, column] = True  # of charts narrower than a sample
    return Room(np.asarray(ndimage.binary_dilation(taken, np.ones((3, 3)))))
