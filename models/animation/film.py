"""Pictures of persons in motion: skinned, drawn and put before their ground, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from turnaround.models.animation.ground import ground_picture, shadows
from turnaround.models.animation.skinner import Skinner
from turnaround.models.bands import in_bands
from turnaround.models.splat.fine import times_larger
from turnaround.models.splat.rasterize import rasterize
from turnaround.pipeline.values.types import Camera, Gaussians

FINEST = 2  # times larger that frames are drawn at most: twice is nearly what four times is, and a film moves


@dataclass(frozen=True)
class Actor:
    """A person of a scene: how they move, how large they are and where they stand."""

    skinner: Skinner
    scale: float = 1.0  # of all lengths, about the origin of the ground
    place: tuple[float, float, float] = (0.0, 0.0, 0.0)  # metres, added

    def gaussians(self, frame: int) -> Gaussians:
        """All Gaussians of a frame, world frame."""
        posed = self.skinner.gaussians(frame)
        if self.scale == 1 and not any(self.place):
            return posed
        return replace(posed, means=self.moved(posed.means), scales=posed.scales * self.scale)

    def joints(self, frame: int) -> Float[Tensor, "j 3"]:
        """The joints in a frame."""
        return self.moved(self.skinner.joints[frame])

    def extent(self, frame: int) -> Float[Tensor, "p 3"]:
        """Points that span the person in a frame."""
        return self.moved(self.skinner.extent(frame))

    def moved(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
        """Points of the person alone where the actor stands."""
        return points * self.scale + torch.tensor(self.place)


def side_by_side(actors: Sequence[Actor], gap: float = 0.15) -> list[Actor]:
    """The actors in a row about the origin, `gap` metres between what they reach to at any time."""
    reaches = []
    for actor in actors:
        x = torch.cat([actor.extent(k)[:, 0] for k in range(len(actor.skinner))])
        reaches.append((float(x.min()), float(x.max())))
    start = -(sum(high - low + gap for low, high in reaches) - gap) / 2
    placed = []
    for actor, (low, high) in zip(actors, reaches, strict=True):
        x, y, z = actor.place
        placed.append(replace(actor, place=(x + start - low, y, z)))
        start += high - low + gap
    return placed


def frames(
    actors: Sequence[Actor],
    cameras: Camera,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    ground: bool = True,
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Pictures of a scene, one a camera.

    Args:
        actors: of as many frames as there are cameras, which may be one camera a frame.
        cameras: (f,) of them, of any picture size.
        background: sRGB in [0, 1].
        ground: soft shadows on the plane y = 0.
    """
    times = 0
    for k in range(len(cameras.K)):
        scene = Gaussians.cat([actor.gaussians(k) for actor in actors])
        camera = cameras[k]
        times = times or times_larger(scene, camera, FINEST)
        with torch.no_grad():
            drawn = rasterize(scene, larger(camera, times), background=0.0, outputs=("rgb", "alpha"))
        dark = np.concatenate([shadows(actor.joints(k)) for actor in actors])
        behind = ground_picture(camera, dark if ground else dark[:0], background)
        yield composed(drawn.rgb[0], drawn.alpha[0], behind, times)


def larger(camera: Camera, times: int) -> Camera:
    """The camera with pictures of so many times the pixels a side."""
    scale = torch.tensor([times, times, 1.0])
    return Camera(
        camera.K * scale[:, None], camera.T_camera_world, camera.width * times, camera.height * times
    )


def composed(
    rgb: Float[Tensor, "hs ws 3"],
    alpha: Float[Tensor, "hs ws"],
    behind: Float32[np.ndarray, "h w 3"],
    times: int,
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture over nothing, `times` larger, averaged and put before another, in 8 bits."""
    found = np.empty(behind.shape, np.uint8)
    arrays = rgb.numpy(), alpha.numpy(), np.ascontiguousarray(behind)
    in_bands(lambda start, stop: _compose(start, stop, *arrays, times, found), len(behind))
    return found


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _compose(
    start: int,
    stop: int,
    rgb: Float32[np.ndarray, "hs ws 3"],
    alpha: Float32[np.ndarray, "hs ws"],
    behind: Float32[np.ndarray, "h w 3"],
    times: int,
    found: UInt8[np.ndarray, "h w 3"],
):  # pragma: no cover - compiled
    share = np.float32(1.0 / (times * times))
    for row in range(start, stop):
        for column in range(behind.shape[1]):
            r, g, b, a = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for y in range(row * times, (row + 1) * times):
                for x in range(column * times, (column + 1) * times):
                    r += rgb[y, x, 0]
                    g += rgb[y, x, 1]
                    b += rgb[y, x, 2]
                    a += alpha[y, x]
            through = 1 - a * share
            for channel, value in enumerate((r, g, b)):
                color = value * share + through * behind[row, column, channel]
                color = min(max(color, np.float32(0)), np.float32(1))
                found[row, column, channel] = np.uint8(color * np.float32(255) + np.float32(0.5))
