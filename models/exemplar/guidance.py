"""Guides of any camera's pixels, drawn from a posed body: part, position in the T pose, normal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int8
from scipy import ndimage

from turnaround.models.body.model import BodyModel
from turnaround.models.exemplar.parts import vertex_labels
from turnaround.models.mesh.silhouette.normals import vertex_normals
from turnaround.models.mesh.zbuffer import rasterize_mesh
from turnaround.pipeline.values.camera import project
from turnaround.pipeline.values.types import Body, Camera


class Guides(NamedTuple):
    """What the body says about each pixel of a picture."""

    position: Float32[
        np.ndarray, "h w 3"
    ]  # of the template's surface, metres: x to the person's left, y up, z to the front
    part: Int8[np.ndarray, "h w"]
    normal: Float32[np.ndarray, "h w 3"]  # unit, camera frame
    covered: Bool[np.ndarray, "h w"]  # where the body is; elsewhere the values of the nearest such pixel


@torch.no_grad()
def draw_guides(body: Body, model: BodyModel, camera: Camera) -> Guides:
    """The guides of one camera's pixels.

    Clothes and hair hide the body and reach beyond it, so what is drawn is a hint, not the truth.

    Raises:
        ValueError: the camera does not see the body at all.
    """
    vertices = model(body).vertices.cpu()
    pixels, depth = project(vertices, camera.to("cpu"))
    faces = model.faces.cpu().numpy().astype(np.int32)
    projected = torch.cat([pixels, depth[:, None]], 1).numpy().astype(np.float32)
    face, bary, _ = rasterize_mesh(projected, faces, camera.height, camera.width)
    covered = face >= 0
    if not covered.any():
        raise ValueError("the body is outside the picture: there is nothing to guide a synthesis by")
    normals = vertex_normals(vertices @ camera.T_camera_world[:3, :3].cpu().T, model.faces.cpu()).numpy()
    labels = vertex_labels(model)
    near = face, bary = _spread(covered, face, bary)
    corners = [(faces[near[0], k], near[1][..., k, None]) for k in range(3)]

    def at(values: np.ndarray) -> np.ndarray:
        return np.stack([values[index] * share for index, share in corners]).sum(0).astype(np.float32)

    normal = at(normals)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True).clip(1e-6)
    corner = np.take_along_axis(faces[face], bary.argmax(-1)[..., None], -1)[..., 0]
    return Guides(at(model.v_template.cpu().numpy()), labels[corner], normal, covered)


def _spread(there: Bool[np.ndarray, "h w"], *arrays: np.ndarray, step: int = 4) -> tuple[np.ndarray, ...]:
    """As `nearest`, but with the nearest of every fourth pixel of every fourth row: far from the body a few
    pixels do not matter."""
    few = np.zeros_like(there)
    few[::step, ::step] = there[::step, ::step]
    if not few.any():
        return nearest(there, *arrays)
    spread = nearest(few[::step, ::step], *(array[::step, ::step] for array in arrays))
    height, width = there.shape
    large = (array.repeat(step, 0).repeat(step, 1)[:height, :width] for array in spread)
    return tuple(
        np.where(there.reshape(there.shape + (1,) * (array.ndim - 2)), array, far)
        for array, far in zip(arrays, large, strict=True)
    )


def nearest(there: Bool[np.ndarray, "h w"], *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays with the values of the nearest pixel that is `there` (at least one is) everywhere else."""
    index = ndimage.distance_transform_edt(~there, return_distances=False, return_indices=True)
    assert isinstance(index, np.ndarray)
    return tuple(array[index[0], index[1]] for array in arrays)
