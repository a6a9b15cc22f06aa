"""Procedural backgrounds for matting and estimation: rooms, streets, backdrops, patterns, clutter and pieces
of people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw, ImageFilter

from turnaround.data.clothes import fabrics
from turnaround.data.clothes.fabrics import smooth_noise

Rng = np.random.Generator
Picture = Float32[np.ndarray, "s s 3"]


def background(rng: Rng, size: int, *, people: UInt8[np.ndarray, "n h w 4"] | None = None) -> Picture:
    """One background, sRGB in [0, 1].

    Args:
        people: straight-alpha pictures of people; sometimes a part of one stands in the background.
    """
    kinds = (_room, _outdoors, _backdrop, _noise, _clutter, _pattern)
    kind = kinds[rng.choice(len(kinds), p=(0.32, 0.2, 0.14, 0.08, 0.16, 0.1))]
    image = kind(rng, size)
    if people is not None and rng.random() < 0.12:
        image = _bystander(rng, image, people[rng.integers(len(people))])
    return finished(rng, image)


def finished(rng: Rng, image: Picture) -> Picture:
    """Focus, grain and exposure of a photograph."""
    size = len(image)
    image = _defocused(rng, image)
    grain = rng.normal(0, rng.uniform(0, 0.02), (size, size, 1)).astype(np.float32)
    exposure = rng.uniform(0.75, 1.2) * rng.normal(1, 0.04, 3)
    return np.clip(image * exposure.astype(np.float32) + grain, 0, 1).astype(np.float32)


def muted(rng: Rng, brightest: float = 0.95) -> tuple[int, int, int]:
    """A muted colour of a brightness up to `brightest`, as PIL takes it."""
    gray = rng.uniform(0.03, brightest)
    red, green, blue = np.clip(gray + rng.normal(0, rng.choice([0.03, 0.12]), 3), 0.01, 1) * 255
    return int(red), int(green), int(blue)


def _color(rng: Rng) -> tuple[int, int, int]:
    """A muted colour as PIL takes it."""
    gray = rng.uniform(0.1, 0.95)
    red, green, blue = np.clip(gray + rng.normal(0, rng.choice([0.03, 0.15]), 3), 0.02, 1) * 255
    return int(red), int(green), int(blue)


def _array(image: Image.Image) -> Picture:
    return np.asarray(image, np.float32) / 255


def _lit(rng: Rng, image: Picture) -> Picture:
    """A fall-off of light over the picture, and blotches."""
    size = len(image)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    slope = rng.normal(0, 0.25, 2)
    light = (
        1
        + slope[0] * (x - 0.5)
        + slope[1] * (y - 0.5)
        + 0.08 * smooth_noise(rng, size, int(rng.integers(2, 8)))
    )
    return image * light[..., None].astype(np.float32)


def _room(rng: Rng, size: int) -> Picture:
    """A wall, a floor, often a corner, boards, pictures, windows and furniture."""
    image = Image.new("RGB", (size, size), _color(rng))
    draw = ImageDraw.Draw(image)
    horizon = int(size * rng.uniform(0.5, 0.92))
    if rng.random() < 0.4:  # a second wall
        edge = int(size * rng.uniform(0, 1))
        draw.rectangle((edge, 0, size, horizon), fill=_color(rng))
    slope = int(size * rng.normal(0, 0.03))
    draw.polygon([(0, horizon - slope), (size, horizon + slope), (size, size), (0, size)], fill=_color(rng))
    if rng.random() < 0.5:  # skirting board
        draw.line(
            (0, horizon - slope, size, horizon + slope),
            fill=_color(rng),
            width=max(1, int(size * rng.uniform(0.01, 0.04))),
        )
    if rng.random() < 0.4:  # planks or tiles towards the vanishing point
        vanish, line = size * rng.uniform(0.2, 0.8), _color(rng)
        for x in np.linspace(-2 * size, 3 * size, int(rng.integers(8, 40))):
            draw.line((vanish + (x - vanish) * 0.2, horizon, x, size), fill=line)
    for _ in range(int(rng.integers(0, 7))):
        _furniture(rng, draw, size, horizon)
    return _lit(rng, _array(image))


def _furniture(rng: Rng, draw: ImageDraw.ImageDraw, size: int, horizon: int) -> None:
    width, height = (size * rng.uniform(0.05, 0.45, 2)).astype(int)
    left = int(rng.uniform(-0.1, 1) * size)
    top = (
        int(rng.uniform(0, max(horizon - height, 1)))
        if rng.random() < 0.5
        else horizon - height + int(rng.uniform(0, 0.15) * size)
    )
    draw.rectangle(
        (left, top, left + width, top + height),
        fill=_color(rng),
        outline=_color(rng),
        width=int(rng.integers(0, 4)),
    )
    for k in range(int(rng.integers(0, 5))):  # shelves, panes
        y = top + height * (k + 1) // 6
        draw.line((left, y, left + width, y), fill=_color(rng), width=int(rng.integers(1, 4)))


def _outdoors(rng: Rng, size: int) -> Picture:
    """Sky, ground, and houses or foliage between them."""
    y = (np.arange(size, dtype=np.float32) / size)[:, None, None]
    high, low = (
        np.array(_color(rng), np.float32) / 255,
        np.array([0.75, 0.82, 0.9], np.float32) * rng.uniform(0.6, 1.1),
    )
    image = np.broadcast_to(high * (1 - y) + low * y, (size, size, 3)).astype(np.float32).copy()
    horizon = rng.uniform(0.4, 0.85)
    ground = np.array(_color(rng), np.float32) / 255
    texture = 1 + 0.3 * smooth_noise(rng, size, int(rng.integers(10, 60)))[..., None]
    image = np.where(y > horizon, ground * texture, image).astype(np.float32)
    if rng.random() < 0.5:
        return _lit(rng, _houses(rng, image, int(horizon * size)))
    for _ in range(int(rng.integers(1, 4))):  # foliage
        leaves = smooth_noise(rng, size, int(rng.integers(4, 12))) + 0.7 * smooth_noise(
            rng, size, int(rng.integers(20, 60))
        )
        green = rng.uniform((0.05, 0.1, 0.02), (0.4, 0.55, 0.25)).astype(np.float32)
        band = np.abs(y[..., 0] - horizon + rng.uniform(0, 0.3)) * rng.uniform(1, 4)
        image = np.where((leaves - band > 0)[..., None], green * (1 + 0.5 * leaves[..., None]), image).astype(
            np.float32
        )
    return _lit(rng, np.clip(image, 0, 1))


def _houses(rng: Rng, image: Picture, horizon: int) -> Picture:
    size = len(image)
    canvas = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    left = -int(size * 0.1)
    while left < size:
        width, top = int(size * rng.uniform(0.12, 0.5)), int(horizon - size * rng.uniform(0.15, 0.9))
        draw.rectangle((left, top, left + width, horizon), fill=_color(rng))
        step, pane = max(6, int(size * rng.uniform(0.04, 0.1))), _color(rng)
        for x in range(left + step // 3, left + width - step // 2, step):
            for y in range(top + step // 3, horizon - step // 2, step):
                draw.rectangle((x, y, x + step // 2, y + step // 2), fill=pane)
        left += width + int(size * rng.choice([0.0, 0.05]))
    return _array(canvas)


def _backdrop(rng: Rng, size: int) -> Picture:
    """A studio's paper or one even colour, white and grey most often."""
    color = rng.uniform(0.3, 1.0) if rng.random() < 0.6 else rng.uniform(0.05, 1, 3)
    image = np.broadcast_to(np.float32(color), (size, size, 3)).astype(np.float32)
    if rng.random() < 0.3:
        return image
    y, x = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    spot = np.exp(-((x - rng.normal(0, 0.2)) ** 2 + (y - rng.normal(0, 0.2)) ** 2) / rng.uniform(0.1, 0.6))
    return _lit(rng, image * (0.6 + 0.4 * spot[..., None]))


def _noise(rng: Rng, size: int) -> Picture:
    """Coloured noise of several octaves."""
    image = np.full((size, size, 3), rng.uniform(0.3, 0.7), np.float32)
    for cells in (3, 7, 15, 31, 63):
        weight = rng.uniform(0, 0.3)
        for channel in range(3):
            image[..., channel] += weight * smooth_noise(rng, size, cells)
    return np.clip(image, 0, 1)


def _clutter(rng: Rng, size: int) -> Picture:
    """Many overlapping shapes of skin-like, cloth-like and other colours."""
    image = Image.new("RGB", (size, size), _color(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(10, 60))):
        x, y = rng.uniform(-0.2, 1.1, 2) * size
        w, h = rng.uniform(0.03, 0.5, 2) * size
        color = (
            _color(rng)
            if rng.random() < 0.8
            else tuple(int(c * 255) for c in rng.uniform((0.4, 0.25, 0.2), (0.95, 0.75, 0.65)))
        )
        shape = rng.integers(4)
        if shape == 0:
            draw.rectangle((x, y, x + w, y + h), fill=color)
        elif shape == 1:
            draw.ellipse((x, y, x + w, y + h), fill=color)
        elif shape == 2:
            draw.polygon(
                [tuple(p) for p in (rng.uniform(0, 1, (int(rng.integers(3, 7)), 2)) * (w, h) + (x, y))],
                fill=color,
            )
        else:
            draw.line(
                (x, y, x + w, y + h * rng.choice([-1, 1])),
                fill=color,
                width=int(rng.integers(1, max(2, size // 16))),
            )
    return _lit(rng, _array(image))


def _pattern(rng: Rng, size: int) -> Picture:
    """Wallpaper, tiles, curtains: a fabric pattern over the whole picture."""
    choice: Sequence[Callable[[Rng, int], np.ndarray]] = (
        fabrics.stripes,
        fabrics.checks,
        fabrics.dots,
        fabrics.blobs,
        fabrics.shapes,
    )
    return _lit(rng, np.asarray(choice[rng.integers(len(choice))](rng, size), np.float32))


def _bystander(rng: Rng, image: Picture, person: UInt8[np.ndarray, "h w 4"]) -> Picture:
    """Somebody else, cut off by the frame or far away."""
    size = len(image)
    scale = rng.uniform(0.4, 1.3)
    small = Image.fromarray(person).resize((int(size * scale), int(size * scale)), Image.Resampling.BILINEAR)
    canvas = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    # towards the left or right edge, where the main person is not
    x = int(size * (rng.choice([-0.45, 0.45]) + rng.normal(0, 0.08)) + (size - small.width) / 2)
    canvas.paste(small, (x, int(rng.normal(0.1, 0.1) * size + (size - small.height) / 2)), small)
    return _array(canvas)


def _defocused(rng: Rng, image: Picture) -> Picture:
    """As out of focus as a background may be: half of them sharp."""
    if rng.random() < 0.5:
        return image
    canvas = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    return _array(canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.004, 0.03) * len(image)))))
