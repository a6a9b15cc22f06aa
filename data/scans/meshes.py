"""Textured OBJ files of scanners: geometry through trimesh, textures found, checked and brought to a useful
size."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, UnidentifiedImageError

from turnaround.data.render import Atlas, Surface
from turnaround.data.scans.scan import ScanError, TexturedMesh

logger = logging.getLogger(__name__)
PLACEHOLDER = 2  # pixels of the picture that trimesh gives to a material without one
IMAGES = (".jpeg", ".jpg", ".png")


def read_textured_obj(
    file: Path, textures: Iterable[Path] = (), *, scale: float = 1.0, texture_size: int = 2048
) -> TexturedMesh:
    """A scan's mesh.

    Args:
        file: .obj, with or without an .mtl beside it.
        textures: where the layout keeps the texture when the materials do not name one.
        scale: metres of one unit of the file.
        texture_size: textures are averaged down to at most this many pixels a side.

    Raises:
        ScanError: no such file, no faces, no texture coordinates, no texture.
    """
    vertices, faces, uv, material, images = [], [], [], [], []
    count = 0
    for k, part in enumerate(_parts(file)):
        corners = getattr(part.visual, "uv", None)
        if corners is None or len(corners) != len(part.vertices):
            raise ScanError(
                f"{file}: a part of {len(part.faces)} faces has no texture coordinates (vt); expected a "
                f"textured scan"
            )
        vertices.append(part.vertices)
        faces.append(part.faces + count)
        uv.append(np.asarray(corners, np.float32)[part.faces])
        material.append(np.full(len(part.faces), k, np.int16))
        images.append(_texture(file, part.visual, textures, texture_size))
        count += len(part.vertices)
    points, index = _welded(np.concatenate(vertices) * scale)
    surface = Surface(
        index[np.concatenate(faces)].astype(np.int32),
        np.concatenate(uv),
        np.concatenate(material),
        Atlas.of(images),
    )
    return TexturedMesh(points, surface)


def read_vertices(file: Path) -> Float32[np.ndarray, "n 3"]:
    """The vertices of an .obj file, in the order of the file (for meshes of a body model)."""
    lines = file.read_bytes().splitlines()
    try:
        vertices = np.array([line.split()[1:4] for line in lines if line.startswith(b"v ")], np.float32)
    except ValueError as error:
        raise ScanError(f"{file}: not a readable .obj mesh ({error})") from error
    if vertices.ndim != 2 or len(vertices) == 0 or not np.isfinite(vertices).all():
        raise ScanError(f"{file}: no vertices in the mesh; download it again")
    return vertices


def _parts(file: Path) -> list[Any]:
    """The trimesh meshes of a file, one a material."""
    import trimesh

    if not file.is_file():
        raise ScanError(f"{file} is missing: expected the scan's mesh; unpack the dataset again")
    _check_names(file)
    try:
        scene: Any = trimesh.load_scene(file, process=False)
        parts = [part for part in scene.geometry.values() if len(getattr(part, "faces", ())) > 0]
    except Exception as error:  # trimesh raises nearly anything on a damaged file
        raise ScanError(f"{file}: not a readable .obj mesh ({type(error).__name__}: {error})") from error
    if not parts:
        raise ScanError(f"{file}: the mesh has no faces; download it again")
    if not all(np.isfinite(part.vertices).all() for part in parts):
        raise ScanError(f"{file}: the mesh has vertices that are no numbers; download it again")
    return parts


def _check_names(file: Path) -> None:
    """Refuse materials and textures outside of the scan's folder: the files come from strangers."""
    with file.open("rb") as opened:
        head = opened.read(4096).decode(errors="replace")
    for library in re.findall(r"^mtllib\s+(.+?)\s*$", head, re.M):
        _inside(file, library)
        path = file.parent / library
        if path.is_file():
            for name in re.findall(r"^\s*map_\w+\s+(.+?)\s*$", path.read_text(errors="replace"), re.M):
                _inside(path, name.split()[-1])


def _inside(file: Path, name: str) -> None:
    if not (file.parent / name).resolve().is_relative_to(file.parent.resolve()):
        raise ScanError(
            f"{file}: it refers to {name!r}, outside of its own folder; expected a texture beside the mesh"
        )


def _texture(file: Path, visual: Any, textures: Iterable[Path], limit: int) -> UInt8[np.ndarray, "h w 4"]:
    image = getattr(visual.material, "image", None)
    candidates = list(textures)
    try:
        if image is None or max(image.size) <= PLACEHOLDER:
            found = next((path for path in candidates if path.is_file()), None)
            if found is None:
                expected = ", ".join(path.name for path in candidates) or "a map_Kd in its .mtl"
                raise ScanError(
                    f"{file}: its texture is missing (expected {expected} in {file.parent}); unpack the "
                    f"dataset again"
                )
            image = Image.open(found)
        if max(image.size) > limit:
            image = image.reduce(-(-max(image.size) // limit))
        return np.asarray(image.convert("RGB").convert("RGBA"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ScanError(f"{file}: its texture cannot be read ({error}); download it again") from error


def _welded(vertices: np.ndarray) -> tuple[Float32[np.ndarray, "v 3"], np.ndarray]:
    """Vertices at the same place become one, so that normals are smooth over texture seams."""
    points = np.ascontiguousarray(vertices, np.float32) + np.float32(0)  # -0 becomes 0
    keys = points.view(np.dtype((np.void, 12))).ravel()
    _, first, index = np.unique(keys, return_index=True, return_inverse=True)
    return points[first], index.reshape(-1)
