"""Backgrounds with the textures of real photographs: brick, grass, gravel and scenes that scikit-image ships.

`python -m turnaround.data.scenes.photo_textures --count 700 --add FILE.npy --out FILE.npy` appends them to
procedural ones. All of the pictures lie in the scikit-image wheel and are CC0 or in the public domain
(skimage/data/README.txt).
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from turnaround.pipeline.errors import MissingFile

SURFACES = ("brick.png", "grass.png", "gravel.png")
SCENES = ("coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "motorcycle_right.png")


def load(names: tuple[str, ...]) -> list[Image.Image]:
    """Pictures of the scikit-image wheel; FileNotFoundError names the missing one."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise MissingFile("scikit-image is not installed: pip install scikit-image")
    return [Image.open(Path(spec.origin).parent / "data" / name).convert("RGB") for name in names]


def photo_background(
    rng: np.random.Generator, size: int, surfaces: list[Image.Image], scenes: list[Image.Image]
) -> UInt8[np.ndarray, "s s 3"]:
    """A piece of a scene, one surface, or a wall above a ground."""
    kind = rng.random()
    if kind < 0.35:
        return _tinted(_piece(scenes[rng.integers(len(scenes))], rng, size, 0.3), rng, 0.5)
    if kind < 0.6:
        return _tinted(_piece(surfaces[rng.integers(len(surfaces))], rng, size, 0.15), rng, 1.0)
    picture = _tinted(_piece(surfaces[rng.integers(len(surfaces))], rng, size, 0.15), rng, 1.0)
    ground = _tinted(_piece(surfaces[rng.integers(len(surfaces))], rng, size, 0.15), rng, 1.0)
    line = rng.uniform(0.35, 0.85) * size + rng.normal(0, 0.1) * (np.arange(size) - size / 2)
    return np.where((np.arange(size)[:, None] > line)[..., None], ground, picture)


def _piece(image: Image.Image, rng: np.random.Generator, size: int, smallest: float) -> Image.Image:
    """A random square of it, at least `smallest` of the shorter side."""
    side = int(rng.uniform(smallest, 1.0) * min(image.size))
    left, top = (int(rng.integers(full - side + 1)) for full in image.size)
    piece = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BICUBIC)
    return piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else piece


def _tinted(image: Image.Image, rng: np.random.Generator, amount: float) -> UInt8[np.ndarray, "s s 3"]:
    """Another hue, contrast and brightness."""
    values = np.asarray(image).astype(np.float32) / 255
    values = values.mean() + (values - values.mean()) * rng.uniform(0.5, 1.3)
    tint = np.exp(rng.normal(0, 0.25 * amount, 3) + rng.normal(0, 0.4 * amount))
    return (np.clip(values * tint, 0, 1) * 255).astype(np.uint8)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--add",
        type=Path,
        required=True,
        help="(n, s, s, 3) u8 .npy of `python -m turnaround.data.scenes.backgrounds`",
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    first = np.load(options.add, mmap_mode="r")
    surfaces, scenes = load(SURFACES), load(SCENES)
    made = [
        photo_background(np.random.default_rng([options.seed, 11, k]), first.shape[1], surfaces, scenes)
        for k in range(options.count)
    ]
    # mixed, so that a held-out end has both kinds
    order = np.random.default_rng(options.seed).permutation(len(first) + len(made))
    np.save(options.out, np.concatenate([first, np.stack(made)])[order])


if __name__ == "__main__":
    main()
