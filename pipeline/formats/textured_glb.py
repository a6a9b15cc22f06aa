"""Textured meshes as GLB (glTF 2.0), byte for byte the same each time; `textured_obj` writes the OBJ beside
it.

As in `glb`, files have y up and the person facing +z. The node lifts the mesh until its lowest point lies at
y = 0, and may scale it, so that programs see who stands on the ground while the vertices stay what they were.
Vertex colours are kept as `_COLOR` in sRGB: glTF multiplies a COLOR_0 into the texture.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.glb import ANOTHER_SHAPE, from_chunks, shared_normals, to_chunks, upright
from turnaround.pipeline.formats.textured_obj import save_beside
from turnaround.pipeline.formats.untrusted import open_picture
from turnaround.pipeline.values.types import TexturedMesh

QUALITY = 94  # of JPEG, without subsampling of colour: 45 dB and more on textures of people
MAX_TEXELS = 8192 * 8192  # of a texture that is read
_FLOAT, _UINT, _ARRAY, _INDEX = 5126, 5125, 34962, 34963  # glTF component types and buffer targets
SAMPLER = {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}  # linear, mipmaps, clamped


def encode(
    mesh: TexturedMesh,
    *,
    picture: bytes | None = None,
    scale: float = 1.0,
    extras: Mapping[str, Any] | None = None,
) -> bytes:
    """GLB with positions, normals, texture coordinates, `_COLOR` and one matt material.

    Args:
        mesh: checked; ValueError says what is wrong with it.
        picture: its texture as `encode_texture` gives it, where that is at hand.
        scale: of all lengths, kept in the node: the vertices stay what they are.
        extras: where it comes from, kept in `asset.extras`.
    """
    vertices, faces = upright(mesh)
    picture = picture or encode_texture(mesh)
    attributes = {
        "POSITION": vertices,
        "NORMAL": shared_normals(vertices, faces),
        "TEXCOORD_0": mesh.uv.numpy().astype(np.float32),
        "_COLOR": mesh.colors.numpy().astype(np.float32),
    }
    parts = [*(array.tobytes() for array in attributes.values()), faces.tobytes(), picture]
    accessors: list[dict[str, Any]] = [
        {"bufferView": k, "componentType": _FLOAT, "count": len(array), "type": f"VEC{array.shape[1]}"}
        for k, array in enumerate(attributes.values())
    ]
    accessors[0] |= {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}
    accessors.append({"bufferView": 4, "componentType": _UINT, "count": faces.size, "type": "SCALAR"})
    kind = "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"
    skin = {"baseColorTexture": {"index": 0}, "metallicFactor": 0, "roughnessFactor": 1}
    primitive = {"attributes": {name: k for k, name in enumerate(attributes)}, "indices": 4, "material": 0}
    asset: dict[str, Any] = {"generator": "turnaround", "version": "2.0"}
    document = {
        "asset": asset | ({"extras": dict(extras)} if extras else {}),
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **_stand(vertices, scale)}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [{"pbrMetallicRoughness": skin}],
        "textures": [{"sampler": 0, "source": 0}],
        "samplers": [SAMPLER],
        "images": [{"bufferView": 5, "mimeType": kind}],
        "accessors": accessors,
    }
    return to_chunks(document, parts, [_ARRAY] * 4 + [_INDEX, None])


def _stand(vertices: np.ndarray, scale: float) -> dict[str, Any]:
    """The node's transform: the lowest point at y = 0, and the scale."""
    lifted = {"translation": [0, -float(vertices[:, 1].min()) * scale, 0]}
    return lifted if scale == 1 else lifted | {"scale": [scale] * 3}


def encode_texture(mesh: TexturedMesh) -> bytes:
    """The texture as JPEG of QUALITY, or as PNG where that is smaller (flat colours); ValueError where it is
    not finite."""
    if not mesh.texture.isfinite().all():
        raise FormatError("the texture has values that are not finite")
    texels = Image.fromarray(texture_bytes(mesh))
    jpeg = io.BytesIO()
    texels.save(jpeg, "JPEG", quality=QUALITY, subsampling=0)
    if (
        len(jpeg.getvalue()) > 1024 + texels.width * texels.height // 16
    ):  # a picture; PNG takes seconds to find out that it is larger
        return jpeg.getvalue()
    png = io.BytesIO()
    texels.save(png, "PNG", compress_level=6)
    return min(jpeg.getvalue(), png.getvalue(), key=len)


def texture_bytes(mesh: TexturedMesh) -> UInt8[np.ndarray, "t t 3"]:
    """The texture in 8 bits."""
    return (mesh.texture.detach().cpu().clamp(0, 1) * 255).round().byte().numpy()


def decode(data: bytes) -> TexturedMesh:
    """The mesh of a GLB that `encode` wrote, its texture as the picture in it; ValueError on any other
    file."""
    document, binary = from_chunks(data)
    views = document["bufferViews"]

    def read(index: int, kind: str, width: int) -> np.ndarray:
        view = views[index]
        return np.frombuffer(binary, kind, view["byteLength"] // 4, view["byteOffset"]).reshape(-1, width)

    vertices, uv, colors = read(0, "<f4", 3), read(2, "<f4", 2), read(3, "<f4", 3)
    faces = read(4, "<u4", 3).astype(np.int64)
    counts = {len(vertices), len(uv), len(colors)}
    if (
        len(counts) > 1
        or faces.max(initial=0) >= len(vertices)
        or not all(np.isfinite(a).all() for a in (vertices, uv, colors))
    ):
        raise FormatError(
            f"a GLB whose {len(vertices)} vertices do not fit its faces, colours or texture coordinates"
        )
    start, length = (views[5][name] for name in ("byteOffset", "byteLength"))
    if not 0 <= start <= start + length <= len(binary):
        raise FormatError("a GLB whose texture is not in it")
    texels = read_texture(io.BytesIO(binary[start : start + length]))
    turned = vertices * np.array([1, -1, -1], np.float32)
    return TexturedMesh(*(torch.from_numpy(a) for a in (turned, faces, colors.copy(), uv.copy(), texels)))


def read_texture(file: io.BytesIO) -> Float32[np.ndarray, "t t 3"]:
    """The texels of a picture; FormatError where it is no square, too large or damaged."""
    with open_picture(file, MAX_TEXELS, ("RGB",)) as picture:
        texels = np.asarray(picture).astype(np.float32) / np.float32(255)
    if texels.shape[0] != texels.shape[1]:
        raise FormatError(
            f"a texture of {texels.shape[1]} x {texels.shape[0]} texels; only square ones are written here"
        )
    return texels


def save(mesh: TexturedMesh, path: Path) -> None:
    """Write the GLB, and beside it OBJ, MTL and the texture."""
    picture = encode_texture(mesh)
    path.write_bytes(encode(mesh, picture=picture))
    save_beside(mesh, path.with_suffix(".obj"), picture)


def load(path: Path) -> TexturedMesh:
    """Read a GLB; ValueError names the file."""
    try:
        return decode(path.read_bytes())
    except ANOTHER_SHAPE as error:
        raise FormatError(f"{path}: {error}") from error
