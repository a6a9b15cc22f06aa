"""Refinement of a coarse back view by ControlNet image-to-image (HGM, section 3.4), with the embedded
networks or SD 1.5."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models import hub_source, zoo
from turnaround.models.back_view.coarse import blur
from turnaround.models.back_view.diffusion.sampling import EmbeddedDiffusion
from turnaround.models.back_view.settings import Settings

__all__ = [
    "DiffusionRefiner",
    "Refiner",
    "Settings",
    "embedded_refiner",
    "hub_refiner",
    "person_box",
    "without_slow_change",
]

COLOR_SCALE = 3 / 256  # of the picture's width: changes slower than this are changes of colour


@runtime_checkable
class Refiner(Protocol):
    """Anything that refines a square picture over white."""

    def __call__(self, image: Float[Tensor, "s s 3"], settings: Settings) -> Float[Tensor, "s s 3"]:
        """The refined picture, same size, sRGB in [0, 1]."""
        ...


@runtime_checkable
class LatentDiffusion(Protocol):
    """A diffusion model that works on `size` pixels, sides a multiple of `multiple`."""

    @property
    def size(self) -> int: ...
    @property
    def multiple(self) -> int: ...
    @property
    def device(self) -> torch.device: ...

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c k l"]: ...
    def decode(self, latents: Float[Tensor, "b c k l"]) -> Float[Tensor, "b 3 h w"]: ...
    def denoise(
        self, image: Float[Tensor, "1 3 h w"], latents: Float[Tensor, "1 c k l"], settings: Settings
    ) -> Tensor: ...


class DiffusionRefiner:
    """Refines the person's box of a picture with a diffusion model."""

    def __init__(self, model: LatentDiffusion) -> None:
        self.model = model

    @torch.no_grad()
    def __call__(self, image: Float[Tensor, "s s 3"], settings: Settings) -> Float[Tensor, "s s 3"]:
        """Refine; with `keep_detail` the picture's own resolution is kept, else it becomes that of the
        model."""
        batch, size = image.permute(2, 0, 1)[None].to(self.model.device), self.model.size
        small = F.interpolate(batch, (size, size), mode="area" if size < image.shape[0] else "bicubic").clamp(
            0, 1
        )
        top, bottom, left, right = person_box(small[0], self.model.multiple)
        crop = small[:, :, top:bottom, left:right]
        whole = torch.zeros_like(small) if settings.keep_detail else small.clone()
        whole[:, :, top:bottom, left:right] = (
            self._change(crop, settings) if settings.keep_detail else self._renewed(crop, settings)
        )
        large = (
            F.interpolate(whole, batch.shape[-2:], mode="bilinear", align_corners=False)
            if whole.shape != batch.shape
            else whole
        )
        return (batch + large if settings.keep_detail else large).clamp(0, 1)[0].permute(1, 2, 0).cpu()

    def _renewed(self, crop: Float[Tensor, "1 3 h w"], settings: Settings) -> Float[Tensor, "1 3 h w"]:
        latents = self.model.encode(crop)
        return self.model.decode(
            self.model.denoise(crop, latents, settings) if settings.strength > 0 else latents
        )

    def _change(self, crop: Float[Tensor, "1 3 h w"], settings: Settings) -> Float[Tensor, "1 3 h w"]:
        """What the diffusion changes: the VAE's picture after it less the one before it, decoded together."""
        if settings.strength == 0:
            return torch.zeros_like(crop)
        latents = self.model.encode(crop)
        after, before = self.model.decode(
            torch.cat([self.model.denoise(crop, latents, settings), latents])
        ).split(1)
        change = settings.amount * (after - before)
        return (
            without_slow_change(change, crop, COLOR_SCALE * self.model.size)
            if settings.keep_color
            else change
        )


def without_slow_change(
    change: Float[Tensor, "1 3 h w"], image: Float[Tensor, "1 3 h w"], sigma: float
) -> Float[Tensor, "1 3 h w"]:
    """`change` on the person less its blur of `sigma` pixels, so that colours stay; zero on the white
    around."""
    person = (image.amin(1, keepdim=True) < 0.97).to(change)
    return (change - blur(change * person, sigma) / blur(person, sigma).clamp(min=0.01)) * person


def person_box(image: Float[Tensor, "3 h w"], multiple: int, margin: int = 8) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what is not white, with a margin, grown to sides that `multiple`
    divides."""
    ink = (image < 0.98).any(0)
    if not ink.any():
        return 0, image.shape[1], 0, image.shape[2]
    edges = []
    for axis, size in ((1, image.shape[1]), (0, image.shape[2])):
        where = torch.nonzero(ink.any(axis))[:, 0]
        first, last = max(int(where[0]) - margin, 0), min(int(where[-1]) + 1 + margin, size)
        length = min(-(-(last - first) // multiple) * multiple, size)
        first = max(min(first, size - length), 0)
        edges += [first, first + length]
    return tuple(edges)  # type: ignore[return-value]


def embedded_refiner(
    vae: str, unet: str, controlnet: str, device: torch.device | str = "cpu"
) -> DiffusionRefiner:
    """Our small networks, weights by name or path, at 256 px; loaded once a process and digest."""
    names = (vae, unet, controlnet)
    return _embedded(names, tuple(zoo.digest(name) for name in names), str(device))


@lru_cache(maxsize=2)
def _embedded(names: tuple[str, str, str], _digests: tuple[str, ...], device: str) -> DiffusionRefiner:
    return DiffusionRefiner(EmbeddedDiffusion.load(*names, device))


def hub_refiner(
    base: str, controlnet: str, size: int = 512, device: torch.device | str = "cpu"
) -> DiffusionRefiner:
    """Stable Diffusion 1.5 and ControlNet tile in diffusers' format, from local folders or hub ids; the last
    one stays loaded.

    Raises:
        FileNotFoundError: one of the two cannot be read; says which, and what to give instead.
    """
    known = tuple(_digest(source) for source in (base, controlnet))
    return _hub(base, controlnet, known, size, str(device))


def _digest(source: str) -> str:
    """What a folder or a hub id holds now; the name alone where that cannot be told, which loading it will
    say."""
    try:
        return zoo.digest(hub_source.weight_name(source))
    except zoo.MissingWeight:
        return source


@lru_cache(maxsize=1)
def _hub(base: str, controlnet: str, _known: tuple[str, ...], size: int, device: str) -> DiffusionRefiner:
    from turnaround.models.back_view.diffusion.hub import HubDiffusion  # diffusers takes seconds to import

    return DiffusionRefiner(HubDiffusion.load(base, controlnet, size, device))
