"""Several looks at one person: the window mirrored, turned and resized; the answers brought back and
averaged."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.crop import cut_white, from_window, mask_window, rotation_2d, to_window
from turnaround.models.estimator.kinematics import (
    MIRROR_KEYPOINT,
    mean_rotation,
    mirror_keypoints,
    mirror_rotations,
)
from turnaround.models.estimator.model import BodyEstimator, Prediction
from turnaround.pipeline.values.camera import DISTANCE
from turnaround.pipeline.values.rotation import axis_angle_to_matrix

LOOKS: tuple[tuple[float, float], ...] = (
    (0.0, 1.0),
)  # turn in radians, size of the window; more of them gain less than 1 mm


@torch.no_grad()
def look(
    network: BodyEstimator, pixels: Float[Tensor, "1 4 h w"], looks: tuple[tuple[float, float], ...] = LOOKS
) -> tuple[Prediction, Tensor]:
    """The averaged prediction for one picture (RGB over white, mask), and its window.

    Args:
        looks: windows to average over, each also mirrored; empty: one plain look.
    """
    plain = mask_window(pixels[:, 3])
    if not looks:
        return network(cut_white(pixels, plain), plain), plain
    crops, windows = [], []
    for angle, size in looks:
        turn = torch.tensor([angle], device=pixels.device)
        for picture in (pixels, pixels.flip(-1)):
            window = mask_window(picture[:, 3], turn) * torch.tensor([1, 1, size], device=pixels.device)
            crops.append(cut_white(picture, window, angle=turn))
            windows.append(window)
    window = torch.cat(windows)
    found = network(torch.cat(crops), window)
    angles = torch.tensor([angle for angle, _ in looks for _ in range(2)], device=pixels.device)
    mirrored = torch.tensor([False, True] * len(looks), device=pixels.device)
    return _average(network, found, window, angles, mirrored, plain), plain


def _average(
    network: BodyEstimator,
    found: Prediction,
    window: Float[Tensor, "n 3"],
    angles: Float[Tensor, " n"],
    mirrored: Tensor,
    plain: Tensor,
) -> Prediction:
    """Means of n looks at the same person, in the picture's own frame."""
    back = axis_angle_to_matrix(
        torch.stack([torch.zeros_like(angles), torch.zeros_like(angles), -angles], -1)
    )
    rotations = back[:, None] @ found.rotations
    rotations = torch.where(mirrored[:, None, None, None], mirror_rotations(rotations), rotations)
    rotations = mean_rotation(rotations)[None]
    points = from_window(found.keypoints, window) @ rotation_2d(-angles).transpose(-1, -2)
    points = torch.where(mirrored[:, None, None], mirror_keypoints(points), points)
    spread = (
        torch.where(mirrored[:, None], found.spread[:, list(MIRROR_KEYPOINT)], found.spread) * window[:, 2:]
    )
    pelvis = (back @ found.pelvis[..., None])[..., 0]
    pelvis = torch.where(mirrored[:, None], pelvis * torch.tensor([-1.0, 1, 1], device=pelvis.device), pelvis)
    depth = pelvis[:, 2] + DISTANCE
    ray, mean_depth = (pelvis[:, :2] / depth[:, None]).mean(0), depth.log().mean().exp()
    pelvis = torch.cat([ray * mean_depth, mean_depth[None] - DISTANCE])[None]
    betas = found.betas.mean(0, keepdim=True)
    return Prediction(
        rotations,
        betas,
        pelvis,
        network.skeleton(rotations, betas) + pelvis[:, None],
        to_window(points.mean(0, keepdim=True), plain),
        spread.mean(0, keepdim=True) / plain[:, 2:],
        found.heatmaps[:1],
    )
