"""Textured meshes of posed people as GLB files: one material per piece of clothing, y up, metres, without
baked light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from turnaround.data.people import Figure
from turnaround.pipeline.files import write_atomic

_Y_UP = np.array([1.0, -1.0, -1.0], np.float32)  # from the world's OpenCV axes, a half turn about x


def write_glb(figure: Figure, path: Path) -> None:
    """Write the figure's dressed surface with its textures, as viewers of glTF show it."""
    write_atomic(path, encode_glb(figure))


def encode_glb(figure: Figure) -> bytes:
    """GLB of the dressed surface."""
    import trimesh
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    surface = figure.person.dressed.surface
    scene = trimesh.Scene()
    for number, (start, height, width, holes) in enumerate(surface.atlas.table.tolist()):
        chosen = surface.material == number
        if not chosen.any():
            continue
        image = surface.atlas.texels[start : start + height * width].reshape(height, width, 4)
        corners = surface.faces[
            chosen
        ].ravel()  # texture coordinates belong to corners: one vertex for each kind of corner
        keys = np.concatenate([corners[:, None], surface.uv[chosen].reshape(-1, 2)], 1)
        unique, inverse = np.unique(keys, axis=0, return_inverse=True)
        at = unique[:, 0].astype(int)
        material = PBRMaterial(
            name=f"material_{number}",
            baseColorTexture=Image.fromarray(image if holes else image[..., :3]),
            metallicFactor=0.0,
            roughnessFactor=0.9,
            alphaMode="MASK" if holes else "OPAQUE",
            alphaCutoff=0.45 if holes else None,
            doubleSided=True,
        )
        mesh = trimesh.Trimesh(
            figure.vertices[at] * _Y_UP,
            inverse.reshape(-1, 3),
            vertex_normals=figure.normals[at] * _Y_UP,
            visual=TextureVisuals(unique[:, 1:].astype(np.float32), material),
            process=False,
        )
        scene.add_geometry(mesh, node_name=f"piece_{number}", geom_name=f"piece_{number}")
    return scene.export(file_type="glb")  # pyright: ignore[reportReturnType] - bytes for this type of file
