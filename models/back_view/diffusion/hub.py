"""Stable Diffusion 1.5 with ControlNet tile as the diffusion model of the back view, from local folders or
the hub (HGM, appendix)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.pipelines.controlnet.pipeline_controlnet_img2img import (
    StableDiffusionControlNetImg2ImgPipeline,
)
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models import hub_source, precision
from turnaround.models.back_view.diffusion import networks
from turnaround.models.back_view.settings import Settings
from turnaround.pipeline.errors import MissingFile

PROMPT = "Best quality"  # of the paper
NEGATIVE_PROMPT = "blur, bad anatomy, bad hands, cropped, worst quality"  # of the paper


@dataclass(frozen=True)
class HubDiffusion:
    """A diffusers pipeline, the size that it works at, and the multiple of pixels that its networks
    divide."""

    pipeline: StableDiffusionControlNetImg2ImgPipeline
    size: int
    multiple: int

    @classmethod
    def load(cls, base: str, controlnet: str, size: int, device: torch.device | str = "cpu") -> HubDiffusion:
        """From diffusers' folders or hub ids; its networks run in the format that `models.precision` finds
        best.

        Raises:
            FileNotFoundError: one of the two cannot be read; says which, and what to give instead.
        """
        dtype = torch.float32  # of latents and noise, so that a seed means the same noise everywhere
        control = _pretrained(ControlNetModel, controlnet, "stages.back_view.refiner.controlnet", dtype=dtype)
        pipeline = _pretrained(
            StableDiffusionControlNetImg2ImgPipeline,
            base,
            "stages.back_view.refiner.base",
            controlnet=control,
            dtype=dtype,
            safety_checker=None,
            requires_safety_checker=False,
        )
        for name in ("unet", "controlnet"):
            _quicken(getattr(pipeline, name), f"hub_{name}")
        pipeline.vae.to(memory_format=torch.channels_last)
        pipeline.set_progress_bar_config(disable=True)
        factor = pipeline.vae_scale_factor * 2 ** (len(pipeline.unet.config.block_out_channels) - 1)
        return cls(pipeline.to(device), size, factor)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.pipeline.device

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c k l"]:
        """Latents (the posterior's mode) of pictures in [0, 1]."""
        return precision.run("hub_encoder", _Part(self.pipeline.vae, networks.encode), image)

    def decode(self, latents: Float[Tensor, "b c k l"]) -> Float[Tensor, "b 3 h w"]:
        """Pictures of latents, not clipped to [0, 1]."""
        return precision.run("hub_decoder", _Part(self.pipeline.vae, networks.decode), latents)

    def denoise(
        self, image: Float[Tensor, "1 3 h w"], latents: Float[Tensor, "1 c k l"], settings: Settings
    ) -> Float[Tensor, "1 c k l"]:
        """The picture's latents after `settings.strength` of the schedule was added and taken away under its
        own control."""
        # the CPU's generator, so that a seed means the same noise everywhere
        generator = torch.Generator().manual_seed(settings.seed)
        start: dict[str, Any] = (
            {} if settings.noise == 1 else {"latents": self._noised(latents, settings, generator)}
        )
        found = self.pipeline(
            image=image,
            control_image=image,
            strength=settings.strength,
            num_inference_steps=settings.schedule,
            controlnet_conditioning_scale=settings.control,
            generator=generator,
            output_type="latent",
            prompt=PROMPT,
            negative_prompt=NEGATIVE_PROMPT,
            guidance_scale=settings.guidance,
            **start,
        )
        return found.images  # type: ignore[union-attr]

    def _noised(
        self, latents: Tensor, settings: Settings, generator: torch.Generator
    ) -> Float[Tensor, "1 c k l"]:
        """Latents at the first timestep, with `settings.noise` of the schedule's noise."""
        scheduler = self.pipeline.scheduler
        scheduler.set_timesteps(settings.schedule)
        share = scheduler.alphas_cumprod[
            scheduler.timesteps[-int(settings.strength * settings.schedule)].cpu()
        ].to(latents)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        return share.sqrt() * latents + settings.noise * (1 - share).sqrt() * noise


def _quicken(network: nn.Module, name: str) -> None:
    """Let a network that a pipeline calls run through `precision.run`, with channels last; in place."""
    plain = network.forward
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.forward = lambda *inputs, **options: precision.run(
        name, _Part(network, lambda _, *given: plain(*given, **options)), *inputs
    )


class _Part:
    """A function of a network and of inputs, as one of inputs alone; `__self__` tells whose parameters it
    uses."""

    def __init__(self, network: nn.Module, function: Callable[..., Any]) -> None:
        self.__self__, self.function = network, function

    def __call__(self, *inputs: Any) -> Any:
        return self.function(self.__self__, *inputs)


def _pretrained(kind: type, source: str, setting: str, **options: object):
    try:
        place, revision = hub_source.place_and_revision(source)
        return kind.from_pretrained(place, **options, **({"revision": revision} if revision else {}))
    except (OSError, ValueError, hub_source.UnknownRevision) as error:
        raise MissingFile(
            f"{setting}={source!r} cannot be loaded as a diffusers {kind.__name__}: "
            f"{str(error).splitlines()[0]} "
            f"Give a local folder or a hub id, or use --set stages.back_view.refiner=none"
        ) from error
