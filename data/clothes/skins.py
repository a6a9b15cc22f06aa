"""Textures of the person: skin, eyes, hair and eyebrows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from turnaround.data.clothes.fabrics import Rng, Texture, smooth_noise, to_texture

TONES = np.array(
    [(0.95, 0.80, 0.71), (0.87, 0.67, 0.54), (0.74, 0.54, 0.40), (0.56, 0.38, 0.27), (0.38, 0.25, 0.18)],
    np.float32,
)
HAIR_COLORS = np.array(
    [
        (0.07, 0.06, 0.06),
        (0.17, 0.11, 0.08),
        (0.30, 0.19, 0.11),
        (0.45, 0.30, 0.16),
        (0.72, 0.57, 0.34),
        (0.45, 0.18, 0.09),
        (0.55, 0.54, 0.53),
        (0.85, 0.84, 0.82),
    ],
    np.float32,
)
IRIS_COLORS = np.array(
    [(0.24, 0.13, 0.06), (0.35, 0.22, 0.1), (0.25, 0.4, 0.6), (0.3, 0.42, 0.25), (0.4, 0.42, 0.45)],
    np.float32,
)
PUPIL, IRIS = np.radians(11), np.radians(29)  # half-angles on the eyeball


def tinted_skin(rng: Rng, texture: Texture) -> Texture:
    """A painted skin, a little lighter or darker, redder or yellower."""
    factor = rng.uniform(0.82, 1.1) * rng.uniform((0.97, 0.96, 0.93), (1.03, 1.02, 1.03))
    image = texture[..., :3].astype(np.float32) * (factor / 255).astype(np.float32)
    return to_texture(image)


def painted_skin(rng: Rng, size: int = 256) -> Texture:
    """A skin without features, for use without the wardrobe."""
    k = rng.uniform(0, len(TONES) - 1.001)
    tone = TONES[int(k)] + (TONES[int(k) + 1] - TONES[int(k)]) * (k % 1)
    mottle = smooth_noise(rng, size, 24) * 0.03 + smooth_noise(rng, size, 90) * 0.03
    return to_texture(np.clip(tone * (1 + mottle[..., None]), 0, 1))


def eye_texture(rng: Rng, size: int = 64) -> Texture:
    """Rings by the angle from the gaze (along u, 0 to pi): pupil, iris, white."""
    angle = (np.arange(size) + 0.5) / size * np.pi
    iris = IRIS_COLORS[rng.integers(len(IRIS_COLORS))] * rng.uniform(0.7, 1.2)
    ring = np.where((angle < PUPIL)[:, None], 0.03, np.where((angle < IRIS)[:, None], iris, 0.88))
    return to_texture(np.broadcast_to(ring.astype(np.float32), (4, size, 3)))


def eye_uv(
    template: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"]
) -> Float32[np.ndarray, "f 3 2"]:
    """Texture coordinates for `eye_texture`: the angle of each corner from straight ahead, seen from its
    eye's centre."""
    used = np.unique(faces)
    left = template[:, 0] > 0
    centres = np.stack([template[used[left[used] == side]].mean(0) for side in (False, True)])
    direction = template[faces] - centres[left[faces].astype(int)]
    cosine = direction[..., 2] / np.linalg.norm(direction, axis=-1)
    u = np.clip(np.arccos(np.clip(cosine, -1, 1)) / np.pi, 0.01, 0.99)
    return np.stack([u, np.full_like(u, 0.5)], -1).astype(np.float32)


def hair_color(rng: Rng) -> Float32[np.ndarray, "3"]:
    """A natural hair colour, rarely a dyed one."""
    if rng.random() < 0.04:
        return rng.uniform(0.1, 0.9, 3).astype(np.float32)
    weights = (0.24, 0.2, 0.17, 0.12, 0.1, 0.05, 0.07, 0.05)
    color = HAIR_COLORS[rng.choice(len(HAIR_COLORS), p=weights)]
    return np.clip(color * rng.uniform(0.75, 1.25) * rng.normal(1, 0.04, 3), 0, 1).astype(np.float32)


def colored_hair(texture: Texture, color: Float32[np.ndarray, "3"]) -> Texture:
    """Strands of an existing texture in another colour, its holes kept."""
    gray = texture[..., :3].astype(np.float32).mean(-1)
    drawn = texture[..., 3] > 127
    level = max(float(gray[drawn].mean()), 8.0) if drawn.any() else 1.0
    # very dark textures hold compression noise rather than strands
    contrast = 0.9 if level > 30 else 0.45
    factor = np.clip(1 + contrast * (gray / level - 1), 0.3, 1.9)
    out: UInt8[np.ndarray, "s s 4"] = to_texture(np.clip(factor[..., None] * color, 0, 1))
    out[..., 3] = texture[..., 3]
    return out
