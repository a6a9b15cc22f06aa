"""The binary part of a glTF file while it is put together: views of bytes, and accessors into them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from turnaround.pipeline.formats.glb import to_chunks

ARRAY, INDEX = 34962, 34963  # targets of views: vertex attributes, indices of triangles
_COMPONENT = {np.dtype(np.uint8): 5121, np.dtype(np.uint32): 5125, np.dtype(np.float32): 5126}
_KIND = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class Parts:
    """Views and accessors in the order in which they were added."""

    def __init__(self) -> None:
        self.accessors: list[dict[str, Any]] = []
        self._views: list[bytes] = []
        self._targets: list[int | None] = []

    def view(self, content: bytes, target: int | None = None) -> int:
        """Add bytes of their own; the view's index."""
        self._views.append(content)
        self._targets.append(target)
        return len(self._views) - 1

    def accessor(self, array: np.ndarray, target: int | None = None, *, bounds: bool = False) -> int:
        """Add an array (n,) or (n, width) with a view of its own; the accessor's index.

        bounds: tell the least and the greatest value, which glTF asks for of places and times.
        """
        return self.accessors_of([array], target, bounds=bounds)[0]

    def accessors_of(
        self, arrays: list[np.ndarray], target: int | None = None, *, bounds: bool = False
    ) -> list[int]:
        """Add arrays that share a view; their accessors' indices."""
        view = self.view(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays), target)
        first, offset = len(self.accessors), 0
        for array in arrays:
            self.accessors.append(
                {"bufferView": view, "componentType": _COMPONENT[array.dtype], "count": len(array)}
                | {"type": _KIND[array[0].size], "byteOffset": offset}
                | (_bounds(array) if bounds else {})
            )
            offset += array.nbytes
        return list(range(first, len(self.accessors)))

    def sparse(self, indices: Int[np.ndarray, " k"], values: Float32[np.ndarray, "k 3"], count: int) -> int:
        """Add `count` vectors that are zero but at `indices`, which rise; the accessor's index."""
        everywhere = np.concatenate([values, np.zeros((1, 3), np.float32)])
        accessor = {"componentType": 5126, "count": count, "type": "VEC3"} | _bounds(everywhere)
        if len(indices):
            accessor["sparse"] = {
                "count": len(indices),
                "indices": {"bufferView": self.view(indices.astype("<u4").tobytes()), "componentType": 5125},
                "values": {"bufferView": self.view(values.astype("<f4").tobytes())},
            }
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def to_glb(self, document: dict[str, Any]) -> bytes:
        """The file of a document that refers to these."""
        return to_chunks(document | {"accessors": self.accessors}, self._views, self._targets)


def _bounds(array: np.ndarray) -> dict[str, Any]:
    rows = array.reshape(len(array), -1)
    return {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
