"""Bodies as pictures: over a photo, and turned about their own pelvis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.mesh.view import mesh_pictures
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Body, Camera, Mesh

OPACITY = 0.6
Picture = Float[Tensor, "h w 3"]


def surface(model: BodyModel, body: Body) -> Mesh:
    """The body's skin, grey."""
    vertices = model(body).vertices.detach()
    return Mesh(vertices, model.skin_faces, torch.full_like(vertices, 0.7))


def over(under: Picture, model: BodyModel, body: Body, camera: Camera) -> Picture:
    """The body's normals over a picture of the camera's."""
    one = Camera(camera.K[None], camera.T_camera_world[None], camera.width, camera.height)
    drawn = mesh_pictures(surface(model, body), one, "normals")[0]
    covered = OPACITY * (drawn.amin(-1, keepdim=True) < 0.97).float()  # white is nothing
    return under * (1 - covered) + covered * drawn


def turned(model: BodyModel, body: Body, azimuths: Sequence[float], size: int) -> Float[Tensor, "n h w 3"]:
    """The shaded body seen from azimuths in degrees, its pelvis in the middle wherever it is in the world."""
    posed = model(body)
    mesh = surface(model, body)
    centred = Mesh(mesh.vertices - posed.joints[0].detach(), mesh.faces, mesh.colors)
    return mesh_pictures(centred, orbit_cameras(azimuths, size))
