"""Cameras on a level ring around a person, and their pictures as the project's canonical orbit would have
taken them.

Cameras at the same places that differ in rotation and intrinsics take pictures that a homography maps to each
other. So a level ring of twelve cameras is an orbit of ours whatever its pitch, focal length and principal
point, up to one similarity of the world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.camera import DISTANCE, orbit_cameras
from turnaround.pipeline.values.types import Camera

STEP = 30.0  # degrees
OFF_STEP, OFF_LEVEL = 0.25, 0.01  # degrees; share of the radius
MAX_TURN = 25.0  # degrees between a picture's axis and the ring's plane: farther off it misses the person
MAX_SAMPLES = 4  # along each axis of an output pixel


class NotARing(ValueError):
    """The cameras are no level ring of twelve; says what they are."""


@dataclass(frozen=True)
class Ring:
    """Where a ring of cameras stands: world = R_world_scan (p - centre) * scale."""

    R_world_scan: Float[np.ndarray, "3 3"]
    centre: Float[np.ndarray, "3"]
    scale: float
    order: tuple[int, ...]  # order[k]: the camera at azimuth 30 k

    def to_world(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points of the cameras' frame in the project's world."""
        return (points - self.centre) @ self.R_world_scan.T * self.scale


def ring_of(T_camera_scan: Float[np.ndarray, "n 4 4"]) -> Ring:
    """The ring that cameras stand on; the first one becomes azimuth 0. NotARing where it is not one of
    twelve, level."""
    if len(T_camera_scan) != round(360 / STEP):
        raise NotARing(
            f"{len(T_camera_scan)} cameras, expected {round(360 / STEP)} of them {STEP:.0f} degrees apart"
        )
    R, t = T_camera_scan[:, :3, :3].astype(np.float64), T_camera_scan[:, :3, 3].astype(np.float64)
    centres = -(R.transpose(0, 2, 1) @ t[..., None])[..., 0]
    middle = centres.mean(0)
    normal = np.linalg.svd(centres - middle)[2][2]
    up = normal * -np.sign(normal @ R[:, 1].mean(0))
    radii = np.linalg.norm(centres - middle, axis=1)
    radius = float(radii.mean())
    if (
        np.abs((centres - middle) @ up).max() > OFF_LEVEL * radius
        or np.abs(radii - radius).max() > OFF_LEVEL * radius
    ):
        raise NotARing(
            f"the cameras are not on one circle (radii {radii.min():.3f} to {radii.max():.3f}), expected a "
            f"level ring"
        )
    z = (middle - centres[0]) / np.linalg.norm(middle - centres[0])
    y = -up
    R_world_scan = np.stack([np.cross(y, z), y, z])
    placed = (centres - middle) @ R_world_scan.T
    azimuths = np.degrees(np.arctan2(placed[:, 0], -placed[:, 2])) % 360
    steps = np.rint(azimuths / STEP).astype(int) % len(centres)
    off = np.abs((azimuths - steps * STEP + 180) % 360 - 180).max()
    if off > OFF_STEP or len(set(steps.tolist())) != len(centres):
        raise NotARing(
            f"the cameras stand at {', '.join(f'{a:.1f}' for a in np.sort(azimuths))} degrees, expected "
            f"steps of {STEP:.0f}"
        )
    return Ring(R_world_scan, middle, DISTANCE / radius, tuple(np.argsort(steps).tolist()))


@dataclass(frozen=True)
class Resampler:
    """Maps one camera's picture to the canonical camera at the same place."""

    rays: Float[
        Tensor, "m m 3"
    ]  # of the samples of the wanted picture, in the given camera's frame; canonical depth 1
    K: Float[Tensor, "3 3"]  # of the given picture
    samples: int

    @staticmethod
    def of(
        K: Float[np.ndarray, "3 3"],
        R_camera_scan: Float[np.ndarray, "3 3"],
        ring: Ring,
        azimuth: float,
        width: int,
        size: int,
    ) -> Resampler:
        """From a picture of `width` pixels to one of `size`; NotARing where it looks elsewhere."""
        samples = min(MAX_SAMPLES, -(-width // size))
        wanted: Camera = orbit_cameras([azimuth], size * samples)[0]
        turn = R_camera_scan @ ring.R_world_scan.T @ wanted.T_camera_world[:3, :3].double().numpy().T
        angle = float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
        if angle > MAX_TURN:
            raise NotARing(
                f"the camera at {azimuth:.0f} degrees looks {angle:.0f} degrees past the middle of the ring, "
                f"expected up to {MAX_TURN:.0f}"
            )
        pixel = torch.arange(size * samples, dtype=torch.float64) + 0.5
        v, u = torch.meshgrid(pixel, pixel, indexing="ij")
        canonical = torch.stack([u, v, torch.ones_like(u)], -1) @ torch.linalg.inv(wanted.K.double()).T
        return Resampler(
            canonical @ torch.from_numpy(turn).T, torch.from_numpy(np.asarray(K, np.float64)), samples
        )

    def picture(self, image: Float[Tensor, "c h w"]) -> Float[Tensor, "c s s"]:
        """Bilinear samples, averaged over the wanted pixels; 0 outside."""
        values = F.grid_sample(
            image[None].double(),
            self._grid(image),
            mode="bilinear",
            padding_mode="zeros",
            align_corners=False,
        )
        return F.avg_pool2d(values, self.samples)[0].float()

    def depth(self, depth: Float[Tensor, "h w"], scale: float) -> Float[Tensor, "s s"]:
        """Depth along the canonical axis at the sample nearest to each pixel's centre, times `scale`; 0 stays
        0."""
        nearest = F.grid_sample(
            depth[None, None].double(),
            self._grid(depth[None]),
            mode="nearest",
            padding_mode="zeros",
            align_corners=False,
        )
        along = nearest[0, 0] / self.rays[..., 2] * scale
        return along[self.samples // 2 :: self.samples, self.samples // 2 :: self.samples].float()

    def _grid(self, image: Tensor) -> Float[Tensor, "1 m m 2"]:
        pixels = self.rays @ self.K.T
        extent = torch.tensor([image.shape[-1], image.shape[-2]], dtype=torch.float64)
        return (pixels[..., :2] / pixels[..., 2:] / extent * 2 - 1)[None]
