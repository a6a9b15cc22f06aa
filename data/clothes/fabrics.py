"""Procedural textures: fabrics of many patterns, and new colours for existing textures."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32, UInt8

Rng = np.random.Generator
Image = Float[np.ndarray, "h w 3"]
Texture = UInt8[np.ndarray, "h w 4"]
NEUTRALS = (
    (0.06, 0.06, 0.07),
    (0.93, 0.93, 0.92),
    (0.5, 0.5, 0.51),
    (0.25, 0.26, 0.28),
    (0.12, 0.15, 0.27),
    (0.78, 0.72, 0.6),
    (0.42, 0.33, 0.25),
)


def color(rng: Rng) -> Float32[np.ndarray, "3"]:
    """A colour of clothes: two in five are near-neutral, the others of any hue."""
    if rng.random() < 0.4:
        base = np.array(NEUTRALS[rng.integers(len(NEUTRALS))]) * rng.uniform(0.85, 1.1) + rng.normal(
            0, 0.02, 3
        )
    else:
        base = np.array(colorsys.hsv_to_rgb(rng.random(), rng.beta(2, 1.6), rng.uniform(0.2, 0.95)))
    return np.clip(base, 0.02, 0.97).astype(np.float32)


def to_texture(image: Image, alpha: Float[np.ndarray, "h w"] | None = None) -> Texture:
    """8-bit RGBA of a picture in [0, 1]."""
    out = np.full((*image.shape[:2], 4), 255, np.uint8)
    out[..., :3] = np.clip(image * 255 + 0.5, 0, 255)
    if alpha is not None:
        out[..., 3] = np.clip(alpha * 255 + 0.5, 0, 255)
    return out


def smooth_noise(rng: Rng, size: int, cells: int) -> Float[np.ndarray, "size size"]:
    """Periodic value noise of zero mean and about unit range, `cells` across."""
    grid = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    x = (np.arange(size, dtype=np.float32) + 0.5) * cells / size
    low = np.floor(x).astype(int)
    f = x - low
    f = (f * f * (3 - 2 * f))[:, None]
    rows = grid[low % cells] * (1 - f) + grid[(low + 1) % cells] * f
    return rows[:, low % cells] * (1 - f.T) + rows[:, (low + 1) % cells] * f.T


def _axes(size: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    return y, x


def _mix(a: np.ndarray, b: np.ndarray, amount: np.ndarray) -> Image:
    return (a + (b - a) * amount[..., None]).astype(np.float32)


def plain(rng: Rng, size: int) -> Image:
    """One colour, sometimes mottled."""
    mottle = smooth_noise(rng, size, int(rng.integers(6, 40))) * rng.choice([0.0, 0.05, 0.12])
    return np.broadcast_to(color(rng), (size, size, 3)) * (1 + mottle[..., None])


def stripes(rng: Rng, size: int) -> Image:
    """Two or three colours of stripes: across, along or slanted."""
    y, x = _axes(size)
    count, direction = rng.integers(4, 22), rng.integers(3)
    phase = (y, x, x + y)[direction] * count
    first = ((phase % 1) < rng.uniform(0.15, 0.6)).astype(np.float32)
    image = _mix(color(rng), color(rng), first)
    if rng.random() < 0.3:
        thin = ((phase + rng.random()) % 1 < 0.08)[..., None]
        image = np.where(thin, color(rng), image)
    return image


def checks(rng: Rng, size: int) -> Image:
    """Checks, gingham or tartan."""
    y, x = _axes(size)
    n, m = rng.integers(3, 14, 2) if rng.random() < 0.3 else (rng.integers(4, 14),) * 2
    rows, columns = ((y * n) % 1 < 0.5).astype(np.float32), ((x * m) % 1 < 0.5).astype(np.float32)
    kind = rng.integers(3)
    amount = (np.abs(rows - columns), 0.5 * (rows + columns), np.maximum(rows, columns) * 0.6)[kind]
    image = _mix(color(rng), color(rng), amount)
    if kind == 2:
        line = ((x * m + 0.25) % 1 < 0.07) | ((y * n + 0.25) % 1 < 0.07)
        image = np.where(line[..., None], color(rng), image)
    return image


def dots(rng: Rng, size: int) -> Image:
    """Polka dots or diamonds."""
    y, x = _axes(size)
    n = int(rng.integers(5, 18))
    shift = 0.5 * (np.floor(y * n) % 2)
    dy, dx = (y * n) % 1 - 0.5, (x * n + shift) % 1 - 0.5
    distance = np.sqrt(dx * dx + dy * dy) if rng.random() < 0.7 else np.abs(dx) + np.abs(dy)
    return _mix(color(rng), color(rng), (distance < rng.uniform(0.15, 0.42)).astype(np.float32))


def blobs(rng: Rng, size: int) -> Image:
    """Camouflage, flowers from afar, marble: thresholded noise in two to four colours."""
    image = np.broadcast_to(color(rng), (size, size, 3)).astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        cells = int(rng.integers(4, 24))
        noise = smooth_noise(rng, size, cells) + 0.5 * smooth_noise(rng, size, cells * 2)
        edge = np.clip((noise - rng.uniform(-0.1, 0.5)) * rng.choice([3, 30]), 0, 1)
        image = image + (color(rng) - image) * edge[..., None]
    return image


def gradient(rng: Rng, size: int) -> Image:
    """A dip-dye: one colour into another, periodic."""
    y, x = _axes(size)
    wave = 0.5 + 0.5 * np.sin(
        2 * np.pi * ((y if rng.random() < 0.7 else x) * rng.integers(1, 3) + rng.random())
    )
    return _mix(color(rng), color(rng), wave)


def shapes(rng: Rng, size: int) -> Image:
    """A print of scattered ellipses and rectangles."""
    image = np.broadcast_to(color(rng), (size, size, 3)).astype(np.float32).copy()
    y, x = _axes(size)
    for _ in range(int(rng.integers(5, 25))):
        cy, cx, angle = rng.random(), rng.random(), rng.uniform(0, np.pi)
        dy, dx = (y - cy + 0.5) % 1 - 0.5, (x - cx + 0.5) % 1 - 0.5
        u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        a, b = rng.uniform(0.02, 0.13, 2)
        inside = (u / a) ** 2 + (v / b) ** 2 < 1 if rng.random() < 0.6 else (np.abs(u) < a) & (np.abs(v) < b)
        image[inside] = color(rng)
    return image


def writing(rng: Rng, size: int) -> Image:
    """Plain cloth with a few lines of marks that look like words from afar."""
    image = np.array(plain(rng, size))
    ink = color(rng)
    for _ in range(int(rng.integers(1, 5))):
        height, width = int(size * rng.uniform(0.02, 0.07)), int(size * rng.uniform(0.1, 0.3))
        top, left = int(rng.integers(0, size - height)), int(rng.integers(0, size - width))
        letters = rng.random((5, max(4, 2 * width // max(height, 1)))) < 0.55
        letters[:, ::4] = False
        rows = np.arange(height) * letters.shape[0] // height
        columns = np.arange(width) * letters.shape[1] // width
        image[top : top + height, left : left + width][letters[rows][:, columns]] = ink
    return image


PATTERNS: tuple[tuple[Callable[[Rng, int], Image], float], ...] = (
    (plain, 0.30),
    (stripes, 0.14),
    (checks, 0.12),
    (dots, 0.07),
    (blobs, 0.12),
    (gradient, 0.06),
    (shapes, 0.08),
    (writing, 0.11),
)


def fabric(rng: Rng, size: int = 256) -> Image:
    """A random fabric, tileable where its pattern is, with the grain of cloth and faint creases."""
    weights = np.array([weight for _, weight in PATTERNS])
    pattern = PATTERNS[rng.choice(len(PATTERNS), p=weights / weights.sum())][0]
    image = pattern(rng, size)
    grain = rng.normal(0, 0.025, (size, size)).astype(np.float32)
    creases = smooth_noise(rng, size, 7) * 0.05 + smooth_noise(rng, size, 19) * 0.04
    return np.clip(image * (1 + (grain + creases)[..., None]), 0, 1).astype(np.float32)


def recolored(rng: Rng, texture: Texture) -> Image:
    """An existing texture in other colours: its channels are mixed anew, then tinted."""
    image = texture[..., :3].astype(np.float32) / 255
    mix = 0.75 * np.eye(3)[rng.permutation(3)] + 0.25 * rng.dirichlet([1, 1, 1], 3)
    brightness = rng.uniform(0.55, 1.5)
    return np.clip(
        image @ mix.astype(np.float32) * (brightness * rng.uniform(0.8, 1.15, 3)).astype(np.float32), 0, 1
    )


def with_relief(image: Image, relief: Texture, strength: float) -> Image:
    """Folds and seams of an existing texture's brightness (or baked occlusion) laid over new cloth.

    `image` is repeated or cropped to the size of `relief`.
    """
    size = relief.shape[0]
    tiles = -(-size // image.shape[0])
    cloth = np.tile(image, (tiles, tiles, 1))[:size, :size]
    gray = relief[..., :3].astype(np.float32).mean(-1) / 255
    drawn = gray > 0.08  # black is "nothing here" in these textures
    level = gray[drawn].mean() if drawn.any() else 1.0
    factor = np.clip(np.where(drawn, gray / level, 0.6), 0.55, 1.25)
    return np.clip(cloth * (1 + strength * (factor[..., None] - 1)), 0, 1)
