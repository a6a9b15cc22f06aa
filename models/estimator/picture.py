"""The estimate drawn over the view: the body's shaded surface and the joints."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from models.body import BodyModel
from models.estimator.kinematics import KEYPOINT_NAMES, KEYPOINTS
from models.silhouette import normal_maps
from models.skeleton import PARENTS
from pipeline.types import Body, Camera, View


def body_overlay(model: BodyModel, body: Body, keypoints: dict[str, list[float]], view: View) -> Float[Tensor, "h w 3"]:
    """The view with the body at half opacity, bones of the keypoints in colours of their side (left red, right blue)."""
    camera = view.camera
    one = Camera(camera.K[None], camera.T_camera_world[None], camera.width, camera.height)
    normals = normal_maps(model(body).vertices, model.skin_faces.numpy(), one)[0]
    seen = normals.square().sum(-1, keepdim=True) > 0.25
    shade = (0.35 + 0.65 * (-normals[..., 2:]).clamp(0, 1)) * torch.tensor([0.55, 0.8, 1.0])
    picture = torch.where(seen, 0.45 * view.image + 0.55 * shade, view.image)
    canvas = Image.fromarray((picture.clamp(0, 1) * 255).round().byte().numpy())
    _draw_bones(ImageDraw.Draw(canvas), keypoints, width=max(1, camera.width // 200))
    return torch.from_numpy(np.asarray(canvas).astype(np.float32) / 255)


def _draw_bones(draw: ImageDraw.ImageDraw, keypoints: dict[str, list[float]], width: int) -> None:
    for joint, name in zip(KEYPOINTS, KEYPOINT_NAMES, strict=True):
        if name not in keypoints:
            continue
        color = (230, 50, 40) if name.startswith("left") else (40, 80, 230) if name.startswith("right") else (30, 160, 60)
        x, y, confidence = keypoints[name]
        parent = PARENTS[joint]
        if parent >= 0 and parent in KEYPOINTS:
            px, py, _ = keypoints[KEYPOINT_NAMES[KEYPOINTS.index(parent)]]
            draw.line([(px, py), (x, y)], fill=color, width=width)
        radius = width * (1 + 1.5 * confidence)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)
