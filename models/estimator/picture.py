"""The estimate drawn over the view: the body's shaded surface and the keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_NAMES, PARENTS
from turnaround.models.landmarks.wholebody import BONES
from turnaround.models.mesh.silhouette import normal_maps
from turnaround.pipeline.values.types import Body, Camera, View

LEFT, RIGHT, MIDDLE = (230, 50, 40), (40, 80, 230), (30, 160, 60)
SCALE = 2  # the drawing is made larger and reduced, so that lines are smooth


def body_overlay(
    model: BodyModel,
    body: Body,
    keypoints: Mapping[str, Sequence[float]],
    view: View,
) -> Float[Tensor, "h w 3"]:
    """The view with the body at half opacity, and the keypoints with their bones (left red, right blue)."""
    camera = view.camera
    one = Camera(camera.K[None], camera.T_camera_world[None], camera.width, camera.height)
    normals = normal_maps(model(body).vertices, model.skin_faces.numpy(), one)[0]
    seen = normals.square().sum(-1, keepdim=True) > 0.25
    shade = (0.35 + 0.65 * (-normals[..., 2:]).clamp(0, 1)) * torch.tensor([0.55, 0.8, 1.0])
    picture = torch.where(seen, 0.45 * view.image + 0.55 * shade, view.image)
    canvas = Image.fromarray((picture.clamp(0, 1) * 255).round().byte().numpy())
    canvas = canvas.resize((camera.width * SCALE, camera.height * SCALE), Image.Resampling.BILINEAR)
    draw_keypoints(ImageDraw.Draw(canvas), keypoints, unit=camera.width * SCALE / 512, scale=SCALE)
    canvas = canvas.resize((camera.width, camera.height), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(canvas).astype(np.float32) / 255)


def draw_keypoints(
    draw: ImageDraw.ImageDraw,
    keypoints: Mapping[str, Sequence[float]],
    unit: float,
    scale: float = 1.0,
) -> None:
    """Bones between the keypoints that are there, and their dots: large for the body, small for hands and
    face.

    Args:
        unit: width of a line, pixels of the canvas.
        scale: pixels of the canvas for one of the keypoints'.
    """
    at = {name: (row[0] * scale, row[1] * scale) for name, row in keypoints.items() if row[2] > 0}
    for a, b in (*BONES, *_SKELETON):
        if a in at and b in at:
            fine = "finger" in b or "thumb" in b
            draw.line([at[a], at[b]], fill=_color(b), width=max(1, round(unit * (0.7 if fine else 1.6))))
    for name, (x, y) in at.items():
        small = "finger" in name or "thumb" in name or name.startswith("face-")
        radius = unit * (0.7 if small else 1.2 + 1.6 * keypoints[name][2])
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=_color(name))


_SKELETON = tuple(
    (JOINT_NAMES[parent], JOINT_NAMES[joint]) for joint, parent in enumerate(PARENTS[:25]) if parent >= 0
)


def _color(name: str) -> tuple[int, int, int]:
    return LEFT if name.startswith("left") else RIGHT if name.startswith("right") else MIDDLE
