"""What a reconstruction has to beat: an empty picture, and the estimated body painted with the photo."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.data.sets.folders import AZIMUTHS
from turnaround.flows.evaluation.measures.measure import Pictures
from turnaround.models.body.model import BodyModel
from turnaround.models.mesh.zbuffer import rasterize_views
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.camera import orbit_cameras, project
from turnaround.pipeline.values.types import Body, Camera, Mesh, View

TOLERANCE = 0.01  # metres behind the nearest surface at which a vertex still counts as seen


def white(size: int) -> Pictures:
    """Nobody there."""
    return torch.ones(12, size, size, 3), torch.zeros(12, size, size)


def painted_body(model: BodyModel, body: Body, view: View) -> Mesh:
    """The naked body's surface with the photo's colours where the camera sees it.

    A hidden vertex takes the colour of the seen vertex that is nearest in the picture, as if the person's
    back were a mirror image of the front (vertices outside of the mask are hidden too).
    """
    vertices = model(body).vertices.detach()
    pixels, _ = project(vertices, view.camera)
    seen = _seen(vertices, model.skin_faces, view.camera) & (
        _sample(view.mask[..., None], pixels)[:, 0] > 0.9
    )
    if not seen.any():
        raise CallError(
            "no vertex of the body lies inside the photo's mask: the body is not where the person is"
        )
    colors = _sample(view.image, pixels)
    nearest = torch.cat([torch.cdist(part, pixels[seen]).argmin(1) for part in pixels.split(2048)])
    colors = torch.where(seen[:, None], colors, colors[seen][nearest])
    return Mesh(vertices, model.skin_faces, colors)


def _seen(vertices: Float[Tensor, "v 3"], faces: Tensor, camera: Camera) -> Tensor:
    """Whether each vertex is the nearest surface at its pixel, up to TOLERANCE."""
    pixels, depth = project(vertices, camera)
    uvz = torch.cat([pixels, depth[:, None]], -1)[None].numpy()
    _, _, buffer = rasterize_views(uvz, faces.int().numpy(), camera.height, camera.width)
    nearest = _sample(torch.from_numpy(buffer[0])[..., None], pixels, "nearest")[:, 0]
    return (nearest > 0) & (depth < nearest + TOLERANCE)


def _sample(
    image: Float[Tensor, "h w c"], pixels: Float[Tensor, "v 2"], mode: str = "bilinear"
) -> Float[Tensor, "v c"]:
    size = torch.tensor([image.shape[1], image.shape[0]])
    grid = (pixels / size * 2 - 1)[None, None]
    return F.grid_sample(
        image.movedim(-1, 0)[None], grid, mode=mode, padding_mode="border", align_corners=False
    )[0, :, 0].T


def render_mesh(mesh: Mesh, size: int, supersampling: int = 2) -> Pictures:
    """Pictures over white and masks of a mesh with vertex colours from the suite's twelve cameras."""
    fine = size * supersampling
    pixels, depth = project(mesh.vertices[None], orbit_cameras(AZIMUTHS, fine))
    uvz = torch.cat([pixels, depth[..., None]], -1).numpy()
    images, masks = [], []
    for view in uvz:
        face_id, bary, _ = (
            torch.from_numpy(x)[0] for x in rasterize_views(view[None], mesh.faces.int().numpy(), fine, fine)
        )
        mask = (face_id >= 0).float()
        corners = mesh.colors[mesh.faces[face_id.clamp(min=0)]]
        color = (corners * bary[..., None]).sum(-2) * mask[..., None] + 1 - mask[..., None]
        both = F.avg_pool2d(torch.cat([color, mask[..., None]], -1).movedim(-1, 0)[None], supersampling)[
            0
        ].movedim(0, -1)
        images.append(both[..., :3])
        masks.append(both[..., 3])
    return torch.stack(images), torch.stack(masks)
