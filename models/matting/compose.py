"""Training pictures for matting: people cut out of the singles set, pasted over backgrounds, spoilt like
photographs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.dataset import Things, chunks_of
from turnaround.models.training.photometric import (
    color_jitter,
    gaussian_blur,
    jpeg,
    light_field,
    random_backgrounds,
    random_bars,
    random_blobs,
)


@dataclass(frozen=True)
class Composite:
    """A batch of pictures with their masks."""

    image: Float[Tensor, "b 3 s s"]
    mask: Float[Tensor, "b 1 s s"]
    weight: Float[Tensor, "b 1 s s"]  # 0 where either answer is right (people far behind)


def place(
    rgba: Float[Tensor, "b c s s"],
    size: int,
    scale: Tensor,
    angle: Tensor,
    shift: Tensor,
    shear: Tensor | None = None,
) -> Float[Tensor, "b c k k"]:
    """Move cut-outs (premultiplied alpha) about a picture of `size`; `shift` in half pictures, `angle` in
    radians, (b, ...)."""
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    matrix = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
    if shear is not None:
        matrix = matrix @ torch.stack(
            [
                torch.stack([torch.ones_like(shear), shear], -1),
                torch.tensor([0.0, 2.2]).expand(len(shear), 2),
            ],
            -2,
        )
    theta = torch.cat([matrix, -(matrix @ shift[..., None])], -1)
    grid = F.affine_grid(theta, [*rgba.shape[:2], size, size], align_corners=False)
    return F.grid_sample(rgba, grid, align_corners=False)


class Composer:
    """Draws batches of `size` pixels from a singles set and a stack of backgrounds (n, s, s, 3) u8.

    What a person looks like is learned at 128 px for less than half the cost of the set's 192 (its size, the
    default).
    """

    def __init__(
        self,
        people: list[np.ndarray],
        backgrounds: np.ndarray,
        size: int | None = None,
        things: list[Things] | None = None,
    ) -> None:
        """`things` are what the people of each array hold: in the picture, and not in the mask."""
        self.people, self.backgrounds, self.size = people, backgrounds, size or people[0].shape[1]
        self.things = things or [Things(np.empty(0, np.int64), None)] * len(people)
        self.counts = np.array([len(p) for p in people])

    def __call__(self, batch: int, rng: np.random.Generator) -> Composite:
        """One batch; everything random comes from `rng`."""
        person = self._person(batch, rng, (0.45, 1.45), 0.35)
        size = person.shape[-1]
        scene = random_backgrounds(self.backgrounds, batch, size, rng)
        unsure = torch.zeros(batch, 1, size, size)
        far = _some(batch, 0.15, rng)
        scene[far], unsure[far] = self._far_people(scene[far], rng)
        pieces = _some(batch, 0.2, rng)
        scene[pieces] = self._pieces(scene[pieces], rng)
        shaded = _some(batch, 0.5, rng)
        scene[shaded] = self._shadow(scene[shaded], person[shaded], rng)
        image, mask = scene, torch.zeros(batch, 1, size, size)
        second = _some(batch, 0.15, rng)
        if len(second):
            other = self._person(len(second), rng, (0.5, 1.2), 0.9)
            image[second], mask[second] = _over(other, image[second], mask[second])
        empty = _some(batch, 0.03, rng)
        person[empty] = 0
        image, mask = _over(person, image, mask)
        covered = _some(batch, 0.4, rng)
        image[covered], mask[covered] = self._objects(image[covered], mask[covered], rng)
        return Composite(spoil(image, rng), mask, 1 - unsure)

    def _person(
        self, batch: int, rng: np.random.Generator, scales: tuple[float, float], spread: float
    ) -> Float[Tensor, "b 5 s s"]:
        """Cut-outs of random people and of what they hold, recoloured, turned, moved and mirrored.

        Channels: colour times opacity, opacity, and the mask, which is the opacity less what is held.
        """
        picked = [
            (
                k := rng.choice(len(self.people), p=self.counts / self.counts.sum()),
                rng.integers(self.counts[k]),
            )
            for _ in range(batch)
        ]
        rgba = torch.from_numpy(np.stack([self.people[k][i] for k, i in picked])).float().movedim(-1, 1) / 255
        color, alpha = color_jitter(rgba[:, :3], rng, 1.0), rgba[:, 3:]
        layer = torch.cat([color * alpha, alpha, alpha], 1)
        for n, (k, i) in enumerate(picked):
            thing = self.things[k].layer(int(i))
            if thing is not None:
                cover = torch.from_numpy(thing).float().movedim(-1, 0) / 255
                layer[n] = layer[n] * (1 - cover[3:]) + torch.cat(
                    [cover[:3] * cover[3:], cover[3:], torch.zeros_like(cover[3:])]
                )
        layer = torch.where(_chance(batch, 0.5, rng) > 0, layer, layer.flip(-1))
        scale = torch.exp(_uniform(batch, math.log(scales[0]), math.log(scales[1]), rng))
        angle = _uniform(batch, -0.25, 0.25, rng)
        shift = torch.stack(
            [_uniform(batch, -spread, spread, rng), _uniform(batch, -spread, spread, rng) * 0.6], -1
        )
        return place(layer, self.size, scale, angle, shift)

    def _far_people(self, scene: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Small people behind: passers-by, whom either answer suits."""
        if not len(scene):
            return scene, scene[:, :1]
        far = self._person(len(scene), rng, (0.08, 0.3), 0.9)
        return scene * (1 - far[:, 3:4]) + far[:, :3], (F.max_pool2d(far[:, 3:4], 3, 1, 1) > 0.02).float()

    def _pieces(self, scene: Tensor, rng: np.random.Generator) -> Tensor:
        """Blobs with the colours of people are background: clothes on a line, posters, cushions."""
        if not len(scene):
            return scene
        texture = self._person(len(scene), rng, (2.0, 4.0), 0.3)
        blobs = random_blobs(len(scene), scene.shape[-1], rng) * texture[:, 3:4]
        return scene * (1 - blobs) + texture[:, :3] * blobs

    def _shadow(self, scene: Tensor, person: Tensor, rng: np.random.Generator) -> Tensor:
        """The person's sheared shadow, more or less soft, on what is behind."""
        batch = len(scene)
        if not batch:
            return scene
        shift = torch.stack([_uniform(batch, -0.3, 0.3, rng), _uniform(batch, 0.1, 0.5, rng)], -1)
        shadow = place(
            person[:, 3:4],
            self.size,
            torch.ones(batch),
            torch.zeros(batch),
            shift,
            _uniform(batch, -1.5, 1.5, rng),
        )
        shadow = gaussian_blur(shadow, float(rng.uniform(0.5, 5)))
        return scene * (1 - shadow * _uniform(batch, 0.2, 0.75, rng).view(-1, 1, 1, 1))

    def _objects(self, image: Tensor, mask: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Bars or blobs before the person: what is held or stands in front is not the person."""
        batch, size = len(image), image.shape[-1]
        if not batch:
            return image, mask
        cover = (
            random_bars(batch, size, rng)
            if rng.random() < 0.5
            else random_blobs(batch, size, rng, (0.03, 0.14))
        )
        texture = random_backgrounds(self.backgrounds, batch, size, rng)
        return image * (1 - cover) + texture * cover, mask * (1 - cover)


def _over(layer: Float[Tensor, "b 5 s s"], image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """A person's layer on top."""
    behind = 1 - layer[:, 3:4]
    return image * behind + layer[:, :3], mask * behind + layer[:, 4:]


def _some(batch: int, share: float, rng: np.random.Generator) -> Tensor:
    """Indices of about a `share` of the batch."""
    return torch.from_numpy(np.flatnonzero(rng.random(batch) < share))


def spoil(image: Float[Tensor, "b 3 s s"], rng: np.random.Generator) -> Float[Tensor, "b 3 s s"]:
    """What a camera does: uneven light, exposure, blur, noise, compression."""
    image = image * light_field(len(image), image.shape[-1], rng) if rng.random() < 0.6 else image
    image = color_jitter(image, rng, 0.5)
    if rng.random() < 0.4:
        image = gaussian_blur(image, float(rng.uniform(0.3, 1.5)))
    if rng.random() < 0.6:
        image = image + torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32)) * float(
            rng.uniform(0, 0.05)
        )
    image = image.clamp(0, 1)
    return jpeg(image, float(rng.uniform(0.01, 0.12))) if rng.random() < 0.35 else image


def _uniform(batch: int, low: float, high: float, rng: np.random.Generator) -> Float[Tensor, " b"]:
    return torch.from_numpy(rng.uniform(low, high, batch).astype(np.float32))


def _chance(batch: int, share: float, rng: np.random.Generator) -> Float[Tensor, "b 1 1 1"]:
    return torch.from_numpy((rng.random(batch) < share).astype(np.float32)).view(-1, 1, 1, 1)


def open_singles(folder: Path) -> list[np.ndarray]:
    """The rgba arrays (n, s, s, 4) u8 of a singles set, memory-mapped; the set may be split into `chunk_*`
    folders."""
    return [np.load(chunk / "rgba.npy", mmap_mode="r") for chunk in chunks_of(folder)]


def open_things(folder: Path) -> list[Things]:
    """What the people of `open_singles` hold."""
    return [Things.open(chunk, slice(None)) for chunk in chunks_of(folder)]
