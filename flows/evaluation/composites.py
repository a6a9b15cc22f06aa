"""Test people in front of what nothing was trained on: as phone pictures, with the mask that the matting
should find.

Procedural rooms come from seeds that no training uses, photographed textures from pictures that
data/scenes/photo_textures.py does not name. Every person stands before each of KINDS once.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32
from PIL import Image, ImageFilter

from turnaround.data.clothes import fabrics
from turnaround.data.scenes import photo_textures
from turnaround.data.scenes.backgrounds import background
from turnaround.data.scenes.strong_edges import scene
from turnaround.flows.evaluation.suite import TestPerson
from turnaround.models.mesh.zbuffer import rasterize_mesh
from turnaround.pipeline.values.camera import DISTANCE, FOCAL

SEED = 9_271_000  # first word of every seed here
KINDS = (
    "room",
    "texture",
    "scene",
)  # a wall and a floor, drawn or of photographed textures; any picture, strong edges too
# pictures of the scikit-image wheel that are kept out of training
PICTURES = ("coins.png", "page.png", "moon.png", "clock_motion.png", "ihc.png", "hubble_deep_field.jpg")
FRAMES = ((512, 512), (640, 512), (768, 576))  # height and width in pixels, of which one is drawn
SHADOW_METRES, SHADOW_PIXELS = 6.0, 300

Rng = np.random.Generator
Picture = Float32[np.ndarray, "h w 3"]
Mask = Float32[np.ndarray, "h w"]


@dataclass(frozen=True)
class Composite:
    """One photo and where the person is in it."""

    kind: str
    jpeg: bytes
    mask: Mask


def composites(person: TestPerson) -> list[Composite]:
    """The person's photo once over each kind of background; the same wherever and whenever it is made."""
    rgba = np.asarray(Image.open(person.photo).convert("RGBA"), np.float32) / 255
    return [_composite(person, rgba, kind) for kind in KINDS]


def _composite(person: TestPerson, rgba: Float32[np.ndarray, "h w 4"], kind: str) -> Composite:
    rng = np.random.default_rng([SEED, KINDS.index(kind), *person.name.encode()])
    height, width = FRAMES[rng.integers(len(FRAMES))]
    top, left = (
        int(rng.integers(full - side + 1)) for full, side in ((height, rgba.shape[0]), (width, rgba.shape[1]))
    )
    layer = np.zeros((height, width, 4), np.float32)
    layer[top : top + rgba.shape[0], left : left + rgba.shape[1]] = rgba
    behind = backdrop(rng, kind, (height, width))
    if kind != "scene":
        behind = _on_floor(rng, behind, person, (top, left), rgba.shape[1])
    image = layer[..., :3] * layer[..., 3:] + behind * (1 - layer[..., 3:])
    return Composite(kind, _developed(rng, image), layer[..., 3])


def backdrop(rng: Rng, kind: str, shape: tuple[int, int]) -> Picture:
    """What is behind: cut from a square picture as large as the frame's longer side."""
    side = max(shape)
    pictures = _pictures()
    if kind == "texture":
        square = photo_textures.photo_background(rng, side, pictures, pictures)
    else:
        square = scene(rng, side) if kind == "scene" else background(rng, side)
    top, left = (int(rng.integers(side - length + 1)) for length in shape)
    values = square[top : top + shape[0], left : left + shape[1]].astype(np.float32)
    return values / 255 if square.dtype == np.uint8 else values


@lru_cache(maxsize=1)
def _pictures() -> list[Image.Image]:
    return photo_textures.load(PICTURES)


def _on_floor(rng: Rng, wall: Picture, person: TestPerson, corner: tuple[int, int], size: int) -> Picture:
    """A floor under the person's feet with their shadow, in front of the wall."""
    height, width = wall.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32) + 0.5
    u, v = (x - corner[1] - size / 2) / (FOCAL * size), (y - corner[0] - size / 2) / (FOCAL * size)
    floor = float(person.vertices[:, 1].max())
    depth = np.where(v > 1e-3, floor / np.maximum(v, 1e-3), np.inf).astype(np.float32)
    on_floor = depth < DISTANCE + person.vertices[:, 2].max() + rng.uniform(0.2, 3)
    depth = np.where(on_floor, depth, DISTANCE)
    px, pz = u * depth, depth - DISTANCE
    tiles = _sampled(_floor_cloth(rng), px / 0.75, pz / 0.75)
    shade = _sampled(_shadow(rng, person, floor)[..., None], px / SHADOW_METRES * 2, pz / SHADOW_METRES * 2)
    return np.where(on_floor[..., None], tiles * (1 - rng.uniform(0.25, 0.75) * shade), wall).astype(
        np.float32
    )


def _floor_cloth(rng: Rng) -> Picture:
    """Boards, tiles or carpet in muted colours."""
    pattern = np.asarray(
        (fabrics.plain, fabrics.stripes, fabrics.checks, fabrics.blobs)[rng.integers(4)](rng, 256), np.float32
    )
    color = np.clip(rng.uniform(0.15, 0.85) + rng.normal(0, 0.08, 3), 0, 1)
    grain = 1 + 0.08 * fabrics.smooth_noise(rng, 256, 60)[..., None]
    return np.clip((0.35 * pattern + 0.65 * color) * grain, 0, 1).astype(np.float32)


def _shadow(rng: Rng, person: TestPerson, floor: float) -> Mask:
    """Share of the light that the person keeps from the floor, as a map of x and z about the world's
    origin."""
    turn, steep = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 2.5)
    total = np.zeros((SHADOW_PIXELS, SHADOW_PIXELS), np.float32)
    for light, blur, weight in (
        ((np.cos(turn), steep, np.sin(turn)), rng.uniform(1, 8), 0.7),
        ((0.0, 1.0, 0.0), 4.0, 0.3),
    ):
        fall = (floor - person.vertices[:, 1:2]) / light[1]
        hit = person.vertices + np.asarray(light, np.float32) * fall
        grid = np.stack([hit[:, 0], hit[:, 2]], 1) / SHADOW_METRES * SHADOW_PIXELS + SHADOW_PIXELS / 2
        uvz = np.concatenate([grid, np.ones((len(grid), 1))], 1).astype(np.float32)
        face_id, _, _ = rasterize_mesh(uvz, person.faces.astype(np.int32), SHADOW_PIXELS, SHADOW_PIXELS)
        mask = Image.fromarray(((face_id >= 0) * 255).astype(np.uint8)).filter(
            ImageFilter.GaussianBlur(float(blur))
        )
        total += weight * np.asarray(mask, np.float32) / 255
    return total


def _sampled(image: Float32[np.ndarray, "s s c"], u: Mask, v: Mask) -> Float32[np.ndarray, "h w c"]:
    """Bilinear samples at coordinates in [-1, 1], mirrored beyond."""
    grid = torch.from_numpy(np.stack([u, v], -1).astype(np.float32))[None]
    channels = torch.from_numpy(np.ascontiguousarray(image)).movedim(-1, 0)[None]
    return (
        F.grid_sample(channels, grid, padding_mode="reflection", align_corners=False)[0]
        .movedim(0, -1)
        .numpy()
    )


def _developed(rng: Rng, image: Picture) -> bytes:
    """What a camera makes of it: exposure, softness, grain, JPEG."""
    return as_jpeg(rng, exposed(rng, image))


def exposed(rng: Rng, image: Picture) -> Image.Image:
    """The picture with a camera's exposure, grain and softness."""
    values = image * rng.uniform(0.8, 1.15) + rng.normal(0, rng.uniform(0.002, 0.02), image.shape)
    photo = Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
    return photo.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 0.8))))


def as_jpeg(rng: Rng, photo: Image.Image) -> bytes:
    """The photo's file, of a quality that phones write."""
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=int(rng.integers(75, 96)))
    return buffer.getvalue()
