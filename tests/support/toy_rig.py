"""A small rig of odd cameras around a person of the generator, and its folder in our layout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from turnaround.data.clothes import base_mesh, closet
from turnaround.data.people import Figure
from turnaround.data.render import Picture, render
from turnaround.data.rigs.distortion import Lens
from turnaround.data.sets.folders import figure_for_views

WIDTH, HEIGHT = 640, 480
NAMES = ("door", "left", "shelf", "window")
UP = (0.0, -1.0, 0.0)
# azimuth and elevation in degrees, metres, roll in degrees, focal length in pixels, metres off the aim
PLACES = {
    "door": (5, 4, 3.4, 9, 520.0, (0.1, 0.05)),
    "left": (100, 20, 4.2, -14, 760.0, (-0.15, 0.0)),
    "shelf": (195, -6, 3.0, 4, 470.0, (0.2, -0.1)),
    "window": (290, 12, 5.0, 25, 900.0, (0.0, 0.15)),
}
LENSES = {
    "door": Lens(-0.21, 0.06, 0.001, -0.0015, 0.0),
    "left": Lens(0.08, -0.05, 0.0, 0.0, 0.0),
    "shelf": Lens(),
    "window": Lens(-0.12, 0.02, -0.0008, 0.0005, 0.003),
}


@dataclass(frozen=True)
class ToyCamera:
    K: np.ndarray  # pixels, centres at +0.5
    T_camera_world: np.ndarray
    lens: Lens


@cache
def toy_figure() -> Figure:
    return figure_for_views(11, "train", closet.Closet(base_mesh.load(base_mesh.FILE, None), "train", None))


@cache
def toy_cameras() -> dict[str, ToyCamera]:
    """Four cameras 3 to 5 m away, rolled, that aim beside the person."""
    cameras = {}
    for name, (azimuth, elevation, distance, roll, focal, off) in PLACES.items():
        a, e, r = np.radians([azimuth, elevation, roll])
        centre = distance * np.array([np.sin(a) * np.cos(e), -np.sin(e), -np.cos(a) * np.cos(e)])
        z = -centre / np.linalg.norm(centre)
        x = np.cross([0.0, 1.0, 0.0], z)
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(z, x), z])
        R = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]) @ R
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = R, -R @ centre + np.array([*off, 0])
        K = np.array([[focal, 0, WIDTH / 2 + 7], [0, 1.01 * focal, HEIGHT / 2 - 5], [0, 0, 1]])
        cameras[name] = ToyCamera(K, T, LENSES[name])
    return cameras


def seen_by(figure: Figure, camera: ToyCamera, samples: int = 4) -> Picture:
    """What a camera with a lens sees: vertices are put where the lens has them (triangles are small)."""
    points = figure.vertices @ camera.T_camera_world[:3, :3].T + camera.T_camera_world[:3, 3]
    z = points[:, 2:]
    bent = np.concatenate([camera.lens.distorted(points[:, :2] / z) * z, z], 1).astype(np.float32)
    surface, side = figure.person.dressed.surface, max(WIDTH, HEIGHT)
    K, eye = camera.K.astype(np.float32), np.eye(4, dtype=np.float32)
    picture = render(surface, bent, figure.normals, figure.light, K, eye, side, samples=samples)
    cut = {
        name: getattr(picture, name)[:HEIGHT, :WIDTH]
        for name in ("color", "alpha", "depth", "normal", "part")
    }
    return Picture(**cut)


@cache
def toy_pictures() -> dict[str, Picture]:
    return {name: seen_by(toy_figure(), camera) for name, camera in toy_cameras().items()}


def before_a_wall(picture: Picture) -> np.ndarray:
    """The person before something grey that is not plain."""
    wall = np.linspace(90, 140, WIDTH)[None, :, None] + np.linspace(0, 30, HEIGHT)[:, None, None]
    alpha = picture.alpha[..., None] / 255
    return np.round(picture.color * alpha + wall * (1 - alpha)).astype(np.uint8)


def entries(unit: float = 1.0, sizes: bool = True) -> dict[str, dict]:
    """The cameras as cameras.json has them: calibrated by OpenCV, whose first pixel's centre is 0."""
    result = {}
    for name, camera in toy_cameras().items():
        K = camera.K.copy()
        K[:2, 2] -= 0.5
        lens = camera.lens
        result[name] = {
            "K": K.tolist(),
            "R": camera.T_camera_world[:3, :3].tolist(),
            "t": (camera.T_camera_world[:3, 3] / unit).tolist(),
            "distortion": [lens.k1, lens.k2, lens.p1, lens.p2, lens.k3],
        }
        if sizes:
            result[name] |= {"width": WIDTH, "height": HEIGHT}
    return result


def write_cameras(folder: Path, cameras: dict[str, dict] | None = None, **other: object) -> None:
    content = {"units": "m", "convention": "opencv", "up": UP, "cameras": cameras or entries()} | other
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cameras.json").write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def write_rig(folder: Path, frames: tuple[str, ...] = ("000000",), **other: object) -> Path:
    """Our layout, CAM/FRAME; the same person in all frames."""
    write_cameras(folder, **other)  # type: ignore[arg-type]
    for name, picture in toy_pictures().items():
        for frame in frames:
            save(folder / "images" / name / f"{frame}.png", before_a_wall(picture))
            save(folder / "masks" / name / f"{frame}.png", picture.alpha)
    return folder


def save(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, compress_level=1)
