"""Meshes on their way out: on the ground, at a height, with a texture of a size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.formats import glb, textured_glb
from turnaround.pipeline.formats.textured_obj import save_beside
from turnaround.pipeline.store.runs import LinkedRuns
from turnaround.pipeline.values.types import Mesh, TexturedMesh


def mesh_writer(
    store: LinkedRuns, subject: str, stage: str, to: str, texture: int | None, scale: float
) -> Callable[[Path], object]:
    """What writes the mesh of `stage` to a path, as glb or obj, its lowest point at y = 0.

    texture: texels of a side; fewer are means of those there are, more are baked anew. scale: of all lengths.
    """
    record = store.linked(subject, stage)
    assert record is not None, "the caller has found it"
    mesh = record.load("mesh")
    if isinstance(mesh, Mesh):
        if texture is not None:
            raise CallError(
                f"{subject} has no texture yet; `turnaround status {subject}` tells what is missing"
            )
        encode = glb.encode if to == "glb" else glb.encode_obj
        content = encode(standing(mesh, scale))
        return lambda target: target.write_bytes(content)
    if texture is not None and texture != mesh.texture.shape[0]:
        mesh = with_texels(store, subject, mesh, texture)
    picture = textured_glb.encode_texture(mesh)
    if to == "obj":
        return lambda target: save_beside(mesh, target, picture, scale=scale)
    content = textured_glb.encode(mesh, picture=picture, scale=scale)
    return lambda target: target.write_bytes(content)


def standing(mesh: Mesh, scale: float) -> Mesh:
    """The mesh at another scale, its lowest point at y = 0."""
    low = mesh.vertices[:, 1].max()  # our y points down
    return dataclasses.replace(mesh, vertices=(mesh.vertices - torch.stack([0 * low, low, 0 * low])) * scale)


def with_texels(store: LinkedRuns, subject: str, mesh: TexturedMesh, size: int) -> TexturedMesh:
    """The mesh with a texture of `size`: the mean of what it has, or where that is no whole step, the stage
    once more."""
    fewer = fewer_texels(mesh, size)
    if fewer is not None:
        return fewer
    from turnaround.stages.texture import Texture, TextureConfig

    record = store.linked(subject, Texture.name)
    assert record is not None, "the mesh came from it"
    inputs = {}
    for argument, need in Texture.needs.items():
        stage, _, output = need.partition(".")
        source = store.linked(subject, stage)
        if source is None:
            raise CallError(
                f"--texture {size} bakes anew and needs `{stage}`; `turnaround status {subject}` tells what "
                f"is missing"
            )
        inputs[argument] = source.load(output)
    settings = TextureConfig(**{**record.manifest["config"], "size": size})
    return Texture(settings).run(device=torch.device("cpu"), **inputs).mesh


def fewer_texels(mesh: TexturedMesh, size: int) -> TexturedMesh | None:
    """The mesh with the means of its texels; None where `size` is no whole part of what there is."""
    step, rest = divmod(mesh.texture.shape[0], size)
    if not step or rest:
        return None
    smaller = torch.nn.functional.avg_pool2d(mesh.texture.permute(2, 0, 1), step).permute(1, 2, 0)
    return dataclasses.replace(mesh, texture=smaller.contiguous())
