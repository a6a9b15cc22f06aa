"""What the model reads: pictures without their white fringe, rays, and the given body as points and maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.surface import BodySurface
from turnaround.models.mesh.silhouette import vertex_normals
from turnaround.models.mesh.zbuffer import rasterize_mesh
from turnaround.pipeline.values.camera import project, resize
from turnaround.pipeline.values.record import TensorRecord
from turnaround.pipeline.values.types import Body, Camera, View

BODY_MAPS = (1, 1, 3)  # channels of `HGMInput.maps`: depth, coverage, normal
OCCLUSION = 0.02  # metres behind the visible surface at which a point counts as hidden


@dataclass(frozen=True)
class HGMInput(TensorRecord):
    """A batch of b people, v ordered views each (front first), pictures of s pixels."""

    rgb: Float[Tensor, "b v 3 s s"]  # un-premultiplied colours, 0.5 outside the mask
    mask: Float[Tensor, "b v 1 s s"]
    K: Float[Tensor, "b v 3 3"]  # at s pixels
    T_camera_world: Float[Tensor, "b v 4 4"]
    has_body: Bool[Tensor, " b"]
    # of the body: depth (filled outside), coverage, normal in the camera frame; h = s / 2
    maps: Float[Tensor, "b v 5 h h"]
    points: Float[Tensor, "b n 3"]  # on the body's surface, world
    normals: Float[Tensor, "b n 3"]
    visible: Float[Tensor, "b v n"]

    @property
    def people(self) -> int:
        """How many people the batch holds."""
        return self.rgb.shape[0]

    @property
    def views(self) -> int:
        """How many pictures there are of each person."""
        return self.rgb.shape[1]

    @property
    def size(self) -> int:
        """Pixels a side of the pictures."""
        return self.rgb.shape[-1]

    @property
    def body_depth(self) -> Float[Tensor, "b v 1 h h"]:
        """Metres to the body's surface."""
        return self.maps.split(BODY_MAPS, 2)[0]

    def camera(self, person: int, view: int) -> Camera:
        """The camera of one view of one person."""
        return Camera(self.K[person, view], self.T_camera_world[person, view], self.size, self.size)


def stack(inputs: list[HGMInput]) -> HGMInput:
    """People of the same sizes as one batch."""
    return HGMInput(
        **{name: torch.cat([getattr(i, name) for i in inputs]) for name in HGMInput.__dataclass_fields__}
    )


def prepare(
    views: list[View], body: Body | None, body_model: BodyModel, surface: BodySurface, size: int
) -> HGMInput:
    """Inputs of one person at `size` pixels; no gradient flows to the body."""
    images, masks, cameras = [], [], []
    for view in views:
        image, mask = _resized(view, size)
        images.append(unpremultiply(image, mask))
        masks.append(mask)
        cameras.append(resize(view.camera, size))
    with torch.no_grad():
        if body is None:
            vertices = None
        else:
            vertices = body_model(body).vertices.reshape(-1, 3)
        return assemble(torch.stack(images), torch.stack(masks), cameras, vertices, body_model, surface)


def assemble(
    rgb: Float[Tensor, "v 3 s s"],
    mask: Float[Tensor, "v 1 s s"],
    cameras: list[Camera],
    vertices: Float[Tensor, "n 3"] | None,
    body_model: BodyModel,
    surface: BodySurface,
) -> HGMInput:
    """Inputs of one person from pictures that are ready and posed vertices (None: no body)."""
    count, size = len(surface.faces), rgb.shape[-1]
    if vertices is None:
        maps = rgb.new_zeros(len(cameras), sum(BODY_MAPS), size // 2, size // 2)
        visible, points = rgb.new_zeros(len(cameras), count), rgb.new_zeros(count, 3)
        normals = points
    else:
        vertex_normal = vertex_normals(vertices, body_model.skin_faces)
        points = surface.points(vertices[None])[0]
        normals = F.normalize(surface.points(vertex_normal[None])[0], dim=-1)
        pairs = [
            body_maps(vertices, vertex_normal, points, normals, body_model, resize(camera, size // 2))
            for camera in cameras
        ]
        maps, visible = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    K, T = torch.stack([c.K for c in cameras]), torch.stack([c.T_camera_world for c in cameras])
    has_body = torch.tensor([vertices is not None])
    return HGMInput(
        rgb[None],
        mask[None],
        K[None],
        T[None],
        has_body,
        maps[None],
        points[None],
        normals[None],
        visible[None],
    )


def body_maps(
    vertices: Float[Tensor, "v 3"],
    vertex_normal: Float[Tensor, "v 3"],
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    body_model: BodyModel,
    camera: Camera,
) -> tuple[Float[Tensor, "5 h h"], Float[Tensor, " n"]]:
    """Depth, coverage and normal maps of the body, and which surface points the camera sees."""
    pixels, depth = project(vertices, camera)
    uvz = torch.cat([pixels, depth[:, None]], 1).numpy().astype(np.float32)
    faces = body_model.skin_faces.numpy().astype(np.int32)
    face_id, bary, zbuffer = rasterize_mesh(uvz, faces, camera.height, camera.width)
    covered = face_id >= 0
    R = camera.T_camera_world[:3, :3]
    corner = (vertex_normal @ R.T).numpy()[faces[face_id.clip(0)]]
    normal = (corner * bary[..., None]).sum(2) * covered[..., None]
    filled = fill_nearest(zbuffer, covered)
    stacked = np.concatenate([filled[None], covered[None].astype(np.float32), normal.transpose(2, 0, 1)])
    return torch.from_numpy(stacked.astype(np.float32)), _visible(points, normals, zbuffer, covered, camera)


def _visible(
    points: Tensor, normals: Tensor, zbuffer: np.ndarray, covered: np.ndarray, camera: Camera
) -> Float[Tensor, " n"]:
    pixels, depth = project(points, camera)
    x = pixels[:, 0].long().clamp(0, camera.width - 1)
    y = pixels[:, 1].long().clamp(0, camera.height - 1)
    front = torch.from_numpy(np.where(covered, zbuffer, np.inf).astype(np.float32))[y, x]
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    R, t = camera.T_camera_world[:3, :3], camera.T_camera_world[:3, 3]
    facing = (normals * (-(R.T @ t) - points)).sum(1) > 0
    return (inside & facing & (depth < front + OCCLUSION)).float()


def fill_nearest(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The values with every invalid pixel replaced by the nearest valid one; 2 m where nothing is valid."""
    if not valid.any():
        return np.full_like(values, 2.0)
    rows, columns = distance_transform_edt(~valid, return_distances=False, return_indices=True)  # type: ignore[misc]
    return values[rows, columns]


def unpremultiply(
    image: Float[Tensor, "*b 3 s s"], mask: Float[Tensor, "*b 1 s s"]
) -> Float[Tensor, "*b 3 s s"]:
    """Colours with the white background taken out of soft edges; grey where there is no person."""
    color = ((image - (1 - mask)) / mask.clamp(min=0.1)).clamp(0, 1)
    return torch.where(mask > 0.02, color, torch.full_like(color, 0.5))


def _resized(view: View, size: int) -> tuple[Tensor, Tensor]:
    stacked = torch.cat([view.image, view.mask[..., None]], -1).permute(2, 0, 1)[None]
    if stacked.shape[-1] != size:
        stacked = F.interpolate(
            stacked, size=(size, size), mode="area" if stacked.shape[-1] % size == 0 else "bilinear"
        )
    return stacked[0, :3], stacked[0, 3:]
