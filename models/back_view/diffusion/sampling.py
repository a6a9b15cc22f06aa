"""Image-to-image diffusion with the embedded networks: noise is added to a picture's latents and taken away
by DDIM (Song et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models import precision
from turnaround.models.back_view.diffusion.latents import LatentControlNet, LatentUNet, LatentVAE, load
from turnaround.models.back_view.settings import Settings

TIMESTEPS, BETA_START, BETA_END = 1000, 0.00085, 0.012  # Stable Diffusion's schedule, with "trailing" steps


def signal_shares() -> Float[Tensor, " t"]:
    """The cumulative share of the signal's variance at every timestep."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TIMESTEPS, dtype=torch.float32) ** 2
    return torch.cumprod(1 - betas, 0)


def timesteps(steps: int) -> list[int]:
    """The timesteps of a schedule of `steps`, the noisiest first."""
    return [round(TIMESTEPS - k * TIMESTEPS / steps) - 1 for k in range(steps)]


@dataclass(frozen=True)
class EmbeddedDiffusion:
    """The three networks, at the size and on the multiple of pixels that they work with."""

    vae: LatentVAE
    unet: LatentUNet
    controlnet: LatentControlNet
    size: int = 256
    multiple: int = 16

    @classmethod
    def load(
        cls, vae: str, unet: str, controlnet: str, device: torch.device | str = "cpu"
    ) -> EmbeddedDiffusion:
        """Weights by name or path."""
        loaded = load(LatentVAE, vae), load(LatentUNet, unet), load(LatentControlNet, controlnet)
        return cls(*(network.to(device, memory_format=torch.channels_last) for network in loaded))  # type: ignore[call-overload]

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.unet.parameters()).device

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c k l"]:
        """Latents (the posterior's mode) of pictures in [0, 1]."""
        return precision.run("back_view_encoder", self.vae.posterior, image)[0]

    def decode(self, latents: Float[Tensor, "b c k l"]) -> Float[Tensor, "b 3 h w"]:
        """Pictures of latents, not clipped to [0, 1]."""
        return precision.run("back_view_decoder", self.vae.decode, latents)

    def denoise(
        self, image: Float[Tensor, "1 3 h w"], latents: Float[Tensor, "1 c k l"], settings: Settings
    ) -> Float[Tensor, "1 c k l"]:
        """The picture's latents after `settings.strength` of the schedule was added and taken away under its
        own control."""
        # the CPU's generator, so that a seed means the same noise everywhere
        generator = torch.Generator().manual_seed(settings.seed)
        schedule = timesteps(settings.schedule)
        run = schedule[len(schedule) - min(int(settings.schedule * settings.strength), settings.schedule) :]
        shares = signal_shares()
        if settings.noise == 1:  # as diffusers begins: from a draw of the posterior
            mean, deviation = precision.run("back_view_encoder", self.vae.posterior, image)
            latents = mean + deviation * torch.randn(mean.shape, generator=generator).to(mean)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        latents = shares[run[0]].sqrt() * latents + settings.noise * (1 - shares[run[0]]).sqrt() * noise
        for step in run:
            control = precision.run("back_view_controlnet", self.controlnet, latents, step, image)
            v = precision.run("back_view_unet", self.unet, latents, step, control, settings.control)
            before = step - TIMESTEPS // settings.schedule
            now, then = shares[step], shares[before] if before >= 0 else torch.tensor(1.0)
            clean = now.sqrt() * latents - (1 - now).sqrt() * v
            noise = now.sqrt() * v + (1 - now).sqrt() * latents
            latents = then.sqrt() * clean + (1 - then).sqrt() * noise
        return latents
