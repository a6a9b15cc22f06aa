"""What the refinement fits the body to: the photo's mask and keypoints, masks of other views, normals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from turnaround.models.body.keypoints import BODY_NAMES, SURFACE_NAMES, surface_vertices
from turnaround.models.body.model import JOINT_NAMES, BodyModel, BodyOutput
from turnaround.pipeline.values.camera import orbit_cameras, resize
from turnaround.pipeline.values.types import Body, Camera, Gaussians, View

LANDMARK_NAMES: tuple[str, ...] = (*JOINT_NAMES, *SURFACE_NAMES)
"""What a keypoint may be called: the body's joints, and points of the skin such as the nose and the toes."""

FITTED = BODY_NAMES & set(LANDMARK_NAMES)  # forty finger joints would be louder than the whole body

# The HGM model: the body is None while it is withheld (before `feed_body_from`).
GaussianModel: TypeAlias = Callable[[Body | None], Gaussians]
# Masks in [0, 1] of all views for the body that the model is fed with.
MaskModel: TypeAlias = Callable[[Body | None, Camera], Float[Tensor, "c h w"]]
# World-frame normals of the front and the back view given the current body or none, zero off the person.
NormalModel: TypeAlias = Callable[[Body | None], Float[Tensor, "2 h w 3"]]


@dataclass(frozen=True)
class Evidence:
    """The photo's part, at the size of the fit."""

    cameras: Camera  # (views,), the first is the photo's
    front_mask: Float[Tensor, "h w"]
    landmark_index: Int[Tensor, " k"]  # into `LANDMARK_NAMES`
    keypoints: Float[Tensor, "k 2"]  # pixels of the first camera
    confidence: Float[Tensor, " k"]

    def to(self, device: torch.device) -> Evidence:
        """The same on a device."""
        moved = (
            x.to(device)
            for x in (self.cameras, self.front_mask, self.landmark_index, self.keypoints, self.confidence)
        )
        return Evidence(*moved)  # type: ignore[arg-type]


def gather_evidence(
    view: View, keypoints: Mapping[str, Sequence[float]], *, views: int, size: int
) -> Evidence:
    """Evidence from a prepared photo.

    Args:
        view: picture, mask and canonical camera.
        keypoints: name -> x, y in pixels of `view`, confidence; names of fingers, of the face and unknown
        ones are left out. views: cameras in equal steps around the person.
        size: pixels of the fitted masks.
    """
    scale = size / view.camera.width
    known = [(LANDMARK_NAMES.index(name), *value) for name, value in keypoints.items() if name in FITTED]
    table = torch.tensor(known, dtype=torch.float32).reshape(-1, 4)
    return Evidence(
        cameras=circle(view.camera, views, size),
        front_mask=resize_mask(view.mask, size),
        landmark_index=table[:, 0].long(),
        keypoints=table[:, 1:3] * scale,
        confidence=table[:, 3],
    )


def landmarks(posed: BodyOutput, model: BodyModel, index: Int[Tensor, " k"]) -> Float[Tensor, "k 3"]:
    """The points LANDMARK_NAMES[index] of a posed body, world frame, metres.

    Raises:
        ValueError: a point of the skin is asked for and the body's file does not say where they are.
    """
    return landmarks_at(posed, surface_of(model, index), index)


def surface_of(model: BodyModel, index: Int[Tensor, " k"]) -> Int[Tensor, " s"]:
    """Vertices of the landmarks that follow the joints, none where `index` has joints only; raises as
    `landmarks`."""
    wanted = bool((index >= len(JOINT_NAMES)).any())
    return torch.tensor(surface_vertices(model) if wanted else [], dtype=torch.long)


def landmarks_at(
    posed: BodyOutput, surface: Int[Tensor, " s"], index: Int[Tensor, " k"]
) -> Float[Tensor, "k 3"]:
    """`landmarks` with the vertices of `surface_of`, which a loop asks for once."""
    return torch.cat([posed.joints, posed.vertices[surface]])[index]


def circle(front: Camera, views: int, size: int) -> Camera:
    """`views` cameras around the world's origin in equal steps; the first is `front`, all `size` pixels
    wide."""
    orbit = orbit_cameras([360 / views * k for k in range(views)], size)
    first = resize(front, size)
    return Camera(
        torch.cat([first.K[None], orbit.K[1:]]),
        torch.cat([first.T_camera_world[None], orbit.T_camera_world[1:]]),
        size,
        size,
    )


def resize_mask(mask: Float[Tensor, "h w"], size: int) -> Float[Tensor, "size size"]:
    """A square mask at another resolution, area-averaged when it shrinks."""
    mode = "area" if mask.shape[-1] >= size else "bilinear"
    return F.interpolate(mask[None, None], (size, size), mode=mode)[0, 0]


def masks_of_gaussians(model: GaussianModel) -> MaskModel:
    """The opacity of the model's Gaussians in each view."""
    from turnaround.models.splat import (
        rasterize,  # compiled kernels, which a fit to given masks does not need
    )

    @torch.no_grad()
    def masks(body: Body | None, cameras: Camera) -> Float[Tensor, "c h w"]:
        gaussians = model(body)
        return rasterize(gaussians, cameras.to(gaussians.means.device), outputs=("rgb", "alpha")).alpha.clamp(
            0, 1
        )

    return masks
