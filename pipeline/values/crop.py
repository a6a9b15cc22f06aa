"""A view as another camera at the same place would take it: the copies that networks see, and close views."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.types import Camera, View

NETWORKS = 512  # pixels of the canonical copy of a photo's view


def networks_copy(view: View, size: int = NETWORKS) -> View:
    """The view before the canonical camera, which every network was trained with."""
    return at_camera(view, canonical_camera(size).to(view.image.device))


def at_camera(view: View, camera: Camera) -> View:
    """The same person before a camera with another focal length, principal point or size, without aliasing.

    What the view does not show is white, its mask 0.

    Raises:
        ValueError: the camera stands elsewhere or looks elsewhere.
    """
    if torch.equal(view.camera.K, camera.K) and (view.camera.width, view.camera.height) == (
        camera.width,
        camera.height,
    ):
        _same_place(view.camera, camera)
        return view
    scale, shift = between(camera, view.camera)
    rows = _resampling(camera.height, view.camera.height, scale[1], shift[1]).to(view.image)
    columns = _resampling(camera.width, view.camera.width, scale[0], shift[0]).to(view.image)
    # what is missing from white, and the mask: both are 0 beyond the picture
    layers = torch.cat([1 - view.image, view.mask[..., None]], -1).permute(2, 0, 1)
    moved = (rows @ layers @ columns.T).permute(1, 2, 0).clamp(0, 1)
    return View((1 - moved[..., :3]).contiguous(), moved[..., 3].contiguous(), camera)


def tight(view: View, margin: int = 8) -> View:
    """The part of a view that holds its person (mask above 0) and `margin` pixels around, with its own
    camera; no longer square."""
    box = box_of(view.mask > 0)
    if box is None:
        return view
    left, top = (max(0, edge - margin) for edge in box[:2])
    right, bottom = min(view.camera.width, box[2] + margin), min(view.camera.height, box[3] + margin)
    part = (slice(top, bottom), slice(left, right))
    return View(
        view.image[part].contiguous(),
        view.mask[part].contiguous(),
        window(view.camera, left, top, right, bottom),
    )


def box_of(there: Bool[Tensor, "h w"]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of all pixels that are there, the latter two beyond the last; None without
    any."""
    rows, columns = (torch.nonzero(there.any(axis))[:, 0].tolist() for axis in (1, 0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if rows else None


def window(camera: Camera, left: int, top: int, right: int, bottom: int) -> Camera:
    """A camera that takes those columns and rows of one camera's picture alone."""
    K = camera.K.clone()
    K[:2, 2] -= torch.tensor([left, top], dtype=K.dtype, device=K.device)
    return Camera(K, camera.T_camera_world, right - left, bottom - top)


def points_at(points: Float[Tensor, "*b 2"], source: Camera, target: Camera) -> Float[Tensor, "*b 2"]:
    """Pixels of one camera's picture in that of another at the same place."""
    scale, shift = between(source, target)
    return points * points.new_tensor(scale) + points.new_tensor(shift)


def between(source: Camera, target: Camera) -> tuple[tuple[float, float], tuple[float, float]]:
    """Scale and shift for x and y: pixel of the target = scale * pixel of the source + shift."""
    _same_place(source, target)
    a, b = source.K.double().cpu(), target.K.double().cpu()
    scale = [float(b[k, k] / a[k, k]) for k in range(2)]
    shift = [float(b[k, 2] - a[k, 2] * b[k, k] / a[k, k]) for k in range(2)]
    return (scale[0], scale[1]), (shift[0], shift[1])


def _same_place(a: Camera, b: Camera) -> None:
    if not torch.allclose(a.T_camera_world.cpu(), b.T_camera_world.cpu(), atol=1e-5):
        raise ValueError(
            "the two cameras do not stand at one place and look one way: only a crop can be taken from a view"
        )


def _resampling(wide: int, given: int, scale: float, shift: float) -> Float[Tensor, "wide given"]:
    """Weights of the given pixels in each new one: a triangle as wide as the coarser of both grids."""
    centres = (torch.arange(wide, dtype=torch.float64) + 0.5) * scale + shift - 0.5
    reach = max(1.0, scale)

    def triangle(indices: Tensor) -> Tensor:
        return (1 - (indices - centres[:, None]).abs() / reach).clamp(min=0)

    # over all pixels there could be: a triangle that is no whole number of pixels wide does not sum to its
    # area
    around = torch.floor(centres)[:, None] + torch.arange(
        -int(reach) - 1, int(reach) + 3, dtype=torch.float64
    )
    return triangle(torch.arange(given, dtype=torch.float64)) / triangle(around).sum(1, keepdim=True)
