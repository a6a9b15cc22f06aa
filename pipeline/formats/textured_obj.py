"""Textured meshes as Wavefront OBJ with its material (MTL) and texture, standing on y = 0, y up, facing +z,
metres."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from turnaround.pipeline.formats.glb import shared_normals, upright
from turnaround.pipeline.values.types import TexturedMesh

MATERIAL = "newmtl person\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\nmap_Kd {texture}\n"


def encode(mesh: TexturedMesh, material: str, *, scale: float = 1.0) -> bytes:
    """The OBJ, whose material lies in the file `material`; v counts from the texture's lower edge. scale: of
    all lengths."""
    vertices, faces = upright(mesh)
    normals, uv = shared_normals(vertices, faces), mesh.uv.double().numpy()
    places = (vertices.astype(np.float64) - np.array([0, vertices[:, 1].min(), 0])) * scale
    corners = np.repeat(faces.astype(np.int64).ravel() + 1, 3)
    # one formatting of everything: a line at a time takes twice as long
    text = f"# turnaround: metres, y up, feet at y = 0\nmtllib {material}\nusemtl person\n"
    text += "v %.6f %.6f %.6f\n" * len(places) % tuple(places.ravel().tolist())
    text += "vt %.6f %.6f\n" * len(uv) % tuple(np.stack([uv[:, 0], 1 - uv[:, 1]], 1).ravel().tolist())
    text += "vn %.4f %.4f %.4f\n" * len(normals) % tuple(normals.ravel().tolist())
    text += "f %d/%d/%d %d/%d/%d %d/%d/%d\n" * len(faces) % tuple(corners.tolist())
    return text.encode()


def save_beside(mesh: TexturedMesh, path: Path, picture: bytes, *, scale: float = 1.0) -> None:
    """Write NAME.obj, NAME.mtl and the texture as NAME.jpg or NAME.png. picture: see
    `textured_glb.encode_texture`."""
    texture = path.with_suffix(".png" if picture.startswith(b"\x89PNG") else ".jpg")
    material = path.with_suffix(".mtl")
    path.write_bytes(encode(mesh, material.name, scale=scale))
    material.write_text(MATERIAL.format(texture=texture.name))
    texture.write_bytes(picture)
