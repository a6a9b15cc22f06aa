"""Random changes of pictures that keep geometry: colour, light, blur, noise, compression, backgrounds,
blobs."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor


def color_jitter(
    image: Float[Tensor, "b 3 h w"], rng: np.random.Generator, strength: float = 1.0
) -> Float[Tensor, "b 3 h w"]:
    """Exposure, contrast, white balance, saturation and gamma, each picture its own."""
    batch = len(image)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        middle = (low + high) / 2
        values = middle + strength * (rng.uniform(low, high, (batch, channels, 1, 1)) - middle)
        return torch.from_numpy(values.astype(np.float32)).to(image.device)

    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * draw(0.4, 1.6)
    image = (image - 0.5) * draw(0.7, 1.3) + 0.5 + draw(-0.12, 0.12)
    image = (image * draw(0.85, 1.15, 3) * draw(0.7, 1.3)).clamp(1e-4, 1)
    return image ** torch.exp(draw(-0.4, 0.4))


def gaussian_blur(image: Float[Tensor, "b c h w"], sigma: float) -> Float[Tensor, "b c h w"]:
    """Gaussian of standard deviation `sigma` pixels, edges repeated; wide ones at a reduced size.

    Sums of shifted pictures: convolutions with one channel are many times slower on a CPU.
    """
    if sigma > 2:
        factor, size = int(sigma), image.shape[-2:]
        small = F.interpolate(image, (max(2, size[0] // factor), max(2, size[1] // factor)), mode="area")
        return F.interpolate(gaussian_blur(small, sigma / factor), size, mode="bilinear", align_corners=False)
    radius = max(1, math.ceil(2 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis, pad in ((-2, (0, 0, radius, radius)), (-1, (radius, radius, 0, 0))):
        padded, size = F.pad(image, pad, mode="replicate"), image.shape[axis]
        total = padded.narrow(axis, radius, size) * float(kernel[radius])
        for k in range(radius):
            pair = padded.narrow(axis, k, size) + padded.narrow(axis, 2 * radius - k, size)
            total.add_(pair, alpha=float(kernel[k]))
        image = total
    return image


def jpeg(image: Float[Tensor, "b 3 h w"], step: float) -> Float[Tensor, "b 3 h w"]:
    """Quantise the 8x8 cosine transform with steps that grow with frequency; height and width are multiples
    of 8."""
    index = torch.arange(8, dtype=torch.float32)
    basis = torch.cos((2 * index[None] + 1) * index[:, None] * math.pi / 16) * math.sqrt(0.25)
    basis[0] *= math.sqrt(0.5)
    batch, channels, height, width = image.shape
    blocks = image.reshape(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    quantum = step * (1 + 0.35 * (index[:, None] + index[None]))
    coefficients = torch.round(basis @ blocks @ basis.T / quantum) * quantum
    return (basis.T @ coefficients @ basis).transpose(3, 4).reshape(image.shape).clamp(0, 1)


def light_field(batch: int, size: int, rng: np.random.Generator) -> Float[Tensor, "b 3 s s"]:
    """A smooth factor about 1: light from one side, shade of trees."""
    coarse = 1 + rng.uniform(0, 0.35, (batch, 1, 1, 1)) * rng.standard_normal((batch, 1, 4, 4))
    tinted = coarse * (1 + 0.04 * rng.standard_normal((batch, 3, 4, 4)))
    field = torch.from_numpy(tinted.clip(0.35, 1.8).astype(np.float32))
    return F.interpolate(field, (size, size), mode="bicubic", align_corners=False)


def random_blobs(
    batch: int, size: int, rng: np.random.Generator, radii: tuple[float, float] = (0.1, 0.5)
) -> Float[Tensor, "b 1 s s"]:
    """Soft-edged random shapes (an ellipse bent by noise); `radii` as shares of the half picture."""
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    values = torch.from_numpy(rng.uniform(-1, 1, (batch, 4, 1, 1)).astype(np.float32))
    low, high = math.log(radii[0]), math.log(radii[1])
    radius = torch.from_numpy(np.exp(rng.uniform(low, high, (batch, 2, 1, 1))).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal((batch, 1, 7, 7)).astype(np.float32))
    bend = F.interpolate(noise, (size, size), mode="bicubic", align_corners=False)[:, 0] * 0.35
    turned = torch.atan2(values[:, 2], values[:, 3])
    u = (x - 0.8 * values[:, 0]) * torch.cos(turned) + (y - 0.8 * values[:, 1]) * torch.sin(turned)
    v = (y - 0.8 * values[:, 1]) * torch.cos(turned) - (x - 0.8 * values[:, 0]) * torch.sin(turned)
    distance = ((u / radius[:, 0]) ** 2 + (v / radius[:, 1]) ** 2).sqrt() + bend
    return torch.sigmoid((1 - distance) * 25)[:, None]


def random_bars(batch: int, size: int, rng: np.random.Generator) -> Float[Tensor, "b 1 s s"]:
    """One straight bar a picture, 0.5 to 4 % of it thick, of random direction and length."""

    def draw(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (batch, 1, 1)).astype(np.float32))

    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle, offset = draw(0, math.pi), draw(-0.4, 0.4)
    across = x * torch.sin(angle) - y * torch.cos(angle) - offset
    along = x * torch.cos(angle) + y * torch.sin(angle) - draw(-0.3, 0.3)
    half, length = draw(0.005, 0.04), draw(0.3, 1.5)
    softness = 1.0 / size
    inside = torch.sigmoid((half - across.abs()) / softness) * torch.sigmoid(
        (length - along.abs()) / softness
    )
    return inside[:, None]


def random_backgrounds(
    stack: UInt8[np.ndarray, "n s s 3"], batch: int, size: int, rng: np.random.Generator
) -> Float[Tensor, "b 3 size size"]:
    """Random crops of a stack of backgrounds, recoloured and sometimes out of focus; plain colours now and
    then."""
    pictures = torch.empty(batch, 3, size, size)
    for k in range(batch):
        source = stack[rng.integers(len(stack))]
        side = int(rng.uniform(0.4, 1.0) * min(source.shape[:2]))
        top, left = (int(rng.integers(full - side + 1)) for full in source.shape[:2])
        crop = (
            torch.from_numpy(np.ascontiguousarray(source[top : top + side, left : left + side]))
            .float()
            .movedim(-1, 0)[None]
            / 255
        )
        crop = crop.flip(-1) if rng.random() < 0.5 else crop
        if rng.random() < 0.4:  # out of focus: reduced and enlarged is far cheaper than blurred
            crop = F.interpolate(crop, (size // int(rng.integers(2, 9)),) * 2, mode="area")
        pictures[k] = F.interpolate(crop, (size, size), mode="bilinear", align_corners=False)[0]
    pictures = color_jitter(pictures, rng, 1.0)
    plain = torch.from_numpy(rng.random((batch, 3, 1, 1)).astype(np.float32)) * light_field(batch, size, rng)
    return torch.where(torch.from_numpy(rng.random((batch, 1, 1, 1)) < 0.06), plain.clamp(0, 1), pictures)
