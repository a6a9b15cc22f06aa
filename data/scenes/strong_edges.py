"""Backgrounds with strong edges: brick, planks, leaves, gyms, windows, crowds, signs, shadows on walls; see
data/scenes/backgrounds.py.

`scene` mixes them with the plainer ones. All of it is drawn here; no photograph is used.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageDraw, ImageFilter

from turnaround.data.clothes.fabrics import smooth_noise
from turnaround.data.scenes.backgrounds import Picture, Rng, background, finished, muted

PLAIN = 0.4  # share of scenes that are the plainer backgrounds


def scene(rng: Rng, size: int, *, people: UInt8[np.ndarray, "n h w 4"] | None = None) -> Picture:
    """One background, sRGB in [0, 1]; `people` are straight-alpha pictures of people, who may stand in it."""
    if rng.random() < PLAIN:
        return background(rng, size, people=people)
    walls = (_bricks, _planks, _plaster, _leaves)
    kind = rng.choice(8, p=(0.2, 0.08, 0.1, 0.2, 0.16, 0.12, 0.06, 0.08))
    if kind < 4:
        image = walls[kind](rng, size)
    elif kind == 4:
        image = _street(rng, size)
    elif kind == 5:
        image = _gym(rng, size)
    elif kind == 6:
        image = _panes(rng, _leaves(rng, size))
    else:
        image = _signs(rng, _plaster(rng, size))
    if rng.random() < 0.35:
        image = _onto_ground(rng, image)
    if rng.random() < 0.35:
        image = _cast_shadow(rng, image)
    if rng.random() < 0.2:
        image = _poles(rng, image)
    if people is not None and rng.random() < 0.22:
        image = _crowd(rng, image, people)
    return finished(rng, image)


def _canvas(image: Float[np.ndarray, "s s 3"]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    canvas = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    return canvas, ImageDraw.Draw(canvas)


def _picture(canvas: Image.Image) -> Picture:
    return np.asarray(canvas, np.float32) / 255


def _rough(rng: Rng, size: int) -> Float32[np.ndarray, "s s 1"]:
    """A factor about 1 with grain of several sizes."""
    grain = sum(
        rng.uniform(0, 0.1) * smooth_noise(rng, size, min(cells, size // 2)) for cells in (5, 17, 60, 120)
    )
    return (1 + np.asarray(grain))[..., None].astype(np.float32)


def _bricks(rng: Rng, size: int) -> Picture:
    """Courses of bricks or blocks, each of its own shade, with joints, sometimes in perspective."""
    height = size * rng.uniform(0.012, 0.08)
    width = height * rng.uniform(1.8, 3.5)
    joint = rng.uniform(0.06, 0.2)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    if rng.random() < 0.4:  # the wall recedes to one side
        x = x / (1 + rng.uniform(-0.6, 0.9) * x / size)
        y = (y - size / 2) * (1 + rng.uniform(-0.4, 0.4) * x / size) + size / 2
    turn = rng.normal(0, 0.03)
    x, y = x + turn * y, y - turn * x
    row = np.floor(y / height).astype(int)
    along = x / width + 0.5 * (row % 2)
    column = np.floor(along).astype(int)
    mortar = ((y / height) % 1 < joint) | (along % 1 < joint * height / width)
    base = (
        np.array([0.55, 0.3, 0.22]) * rng.uniform(0.6, 1.5)
        if rng.random() < 0.6
        else np.array(muted(rng)) / 255
    )
    shades = rng.normal(0, rng.uniform(0.03, 0.22), (97, 89, 1)) + rng.normal(0, 0.03, (97, 89, 3))
    image = base * np.exp(shades[row % 97, column % 89])
    image = np.where(mortar[..., None], np.array(muted(rng)) / 255, image)
    return (image * _rough(rng, size)).astype(np.float32)


def _planks(rng: Rng, size: int) -> Picture:
    """A fence, cladding or shutters."""
    step = size * rng.uniform(0.02, 0.12)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    across, along = (x, y) if rng.random() < 0.7 else (y, x)
    number = np.floor(across / step).astype(int)
    shades = rng.normal(0, 0.15, (64, 1))
    image = np.array(muted(rng)) / 255 * np.exp(shades[number % 64])
    fibres = np.sin(across * rng.uniform(0.5, 2) + 3 * smooth_noise(rng, size, 6) + 0.02 * along) * 0.06
    gap = (across / step) % 1 < rng.uniform(0.03, 0.2)
    return (
        np.where(gap[..., None], image * 0.3, image * (1 + fibres[..., None])) * _rough(rng, size)
    ).astype(np.float32)


def _plaster(rng: Rng, size: int) -> Picture:
    """A stained or painted wall, in two colours with a dado at times."""
    image = np.broadcast_to(np.array(muted(rng), np.float32) / 255, (size, size, 3)) * _rough(rng, size)
    stains = np.clip(smooth_noise(rng, size, 4) + smooth_noise(rng, size, 13) - 0.4, 0, 1)[..., None]
    image = image * (1 - rng.uniform(0, 0.6) * stains)
    if rng.random() < 0.4:
        line = int(size * rng.uniform(0.3, 0.8))
        image[line:] = image[line:] * (np.array(muted(rng)) / 255)
    return image.astype(np.float32)


def _leaves(rng: Rng, size: int) -> Picture:
    """Hedges, trees, grass: many small leaves or blades of light and dark greens, over gaps of sky or
    shade."""
    gap = np.array([0.75, 0.85, 0.95]) if rng.random() < 0.35 else np.array([0.05, 0.08, 0.04])
    canvas, draw = _canvas(np.broadcast_to(gap * rng.uniform(0.7, 1), (size, size, 3)))
    base = rng.uniform((0.08, 0.2, 0.03), (0.5, 0.6, 0.3))
    length, thin = size * rng.uniform(0.01, 0.06), rng.uniform(0.1, 0.6)
    count = int(min(2500, 1.6 * size * size / max(length * length * thin, 4.0)))
    x, y = rng.uniform(-0.05, 1.05, (2, count)) * size
    lean, spread = rng.uniform(0, np.pi), rng.choice([0.3, 1.5])
    angle = lean + rng.normal(0, spread, count)
    sizes = length * np.exp(rng.normal(0, 0.35, count))
    light = (
        np.linspace(0.35, 1.25, count)[:, None]
        * np.exp(rng.normal(0, 0.25, (count, 1)))
        * rng.normal(1, 0.06, (count, 3))
    )
    colors = (np.clip(base * light, 0, 1) * 255).astype(int)
    dx, dy = np.cos(angle) * sizes / 2, np.sin(angle) * sizes / 2
    ux, uy = -dy * thin, dx * thin
    for k in range(count):
        corners = [
            (x[k] - dx[k], y[k] - dy[k]),
            (x[k] + ux[k], y[k] + uy[k]),
            (x[k] + dx[k], y[k] + dy[k]),
            (x[k] - ux[k], y[k] - uy[k]),
        ]
        draw.polygon(corners, fill=(int(colors[k, 0]), int(colors[k, 1]), int(colors[k, 2])))
    return _picture(canvas)


def _street(rng: Rng, size: int) -> Picture:
    """A wall with windows and doors, a hedge or a fence before it, a street below."""
    image = (_bricks if rng.random() < 0.6 else _plaster)(rng, size)
    canvas, draw = _canvas(image)
    for _ in range(int(rng.integers(1, 6))):
        left, top = rng.uniform(-0.1, 0.9) * size, rng.uniform(-0.1, 0.5) * size
        width, height = rng.uniform(0.08, 0.3) * size, rng.uniform(0.1, 0.4) * size
        _window(rng, draw, left, top, width, height)
    image = _picture(canvas)
    if rng.random() < 0.6:
        hedge, line = (_leaves if rng.random() < 0.7 else _planks)(rng, size), rng.uniform(0.4, 0.8)
        edge = size * (line + 0.05 * smooth_noise(rng, size, 9)[0] + 0.02 * smooth_noise(rng, size, 40)[0])
        image = np.where((np.arange(size)[:, None] > edge)[..., None], hedge, image)
    return image.astype(np.float32)


def _window(
    rng: Rng, draw: ImageDraw.ImageDraw, left: float, top: float, width: float, height: float
) -> None:
    frame, glass, bar = muted(rng), muted(rng), max(1, int(width * rng.uniform(0.03, 0.1)))
    draw.rectangle((left, top, left + width, top + height), fill=glass, outline=frame, width=bar)
    for k in range(1, int(rng.integers(1, 4))):
        x = left + width * k / 3
        draw.line((x, top, x, top + height), fill=frame, width=bar)
    for k in range(1, int(rng.integers(1, 4))):
        y = top + height * k / 3
        draw.line((left, y, left + width, y), fill=frame, width=bar)


def _panes(rng: Rng, image: Picture) -> Picture:
    """A view through a window or a door of panes."""
    size = len(image)
    canvas, draw = _canvas(image * rng.uniform(0.8, 1.3))
    color, bar = muted(rng), max(2, int(size * rng.uniform(0.01, 0.05)))
    for x in np.arange(rng.uniform(0, 0.3), 1.2, rng.uniform(0.15, 0.5)) * size:
        draw.line((x, 0, x, size), fill=color, width=bar)
    for y in np.arange(rng.uniform(0, 0.3), 1.2, rng.uniform(0.2, 0.6)) * size:
        draw.line((0, y, size, y), fill=color, width=bar)
    return _picture(canvas)


def _gym(rng: Rng, size: int) -> Picture:
    """Racks, bars with plates, mirrors, balls and benches on a dark floor."""
    image = _plaster(rng, size)
    horizon = int(size * rng.uniform(0.55, 0.85))
    image[horizon:] = np.array(muted(rng)) / 255 * rng.uniform(0.2, 0.8)
    canvas, draw = _canvas(image)
    if rng.random() < 0.5:
        left = rng.uniform(0, 0.6) * size
        draw.rectangle(
            (left, rng.uniform(0, 0.2) * size, left + rng.uniform(0.2, 0.6) * size, horizon),
            fill=muted(rng),
            outline=muted(rng),
            width=2,
        )
    for _ in range(int(rng.integers(2, 7))):
        kind, x, y = rng.integers(4), rng.uniform(0, 1) * size, rng.uniform(0.2, 0.9) * size
        color, thick = muted(rng, rng.choice([0.15, 0.6])), max(1, int(size * rng.uniform(0.008, 0.03)))
        if kind == 0:  # a rack
            wide, high = rng.uniform(0.15, 0.5) * size, rng.uniform(0.3, 0.8) * size
            for post in (x, x + wide):
                draw.line((post, horizon - high, post, horizon + 0.05 * size), fill=color, width=thick)
            for level in np.arange(horizon - high, horizon, high / rng.integers(1, 6)):
                draw.line((x, level, x + wide, level), fill=color, width=thick)
        elif kind == 1:  # a bar with plates
            wide, radius = rng.uniform(0.2, 0.7) * size, rng.uniform(0.03, 0.1) * size
            draw.line((x - wide / 2, y, x + wide / 2, y), fill=color, width=max(1, thick // 2))
            for end in (x - wide * 0.4, x + wide * 0.4):
                draw.ellipse(
                    (end - radius * 0.4, y - radius, end + radius * 0.4, y + radius), fill=muted(rng, 0.15)
                )
        elif kind == 2:
            radius = rng.uniform(0.02, 0.12) * size
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=muted(rng))
        else:  # a bench
            wide = rng.uniform(0.15, 0.5) * size
            draw.rectangle((x, horizon - thick * 2, x + wide, horizon), fill=color)
            for leg in (x + thick, x + wide - thick):
                draw.line((leg, horizon, leg, horizon + 0.1 * size), fill=color, width=thick)
    return _picture(canvas)


def _signs(rng: Rng, image: Picture) -> Picture:
    """Posters and shop signs with writing."""
    size = len(image)
    canvas, draw = _canvas(image)
    for _ in range(int(rng.integers(1, 6))):
        left, top = rng.uniform(-0.1, 0.9, 2) * size
        width, height = rng.uniform(0.1, 0.5, 2) * size
        draw.rectangle((left, top, left + width, top + height), fill=muted(rng))
        ink, lines = muted(rng), int(rng.integers(1, 7))
        for line in range(lines):
            y, x, tall = top + height * (line + 0.3) / lines, left + 0.05 * width, height / lines * 0.5
            while x < left + width * rng.uniform(0.7, 0.95):
                stroke = tall * rng.uniform(0.2, 0.7)
                draw.rectangle((x, y, x + stroke * 0.6, y + tall), fill=ink)
                x += stroke * rng.uniform(0.8, 1.8)
    return _picture(canvas)


def _onto_ground(rng: Rng, wall: Picture) -> Picture:
    """The wall ends on a ground of another kind."""
    size = len(wall)
    ground = (_plaster, _bricks, _leaves)[rng.choice(3, p=(0.6, 0.2, 0.2))](rng, size) * rng.uniform(0.5, 1.2)
    line = rng.uniform(0.5, 0.92) * size + rng.normal(0, 0.05) * (np.arange(size) - size / 2)
    return np.where((np.arange(size)[:, None] > line)[..., None], ground, wall).astype(np.float32)


def _cast_shadow(rng: Rng, image: Picture) -> Picture:
    """Hard or soft shadows of posts, roofs or leaves."""
    size = len(image)
    mask = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(mask)
    if rng.random() < 0.5:
        draw.polygon([tuple(p) for p in rng.uniform(-0.5, 1.5, (4, 2)) * size], fill=255)
    slope = rng.normal(0, 1.0)
    for _ in range(int(rng.integers(0, 6))):
        x = rng.uniform(-0.5, 1.5) * size
        draw.line((x, 0, x + slope * size, size), fill=255, width=max(1, int(size * rng.uniform(0.01, 0.08))))
    soft = mask.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.02 * size))))
    return (image * (1 - rng.uniform(0.2, 0.65) * np.asarray(soft, np.float32)[..., None] / 255)).astype(
        np.float32
    )


def _poles(rng: Rng, image: Picture) -> Picture:
    """Lamp posts, tree trunks, pipes, wires."""
    size = len(image)
    canvas, draw = _canvas(image)
    for _ in range(int(rng.integers(1, 4))):
        x, lean = rng.uniform(0, 1) * size, rng.normal(0, 0.05) * size
        if rng.random() < 0.25:
            x, y = 0.0, rng.uniform(0, 0.8) * size
            draw.line(
                (0, y, size, y + rng.normal(0, 0.1) * size), fill=muted(rng, 0.2), width=max(1, size // 100)
            )
            continue
        draw.line((x, 0, x + lean, size), fill=muted(rng), width=max(1, int(size * rng.uniform(0.008, 0.09))))
    return _picture(canvas)


def _crowd(rng: Rng, image: Picture, people: UInt8[np.ndarray, "n h w 4"]) -> Picture:
    """Small people behind, and a limb or a back at an edge."""
    size = len(image)
    canvas, _ = _canvas(image)
    for _ in range(int(rng.integers(1, 5))):
        far = rng.random() < 0.7
        scale = rng.uniform(0.15, 0.4) if far else rng.uniform(0.8, 1.8)
        small = Image.fromarray(people[rng.integers(len(people))]).resize(
            (int(size * scale), int(size * scale)), Image.Resampling.BILINEAR
        )
        x = (
            rng.uniform(-0.1, 1.0) * size - small.width / 2
            if far
            else rng.choice([-0.62, 0.62]) * size + (size - small.width) / 2
        )
        canvas.paste(small, (int(x), int(rng.normal(0.55, 0.08) * size - small.height / 2)), small)
    return _picture(canvas)
