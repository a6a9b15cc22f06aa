"""Synthetic photos: a dressed person on a floor before a wall or a view, with a soft shadow, as a phone would
take them.

`python -m turnaround.data.sets.photos --seeds 3 14 15 --out docs/demo` writes JPEG files; they show training
people, and are ours.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image, ImageFilter

from turnaround.data.clothes import fabrics
from turnaround.data.clothes.base_mesh import rotation_matrices
from turnaround.data.clothes.wardrobe import Split
from turnaround.data.people import Figure, pose_person, sample_person, upright
from turnaround.data.poses.everyday import sample_pose
from turnaround.data.scenes import lights
from turnaround.data.scenes.backgrounds import background
from turnaround.data.scenes.lights import Lights

WIDTH, HEIGHT = 768, 1024
FOCAL = 1.15 * HEIGHT  # pixels: a phone's main camera, held upright
LIMIT = 80_000  # bytes of a JPEG file
SHADOW_METRES, SHADOW_PIXELS = 5.0, 400


def photo(seed: int, split: Split = "train", kind: str | None = None) -> UInt8[np.ndarray, "1024 768 3"]:
    """The photo of one person; `kind` is a kind of pose of data/poses/everyday.py."""
    rng = np.random.default_rng([seed, 5])
    light = lights.sample_lights(rng)
    person = sample_person(seed, split, variety="basic")  # the demo photos are of these people
    figure = pose_person(person, sample_pose(rng, kind), upright(rng.normal(0, 0.3)), np.zeros(3), light)
    T_camera_world = _hand_held(rng, figure)
    # the renderer makes squares: this one is as wide as the photo is high, and its sides are cut off
    K = np.array([[FOCAL, 0, HEIGHT / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]], np.float32)
    picture = figure.seen_from(K, T_camera_world, HEIGHT, samples=2)
    left = (HEIGHT - WIDTH) // 2
    alpha = picture.alpha[:, left : left + WIDTH, None].astype(np.float32) / 255
    color = picture.color[:, left : left + WIDTH].astype(np.float32) / 255
    image = color * alpha + _scene(rng, figure, light, T_camera_world) * (1 - alpha)
    grain = rng.normal(0, 0.012, image.shape).astype(np.float32)
    return (np.clip(image * rng.uniform(0.9, 1.08) + grain, 0, 1) * 255 + 0.5).astype(np.uint8)


def _hand_held(rng: np.random.Generator, figure: Figure) -> Float32[np.ndarray, "4 4"]:
    """A camera at chest to eye height that has the whole person in view."""
    top, floor = figure.vertices[:, 1].min(), figure.vertices[:, 1].max()
    height = floor - rng.uniform(1.1, 1.55)
    distance = (floor - top) * FOCAL / HEIGHT / rng.uniform(0.72, 0.86)
    centre = np.array([figure.vertices[:, 0].mean() + rng.normal(0, 0.08), (top + floor) / 2, 0])
    eye = np.array([centre[0], height, -distance])
    z = (centre - eye) / np.linalg.norm(centre - eye)
    x = np.cross((0.0, 1.0, 0.0), z)
    x /= np.linalg.norm(x)
    R = rotation_matrices(np.array([[0, 0, rng.normal(0, 0.015)]]))[0] @ np.stack([x, np.cross(z, x), z])
    T = np.eye(4, dtype=np.float32)
    T[:3, :3], T[:3, 3] = R, -R @ eye
    return T


def _scene(
    rng: np.random.Generator, figure: Figure, light: Lights, T_camera_world: np.ndarray
) -> Float32[np.ndarray, "1024 768 3"]:
    """Floor and wall by intersecting every pixel's ray with two planes."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32) + 0.5
    rays = (
        np.stack([(x - WIDTH / 2) / FOCAL, (y - HEIGHT / 2) / FOCAL, np.ones_like(x)], -1)
        @ T_camera_world[:3, :3]
    )
    eye = -T_camera_world[:3, :3].T @ T_camera_world[:3, 3]
    floor, wall = float(figure.vertices[:, 1].max()), float(rng.uniform(0.8, 4.0))
    to_wall = (wall - eye[2]) / rays[..., 2]
    to_floor = np.where(rays[..., 1] > 1e-4, (floor - eye[1]) / np.maximum(rays[..., 1], 1e-4), np.inf)
    on_floor: Bool[np.ndarray, "h w"] = to_floor < to_wall
    points = eye + rays * np.minimum(to_floor, to_wall)[..., None]
    backdrop = background(rng, 512)
    across = 3.0 + wall
    behind = _sampled(backdrop, points[..., 0] / across + 0.5, (points[..., 1] - floor) / across + 0.95)
    tiles = np.asarray(_floor_cloth(rng), np.float32)
    under = (
        _sampled(tiles, points[..., 0] / 1.5, points[..., 2] / 1.5)
        * (1 - 0.55 * _shadow(figure, light, floor, points))[..., None]
    )
    image = np.where(on_floor[..., None], under, behind).astype(np.float32)
    canvas = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.6, 2.5)))), np.float32) / 255


def _floor_cloth(rng: np.random.Generator) -> np.ndarray:
    """Boards, tiles or carpet, in muted colours."""
    pattern = (fabrics.plain, fabrics.stripes, fabrics.checks)[rng.choice(3, p=(0.5, 0.3, 0.2))](rng, 256)
    gray = np.asarray(pattern).mean(-1, keepdims=True)
    muted = np.clip(0.3 + 0.45 * (0.25 * pattern + 0.75 * gray), 0, 1) * rng.normal(1, 0.05, 3)
    return muted * (1 + 0.06 * fabrics.smooth_noise(rng, 256, 60)[..., None])


def _sampled(
    image: Float32[np.ndarray, "s s 3"], u: np.ndarray, v: np.ndarray
) -> Float32[np.ndarray, "h w 3"]:
    """Bilinear samples of a repeating picture."""
    size = len(image)
    x, y = u * size - 0.5, v * size - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[..., None].astype(np.float32), (y - y0)[..., None].astype(np.float32)
    at = lambda j, i: image[(y0 + j) % size, (x0 + i) % size]  # noqa: E731
    return (at(0, 0) * (1 - fx) + at(0, 1) * fx) * (1 - fy) + (at(1, 0) * (1 - fx) + at(1, 1) * fx) * fy


def _shadow(figure: Figure, light: Lights, floor: float, points: np.ndarray) -> Float32[np.ndarray, "h w"]:
    """Share of the key light that the person keeps from each floor point, blurred as a large lamp would."""
    key = light.directions[light.colors.sum(1).argmax()].astype(np.float64)
    key[1] = min(key[1], -0.5)  # no shadow longer than the room
    total = np.zeros((SHADOW_PIXELS, SHADOW_PIXELS), np.float32)
    for direction, blur, weight in ((key, 9.0, 0.7), (np.array([0.0, -1.0, 0.0]), 5.0, 0.3)):
        fall = (floor - figure.vertices[:, 1:2]) / -direction[1]
        q = figure.vertices - direction * fall
        grid = (
            np.stack([q[:, 0], q[:, 2], np.ones(len(q))], 1) / SHADOW_METRES * SHADOW_PIXELS
            + SHADOW_PIXELS / 2
        )
        depth = np.full((SHADOW_PIXELS, SHADOW_PIXELS), np.inf, np.float32)
        lights.depth_map(grid.astype(np.float32), figure.person.dressed.surface.faces, depth)
        mask = Image.fromarray((np.isfinite(depth) * 255).astype(np.uint8)).filter(
            ImageFilter.GaussianBlur(blur)
        )
        total += weight * np.asarray(mask, np.float32) / 255
    x = np.clip(
        points[..., 0] / SHADOW_METRES * SHADOW_PIXELS + SHADOW_PIXELS / 2, 0, SHADOW_PIXELS - 1
    ).astype(int)
    z = np.clip(
        points[..., 2] / SHADOW_METRES * SHADOW_PIXELS + SHADOW_PIXELS / 2, 0, SHADOW_PIXELS - 1
    ).astype(int)
    return total[z, x]


def write_photo(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """A JPEG of at most LIMIT bytes, of the best quality that allows."""
    buffer = io.BytesIO()
    for quality in range(90, 40, -4):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= LIMIT:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="of training people")
    parser.add_argument("--kind", default=None, help="kind of pose")
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    options = parser.parse_args()
    for seed in options.seeds:
        write_photo(options.out / f"person_{seed:04d}.jpg", photo(seed, kind=options.kind))


if __name__ == "__main__":
    main()
