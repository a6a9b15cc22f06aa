"""Training pictures for matting: people cut out of the singles set, pasted over backgrounds, spoilt like photographs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.photometric import color_jitter, gaussian_blur, jpeg, light_field, random_backgrounds, random_bars, random_blobs


@dataclass(frozen=True)
class Composite:
    """A batch of pictures with their masks."""

    image: Float[Tensor, "b 3 s s"]
    mask: Float[Tensor, "b 1 s s"]
    weight: Float[Tensor, "b 1 s s"]  # 0 where either answer is right (people far behind)


def place(rgba: Float[Tensor, "b 4 s s"], scale: Tensor, angle: Tensor, shift: Tensor, shear: Tensor | None = None) -> Tensor:
    """Move cut-outs (premultiplied alpha) about their picture; `shift` in half pictures, `angle` in radians, (b, ...)."""
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    matrix = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
    if shear is not None:
        matrix = matrix @ torch.stack(
            [torch.stack([torch.ones_like(shear), shear], -1), torch.tensor([0.0, 2.2]).expand(len(shear), 2)], -2
        )
    theta = torch.cat([matrix, -(matrix @ shift[..., None])], -1)
    return F.grid_sample(rgba, F.affine_grid(theta, list(rgba.shape), align_corners=False), align_corners=False)


class Composer:
    """Draws batches from a singles set and a stack of backgrounds (n, s, s, 3) u8."""

    def __init__(self, people: list[np.ndarray], backgrounds: np.ndarray) -> None:
        self.people, self.backgrounds = people, backgrounds
        self.counts = np.array([len(p) for p in people])

    def __call__(self, batch: int, rng: np.random.Generator) -> Composite:
        """One batch; everything random comes from `rng`."""
        person = self._person(batch, rng, (0.45, 1.45), 0.35)
        size = person.shape[-1]
        scene = random_backgrounds(self.backgrounds, batch, size, rng)
        scene, unsure = self._far_people(scene, rng)
        if rng.random() < 0.5:
            scene = self._pieces(scene, rng)
        scene = self._shadow(scene, person, rng)
        other = self._person(batch, rng, (0.5, 1.2), 0.9) * _chance(batch, 0.15, rng)
        image, mask = scene, torch.zeros(batch, 1, size, size)
        for layer in (other, person * _chance(batch, 0.97, rng)):
            image = image * (1 - layer[:, 3:]) + layer[:, :3]
            mask = mask * (1 - layer[:, 3:]) + layer[:, 3:]
        image, mask = self._objects(image, mask, rng)
        return Composite(spoil(image, rng), mask, (1 - unsure) * 1.0)

    def _person(self, batch: int, rng: np.random.Generator, scales: tuple[float, float], spread: float) -> Float[Tensor, "b 4 s s"]:
        """Premultiplied cut-outs of random people, recoloured, turned, moved and mirrored."""
        picked = [
            (k := rng.choice(len(self.people), p=self.counts / self.counts.sum()), rng.integers(self.counts[k])) for _ in range(batch)
        ]
        rgba = torch.from_numpy(np.stack([self.people[k][i] for k, i in picked])).float().movedim(-1, 1) / 255
        rgba = torch.where(_chance(batch, 0.5, rng) > 0, rgba, rgba.flip(-1))
        color = color_jitter(rgba[:, :3], rng, 1.0)
        layer = torch.cat([color * rgba[:, 3:], rgba[:, 3:]], 1)
        scale = torch.exp(_uniform(batch, math.log(scales[0]), math.log(scales[1]), rng))
        angle = _uniform(batch, -0.25, 0.25, rng)
        shift = torch.stack([_uniform(batch, -spread, spread, rng), _uniform(batch, -spread, spread, rng) * 0.6], -1)
        return place(layer, scale, angle, shift)

    def _far_people(self, scene: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Small people behind: passers-by, whom either answer suits."""
        far = self._person(len(scene), rng, (0.08, 0.3), 0.9) * _chance(len(scene), 0.15, rng)
        return scene * (1 - far[:, 3:]) + far[:, :3], (F.max_pool2d(far[:, 3:], 3, 1, 1) > 0.02).float()

    def _pieces(self, scene: Tensor, rng: np.random.Generator) -> Tensor:
        """Blobs with the colours of people are background: clothes on a line, posters, cushions."""
        texture = self._person(len(scene), rng, (2.0, 4.0), 0.3)
        blobs = random_blobs(len(scene), scene.shape[-1], rng) * texture[:, 3:] * _chance(len(scene), 0.4, rng)
        return scene * (1 - blobs) + texture[:, :3] * blobs

    def _shadow(self, scene: Tensor, person: Tensor, rng: np.random.Generator) -> Tensor:
        """The person's sheared shadow, more or less soft, on what is behind."""
        batch = len(scene)
        shift = torch.stack([_uniform(batch, -0.3, 0.3, rng), _uniform(batch, 0.1, 0.5, rng)], -1)
        shadow = place(person[:, 3:], torch.ones(batch), torch.zeros(batch), shift, _uniform(batch, -1.5, 1.5, rng))
        shadow = gaussian_blur(shadow, float(rng.uniform(0.5, 5)))
        return scene * (1 - shadow * _uniform(batch, 0.2, 0.75, rng).view(-1, 1, 1, 1) * _chance(batch, 0.5, rng))

    def _objects(self, image: Tensor, mask: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Bars and blobs before the person: what is held or stands in front is not the person."""
        batch, size = len(image), image.shape[-1]
        cover = torch.maximum(
            random_bars(batch, size, rng) * _chance(batch, 0.25, rng),
            random_blobs(batch, size, rng, (0.03, 0.14)) * _chance(batch, 0.2, rng),
        )
        texture = color_jitter(random_backgrounds(self.backgrounds, batch, size, rng), rng, 1.0)
        return image * (1 - cover) + texture * cover, mask * (1 - cover)


def spoil(image: Float[Tensor, "b 3 s s"], rng: np.random.Generator) -> Float[Tensor, "b 3 s s"]:
    """What a camera does: uneven light, exposure, blur, noise, compression."""
    image = image * light_field(len(image), image.shape[-1], rng)
    image = color_jitter(image, rng, 0.5)
    if rng.random() < 0.4:
        image = gaussian_blur(image, float(rng.uniform(0.3, 1.5)))
    noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
    image = (image + noise * float(rng.uniform(0, 0.05))).clamp(0, 1)
    return jpeg(image, float(rng.uniform(0.01, 0.12))) if rng.random() < 0.5 else image


def _uniform(batch: int, low: float, high: float, rng: np.random.Generator) -> Float[Tensor, " b"]:
    return torch.from_numpy(rng.uniform(low, high, batch).astype(np.float32))


def _chance(batch: int, share: float, rng: np.random.Generator) -> Float[Tensor, "b 1 1 1"]:
    return torch.from_numpy((rng.random(batch) < share).astype(np.float32)).view(-1, 1, 1, 1)


def open_singles(folder: Path) -> list[np.ndarray]:
    """The rgba arrays (n, s, s, 4) u8 of a singles set, memory-mapped; the set may be split into `chunk_*` folders."""
    files = sorted(folder.glob("chunk_*/rgba.npy")) or sorted(folder.glob("rgba.npy"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no singles set (rgba.npy, or chunk_*/rgba.npy): make one with `turnaround data people`")
    return [np.load(file, mmap_mode="r") for file in files]
