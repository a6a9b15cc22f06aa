"""The square camera that looks at the person from where a real one stands, and its picture.

Pictures that cameras take from one point differ by a homography alone, whatever their rotation and lens. So a
real camera's picture is turned to have the person where the canonical camera (pipeline/values/camera.py) has
them, and sampled once; the world stays as it is, in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, UInt8
from scipy import ndimage

from turnaround.data.rigs.masks import Seen
from turnaround.data.rigs.moment import RigCamera, RigError
from turnaround.models.matting.cutout import EDGE, HEIGHT, PELVIS, WIDTH, own_colors

HIPS = (
    0.38,
    0.58,
)  # of the height: where the mask's mean column is the pelvis', as in models/matting/cutout.py
TURNS = 6  # until the middle stays: turning the camera changes the box a little
STRIP = 32  # rows that are sampled at once
MOST_SAMPLES = 12  # along each axis of a pixel
SMALLEST = 24  # pixels of the person's longer side in the real picture
POINTS = 20_000  # of a mask
LEVEL = 0.3  # of the vertical, what must lie across the line of sight for it to say what is up


@dataclass(frozen=True)
class VirtualView:
    """A square picture of the person and its camera."""

    rgb: UInt8[np.ndarray, "s s 3"]  # over white
    mask: UInt8[np.ndarray, "s s"]
    K: Float64[np.ndarray, "3 3"]
    T_camera_world: Float64[np.ndarray, "4 4"]
    extent: float  # longer side of the person's box, metres at depth 1
    cut_off: bool  # whether a border of the real picture cuts the person


def virtual_view(
    seen: Seen, camera: RigCamera, size: int, up: tuple[float, float, float] | None = None
) -> VirtualView:
    """Turn and scale a real camera's picture to a square of `size` pixels.

    Args:
        up: against gravity in the world: people stand upright then, however the camera was held.

    Raises:
        RigError: the lens folds within the picture, or the person is too small in it.
    """
    _check_lens(camera, seen.mask.shape)
    edge, inside, weights = _rays(seen.mask, camera)
    R, focal, extent = framed(
        edge, inside, weights, None if up is None else camera.T_camera_world[:3, :3] @ up
    )
    if extent * camera.K[1, 1] < SMALLEST:
        raise RigError(
            f"camera {camera.name!r}: the person is {extent * camera.K[1, 1]:.0f} px large, expected "
            f"at least {SMALLEST}; give larger pictures"
        )
    K = np.array([[focal * size, 0, size / 2], [0, focal * size, size / 2], [0, 0, 1.0]])
    rgb, mask = resampled(seen, camera, K, R, size)
    T = np.eye(4)
    T[:3, :3] = R @ camera.T_camera_world[:3, :3]
    T[:3, 3] = R @ camera.T_camera_world[:3, 3]
    border = np.concatenate([seen.mask[[0, -1]].ravel(), seen.mask[:, [0, -1]].ravel()])
    return VirtualView(rgb, mask, K, T, extent, bool((border > 0.5).any()))


def framed(
    edge: Float64[np.ndarray, "n 3"],
    inside: Float64[np.ndarray, "m 3"],
    weights: Float64[np.ndarray, " m"],
    up: Float64[np.ndarray, "3"] | None,
) -> tuple[Float64[np.ndarray, "3 3"], float, float]:
    """How to turn a camera to a person, and how far to zoom: as `prepare` frames a photo.

    Args:
        edge, inside: rays in the real camera's frame to the mask's outline, and to all of it with `weights`.
        up: against gravity in the real camera's frame; None: it is turned no more than it must be.

    Returns:
        R_virtual_real, focal length over the picture's width, and the box's longer side at depth 1.
    """
    R = _towards(inside.mean(0), up)
    for _ in range(TURNS):
        x, y, *_ = _middle(edge @ R.T, inside @ R.T, weights)
        R = _towards(np.array([x, y, 1.0]) @ R, up)
    x, y, broad, tall, reach = _middle(edge @ R.T, inside @ R.T, weights)
    return R, 1 / max(tall / HEIGHT, broad / WIDTH, 2 * reach / 0.96), max(tall, broad)


def resampled(
    seen: Seen, camera: RigCamera, K: Float64[np.ndarray, "3 3"], R: Float64[np.ndarray, "3 3"], size: int
) -> tuple[UInt8[np.ndarray, "s s 3"], UInt8[np.ndarray, "s s"]]:
    """The picture over white and the mask of a camera `K` that is turned by R_virtual_real; white beyond.

    As many samples a pixel as the real picture has pixels there, each bicubic.
    """
    scale = float(np.sqrt(camera.K[0, 0] * camera.K[1, 1]) / K[0, 0])  # real pixels for one
    samples = int(np.clip(np.ceil(scale), 1, MOST_SAMPLES))
    alpha = torch.from_numpy(seen.mask)
    layers = torch.cat([torch.from_numpy(seen.colors).movedim(-1, 0) * alpha, alpha[None]])[None]
    strips = [
        F.avg_pool2d(
            F.grid_sample(
                layers,
                _grid(seen.mask.shape, camera, K, R, (size, row, min(row + STRIP, size)), samples),
                mode="bicubic",
                padding_mode="zeros",
                align_corners=False,
            ),
            samples,
        )[0]
        for row in range(0, size, STRIP)
    ]
    values = torch.cat(strips, 1)
    mask = values[3].clamp(0, 1)
    colors = (values[:3] / mask.clamp(min=1e-3)).clamp(0, 1)
    if not seen.cut_out:
        colors = own_colors(colors, mask, EDGE * size)
    white = colors * mask + 1 - mask
    return _bytes(white.movedim(0, -1)), _bytes(mask)


def _grid(
    shape: tuple[int, ...],
    camera: RigCamera,
    K: np.ndarray,
    R: np.ndarray,
    rows: tuple[int, int, int],
    samples: int,
) -> Float[torch.Tensor, "1 k l 2"]:
    """Where the samples of some rows (of how many, from, to) lie in the real picture, for grid_sample."""
    size, first, last = rows
    x = ((np.arange(size * samples) + 0.5) / samples - K[0, 2]) / K[0, 0]
    y = ((np.arange(first * samples, last * samples) + 0.5) / samples - K[1, 2]) / K[1, 1]
    rays = np.stack(np.broadcast_arrays(x[None], y[:, None], 1.0), -1) @ R
    plane = rays[..., :2] / np.maximum(rays[..., 2:], 1e-6)
    there = (rays[..., 2] > 1e-6) & (np.linalg.norm(plane, axis=-1) < camera.lens.reach())
    pixels = (
        camera.lens.distorted(np.where(there[..., None], plane, 0.0)) @ camera.K[:2, :2].T + camera.K[:2, 2]
    )
    shares = np.where(there[..., None], pixels / (shape[1], shape[0]) * 2 - 1, 9.0)
    return torch.from_numpy(shares.clip(-9, 9).astype(np.float32))[None]


def _check_lens(camera: RigCamera, shape: tuple[int, ...]) -> None:
    height, width = shape
    corners = np.array([[x, y] for x in (0, width / 2, width) for y in (0, height / 2, height)])
    plane = (corners - camera.K[:2, 2]) @ np.linalg.inv(camera.K[:2, :2]).T
    if np.isnan(camera.lens.straightened(plane)).any():
        raise RigError(
            f"camera {camera.name!r}: its distortion folds within the picture: [k1, k2, p1, p2, k3] are "
            f"{[getattr(camera.lens, name) for name in ('k1', 'k2', 'p1', 'p2', 'k3')]}; check their order, "
            f"or calibrate again with the board in the corners"
        )


def _rays(mask: np.ndarray, camera: RigCamera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rays of depth 1 in the camera's frame: of the outline's pixel corners; of all pixels, with weights."""
    solid = mask > 0.5
    rows, columns = np.nonzero(solid & ~np.asarray(ndimage.binary_erosion(solid), bool))
    corners = np.stack([columns, rows], -1)[:, None] + np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    rows, columns = np.nonzero(solid)
    step = -(-len(rows) // POINTS)
    middles = np.stack([columns, rows], -1)[::step] + 0.5
    edge, inside = (
        _unprojected(points.reshape(-1, 2).astype(np.float64), camera) for points in (corners, middles)
    )
    return edge, inside, mask[solid][::step].astype(np.float64)


def _unprojected(pixels: np.ndarray, camera: RigCamera) -> Float64[np.ndarray, "n 3"]:
    plane = (pixels - camera.K[:2, 2]) @ np.linalg.inv(camera.K[:2, :2]).T
    return np.concatenate([camera.lens.straightened(plane), np.ones((len(plane), 1))], -1)


def _middle(
    edge: np.ndarray, inside: np.ndarray, weights: np.ndarray
) -> tuple[float, float, float, float, float]:
    """x and y of where the pelvis is, breadth and height of the box, and its reach sideways; depth 1."""
    outline = edge[:, :2] / np.maximum(edge[:, 2:], 1e-3)
    points = inside[:, :2] / np.maximum(inside[:, 2:], 1e-3)
    low, high = outline.min(0), outline.max(0)
    broad, tall = high - low
    band = (points[:, 1] >= low[1] + HIPS[0] * tall) & (points[:, 1] <= low[1] + HIPS[1] * tall)
    x = (
        np.average(points[band, 0], weights=weights[band])
        if weights[band].sum() > 0
        else (low[0] + high[0]) / 2
    )
    return (
        float(x),
        float(low[1] + PELVIS * tall),
        float(broad),
        float(tall),
        float(max(high[0] - x, x - low[0])),
    )


def _towards(
    ray: Float64[np.ndarray, "3"], up: Float64[np.ndarray, "3"] | None
) -> Float64[np.ndarray, "3 3"]:
    """R_virtual_real of a camera that looks along a ray of the real one."""
    z = ray / np.linalg.norm(ray)
    if up is None:
        axis = np.cross((0.0, 0.0, 1.0), z)
        cross = np.cross(axis, np.eye(3)).T  # v -> axis x v
        return (np.eye(3) + cross + cross @ cross / (1 + z[2])).T
    down = -(up - z * (up @ z))
    if np.linalg.norm(down) < LEVEL:
        raise RigError('a camera looks along "up"; people cannot stand upright in its picture: leave it out')
    y = down / np.linalg.norm(down)
    return np.stack([np.cross(y, z), y, z])


def _bytes(values: torch.Tensor) -> np.ndarray:
    return (values.clamp(0, 1) * 255).round().byte().numpy()
