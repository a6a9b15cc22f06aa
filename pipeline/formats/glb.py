"""Meshes with vertex colours as GLB (glTF 2.0) and OBJ, byte for byte the same each time.

Both files have y up and the person facing +z: our world (y down, z forward) turned by 180 degrees about x.
glTF wants linear vertex colours, so sRGB is decoded on writing and encoded on reading; OBJ keeps sRGB as
MeshLab and Blender do.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Integer, UInt32

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.untrusted import parse_json
from turnaround.pipeline.values.normals import summed_normals
from turnaround.pipeline.values.types import Mesh, TexturedMesh

_TURN = np.array([1, -1, -1], np.float32)  # 180 degrees about x; its own inverse
_FLOAT, _UINT, _ARRAY, _INDEX = 5126, 5125, 34962, 34963  # glTF component types and buffer targets
# what reading a file of another shape may raise
ANOTHER_SHAPE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    struct.error,
)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1 decoding of values in [0, 1]."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1 encoding of values in [0, 1]."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def vertex_normals(
    vertices: Float[np.ndarray, "v 3"], faces: Integer[np.ndarray, "f 3"]
) -> Float[np.ndarray, "v 3"]:
    """Unit normals, faces weighted by area; (0, 0, 1) for a vertex without a face."""
    normals = summed_normals(vertices, faces)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-20, normals / np.maximum(length, 1e-20), [0.0, 0.0, 1.0]).astype(np.float32)


def shared_normals(
    vertices: Float[np.ndarray, "v 3"], faces: Integer[np.ndarray, "f 3"]
) -> Float[np.ndarray, "v 3"]:
    """`vertex_normals` where vertices at one place are one: light sees no seams."""
    places = np.ascontiguousarray(vertices, np.float32) + np.float32(0)  # -0 is 0
    _, first, same = np.unique(places.view("V12").ravel(), return_index=True, return_inverse=True)
    return vertex_normals(places[first], same.reshape(-1)[faces])[same.reshape(-1)]


def upright(mesh: Mesh | TexturedMesh) -> tuple[Float32[np.ndarray, "v 3"], UInt32[np.ndarray, "f 3"]]:
    """Vertices with y up and the person facing +z, and faces; ValueError says what is wrong with them."""
    m = mesh.detach().to("cpu")
    vertices = m.vertices.numpy().astype(np.float32)
    faces = m.faces.numpy().astype(np.uint32)
    if not len(vertices):
        raise FormatError("the mesh has no vertices")
    if not np.isfinite(vertices).all():
        raise FormatError("the mesh has vertices that are not finite")
    if len(faces) and (m.faces.min() < 0 or m.faces.max() >= len(vertices)):
        raise FormatError(f"the mesh has a face index outside of its {len(vertices)} vertices")
    return vertices * _TURN, faces


def _arrays(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Checked vertices (y up), faces and sRGB colours."""
    return *upright(mesh), mesh.colors.detach().cpu().numpy().astype(np.float32).clip(0, 1)


def encode(mesh: Mesh) -> bytes:
    """GLB with positions, normals and linear colours.

    It names no material: beside one, trimesh takes the mesh for a textured one and forgets the colours of its
    vertices.
    """
    vertices, faces, colors = _arrays(mesh)
    parts = [vertices, vertex_normals(vertices, faces), to_linear(colors).astype(np.float32), faces]
    accessors = [
        {"bufferView": i, "componentType": _FLOAT, "count": len(p), "type": "VEC3"}
        for i, p in enumerate(parts[:3])
    ]
    accessors[0] |= {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}
    accessors.append({"bufferView": 3, "componentType": _UINT, "count": faces.size, "type": "SCALAR"})
    primitive = {"attributes": {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}, "indices": 3}
    document = {
        "asset": {"generator": "turnaround", "version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
    }
    return to_chunks(document, [part.tobytes() for part in parts], [_ARRAY] * 3 + [_INDEX])


def to_chunks(document: dict[str, Any], parts: Sequence[bytes], targets: Sequence[int | None]) -> bytes:
    """A GLB of a document without its buffer, whose parts become buffer views in order; targets as glTF
    numbers them."""
    views, offset = [], 0
    for part, target in zip(parts, targets, strict=True):
        views.append(
            {"buffer": 0, "byteLength": len(part), "byteOffset": offset}
            | ({"target": target} if target else {})
        )
        offset += len(part) + -len(part) % 4
    document = document | {"buffers": [{"byteLength": offset}], "bufferViews": views}
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(part + b"\0" * (-len(part) % 4) for part in parts)
    chunks = (
        struct.pack("<II", len(text), 0x4E4F534A)
        + text
        + struct.pack("<II", len(binary), 0x004E4942)
        + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def from_chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Document and binary part of a GLB that was written here; ValueError on any other."""
    if len(data) < 20 or data[:4] != b"glTF" or struct.unpack_from("<I", data, 8)[0] != len(data):
        raise FormatError("not a GLB, or cut short")
    length = struct.unpack_from("<I", data, 12)[0]
    document = parse_json(data[20 : 20 + length])
    if document["asset"].get("generator") != "turnaround":
        raise FormatError("a GLB of another program; only files written here are read back")
    return document, data[28 + length :]


def decode(data: bytes) -> Mesh:
    """The mesh of a GLB that `encode` wrote; ValueError on any other file (use trimesh for those)."""
    document, binary = from_chunks(data)

    def read(index: int, kind: str) -> np.ndarray:
        view = document["bufferViews"][index]
        return np.frombuffer(binary, kind, view["byteLength"] // 4, view["byteOffset"]).reshape(-1, 3)

    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float32 is refused below
        vertices, colors, faces = (
            read(0, "<f4"),
            to_srgb(read(2, "<f4").astype(np.float64)).astype(np.float32),
            read(3, "<u4").astype(np.int64),
        )
    if (
        len(colors) != len(vertices)
        or faces.max(initial=0) >= len(vertices)
        or not np.isfinite([vertices, colors]).all()
    ):
        raise FormatError(f"a GLB whose {len(vertices)} vertices do not fit its faces or colours")
    return Mesh(torch.from_numpy(vertices * _TURN), torch.from_numpy(faces), torch.from_numpy(colors))


def encode_obj(mesh: Mesh) -> bytes:
    """Wavefront OBJ, `v x y z r g b` with sRGB colours, y up."""
    vertices, faces, colors = _arrays(mesh)
    rows, corners = np.hstack([vertices, colors]), faces.astype(np.int64) + 1
    # one formatting of everything: a line at a time takes twice as long
    text = "# turnaround: metres, y up, vertex colours in sRGB\n"
    text += "v %.6f %.6f %.6f %.4f %.4f %.4f\n" * len(rows) % tuple(rows.ravel().tolist())
    text += "f %d %d %d\n" * len(corners) % tuple(corners.ravel().tolist())
    return text.encode()


def save(mesh: Mesh, path: Path) -> None:
    """Write the GLB, and the OBJ beside it."""
    path.write_bytes(encode(mesh))
    path.with_suffix(".obj").write_bytes(encode_obj(mesh))


def load(path: Path) -> Mesh:
    """Read a GLB; ValueError names the file."""
    try:
        return decode(path.read_bytes())
    except ANOTHER_SHAPE as error:
        raise FormatError(f"{path}: {error}") from error
