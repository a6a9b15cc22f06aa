"""Reader of garments and hair that are bound to the MakeHuman base mesh, in three.js JSON (format version
3.1).

A vertex of such a "proxy" is `sum_i weights_i V[refs_i] + offset * 0.1`, V being the 19,158 vertices of the
base mesh with its helper meshes, in metres (offsets are decimetres in the rest pose of the base mesh).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int32

from turnaround.pipeline.errors import CallError

DECIMETRE = 0.1
BASE_VERTICES = 19158

# three.js JSON v3: a face is a bit mask followed by what the mask announces
QUAD, MATERIAL, FACE_UV, CORNER_UV, FACE_NORMAL, CORNER_NORMAL, FACE_COLOR, CORNER_COLOR = (
    1 << k for k in range(8)
)


@dataclass(frozen=True)
class Proxy:
    """One garment, pair of shoes, hair or eyebrow, still unplaced."""

    name: str
    refs: Int32[np.ndarray, "v 3"]  # vertices of the base mesh
    weights: Float32[np.ndarray, "v 3"]
    offsets: Float32[np.ndarray, "v 3"]  # metres, axes of the base mesh (x left, y up, z forward)
    faces: Int32[np.ndarray, "f 3"]
    uv: Float32[np.ndarray, "f 3 2"]  # per corner, v up
    hidden: Bool[np.ndarray, " b"]  # base vertices that it covers


def read_proxy(path: Path) -> Proxy:
    """Read one three.js file.

    Raises:
        ValueError: not a proxy of the MakeHuman base mesh, or of another layout.
    """
    content = json.loads(path.read_text())
    missing = [
        key for key in ("ref_vIdxs", "weights", "offsets", "faces", "uvs", "metadata") if key not in content
    ]
    if missing:
        raise CallError(f"{path}: a MakeHuman proxy has {', '.join(missing)}; this file has not")
    corners, uv_corners = _triangles(content["faces"])
    refs = np.array(content["ref_vIdxs"], np.int32)
    if refs.max() >= BASE_VERTICES or corners.max() >= len(refs):
        raise CallError(
            f"{path}: names vertex {max(refs.max(), corners.max())}; the base mesh has {BASE_VERTICES}, the "
            f"proxy {len(refs)}"
        )
    hidden = np.zeros(BASE_VERTICES, bool)
    flags = np.array(content["metadata"].get("deleteVerts") or [], bool)
    hidden[: len(flags)] = flags
    return Proxy(
        name=path.stem,
        refs=refs,
        weights=np.array(content["weights"], np.float32),
        offsets=np.array(content["offsets"], np.float32) * DECIMETRE,
        faces=corners,
        uv=np.array(content["uvs"][0], np.float32).reshape(-1, 2)[uv_corners],
        hidden=hidden,
    )


def _triangles(stream: list[int]) -> tuple[Int32[np.ndarray, "f 3"], Int32[np.ndarray, "f 3"]]:
    """Vertex and uv indices of the triangles; quads are cut in two."""
    corners, uv_corners, i = [], [], 0
    while i < len(stream):
        mask = stream[i]
        n = 4 if mask & QUAD else 3
        vertex = stream[i + 1 : i + 1 + n]
        i += 1 + n + bool(mask & MATERIAL) + bool(mask & FACE_UV)
        if not mask & CORNER_UV:
            raise CallError("a face has no texture coordinates")
        uv = stream[i : i + n]
        i += (
            n
            + bool(mask & FACE_NORMAL)
            + n * bool(mask & CORNER_NORMAL)
            + bool(mask & FACE_COLOR)
            + n * bool(mask & CORNER_COLOR)
        )
        for k in range(1, n - 1):
            corners.append((vertex[0], vertex[k], vertex[k + 1]))
            uv_corners.append((uv[0], uv[k], uv[k + 1]))
    return np.array(corners, np.int32), np.array(uv_corners, np.int32)
