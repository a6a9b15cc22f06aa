"""The ground below moving persons: soft shadows where they are near it (numba)."""

from __future__ import annotations

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.pipeline.values.types import Camera

CASTING = (
    "left_foot", "right_foot", "left_ankle", "right_ankle", "left_knee", "right_knee", "left_hip",
    "right_hip", "spine3", "head", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
NEAR, SPREAD = 0.07, 0.28  # metres: a shadow's radius at the ground, and how much it grows a metre above it
DARK, FADE = 0.3, 0.22  # darkness at the ground; metres above it over which it falls to 1 / e
FAINT = 0.01  # darkness of shadows that are not drawn: on white, their rims would be seen
REACH = 8.0  # squared distance at which a shadow ends, by its radius
DOWN, ACROSS = 2, 4  # pixels of which one is computed: shadows are soft, and flat from where cameras are


def shadows(joints: Float[Tensor, "j 3"], ground: float = 0.0) -> Float64[np.ndarray, "s 4"]:
    """Round shadows of a person: x, z and radius in metres, darkness in [0, 1]."""
    points = joints[[JOINT_INDEX[name] for name in CASTING]].double().numpy()
    above = np.maximum(ground - points[:, 1], 0.0)
    found = np.stack([points[:, 0], points[:, 2], NEAR + SPREAD * above, DARK * np.exp(-above / FADE)], 1)
    return found[found[:, 3] > FAINT]


def ground_picture(
    camera: Camera,
    dark: Float64[np.ndarray, "s 4"],
    background: tuple[float, float, float],
    ground: float = 0.0,
) -> Float32[np.ndarray, "h w 3"]:
    """The background of one camera with shadows on the plane y = `ground`, metres; sRGB in [0, 1]."""
    rows, columns = -(-camera.height // DOWN), -(-camera.width // ACROSS)
    light = np.empty((rows, columns), np.float32)
    T, K = camera.T_camera_world.double().numpy(), camera.K.double().numpy()
    R = np.ascontiguousarray(T[:3, :3])
    _light(K, R, -(R.T @ T[:3, 3]), dark, ground, light)
    size = (rows * DOWN, columns * ACROSS)
    grown = torch.nn.functional.interpolate(
        torch.from_numpy(light)[None, None], size, mode="bilinear", align_corners=False
    )[0, 0, : camera.height, : camera.width]
    return grown.numpy()[..., None] * np.array(background, np.float32)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _light(
    K: Float64[np.ndarray, "3 3"],
    R: Float64[np.ndarray, "3 3"],
    eye: Float64[np.ndarray, "3"],
    dark: Float64[np.ndarray, "s 4"],
    ground: float,
    light: Float32[np.ndarray, "h w"],
):  # pragma: no cover - compiled
    """What is left of the light at each coarse pixel's point of the ground; 1 where there is none."""
    for row in range(light.shape[0]):
        for column in range(light.shape[1]):
            u = ((column + 0.5) * ACROSS - K[0, 2]) / K[0, 0]
            v = ((row + 0.5) * DOWN - K[1, 2]) / K[1, 1]
            down = R[0, 1] * u + R[1, 1] * v + R[2, 1]
            light[row, column] = 1.0
            if down * (ground - eye[1]) <= 0:
                continue
            far = (ground - eye[1]) / down
            x = eye[0] + far * (R[0, 0] * u + R[1, 0] * v + R[2, 0])
            z = eye[2] + far * (R[0, 2] * u + R[1, 2] * v + R[2, 2])
            left = 1.0
            for k in range(len(dark)):
                square = ((x - dark[k, 0]) ** 2 + (z - dark[k, 1]) ** 2) / (dark[k, 2] ** 2)
                if square < REACH:  # nearly exp(-square / 2), and nothing from there on
                    left *= 1 - dark[k, 3] * (1 - square / REACH) ** 4
            light[row, column] = left
