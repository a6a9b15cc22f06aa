"""Refinement of a coarse back view by ControlNet image-to-image (HGM, section 3.4), with the embedded networks or SD 1.5."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.controlnet.pipeline_controlnet_img2img import StableDiffusionControlNetImg2ImgPipeline
from jaxtyping import Float
from torch import Tensor

from models.back_view import networks
from models.back_view.coarse import blur

PROMPT = "Best quality"  # of the paper
COLOR_SCALE = 3 / 256  # of the picture's width: changes slower than this are changes of colour
NEGATIVE_PROMPT = "blur, bad anatomy, bad hands, cropped, worst quality"  # of the paper


@dataclass(frozen=True)
class Settings:
    """How a picture is refined."""

    strength: float  # share of the noise schedule that is added and taken away again; 0: no diffusion
    steps: int  # of the whole schedule; strength * steps are run, but at least one
    guidance: float  # classifier-free guidance, 1 = none
    control: float  # weight of the ControlNet
    seed: int
    keep_detail: bool  # add only what the diffusion changed, so that the VAE's loss does not touch the picture
    noise: float = 1.0  # amplitude of the noise relative to the schedule's; a weak denoiser leaves less of less noise
    amount: float = 1.0  # share of the change that is added, with keep_detail
    keep_color: bool = False  # slow changes of colour are left out, with keep_detail (the colour fix of StableSR)

    @property
    def schedule(self) -> int:
        """Steps of the whole schedule, so many that one at least is run."""
        return max(self.steps, math.ceil(1 / self.strength)) if self.strength > 0 else self.steps


class Refiner(Protocol):
    """Anything that refines a square picture over white."""

    def __call__(self, image: Float[Tensor, "s s 3"], settings: Settings) -> Float[Tensor, "s s 3"]:
        """The refined picture, same size, sRGB in [0, 1]."""
        ...


class DiffusionRefiner:
    """A diffusers pipeline, the size that it works at, and what it is prompted with."""

    def __init__(self, pipeline: StableDiffusionControlNetImg2ImgPipeline, size: int, multiple: int, prompted: bool) -> None:
        self.pipeline, self.size, self.multiple, self.prompted = pipeline, size, multiple, prompted
        pipeline.set_progress_bar_config(disable=True)

    @torch.no_grad()
    def __call__(self, image: Float[Tensor, "s s 3"], settings: Settings) -> Float[Tensor, "s s 3"]:
        """Refine; with `keep_detail` the picture's own resolution is kept, else it becomes that of the model."""
        batch = image.permute(2, 0, 1)[None].to(self.pipeline.device)
        small = F.interpolate(batch, (self.size, self.size), mode="area" if self.size < image.shape[0] else "bicubic").clamp(0, 1)
        top, bottom, left, right = person_box(small[0], self.multiple)
        crop = small[:, :, top:bottom, left:right]
        vae = self.pipeline.vae
        before = networks.encode(vae, crop)
        after = self._denoise(crop, settings) if settings.strength > 0 else before
        whole = torch.zeros_like(small) if settings.keep_detail else small.clone()
        found = networks.decode(vae, after)
        if settings.keep_detail:
            found = settings.amount * (found - networks.decode(vae, before))
            found = without_slow_change(found, crop, COLOR_SCALE * self.size) if settings.keep_color else found
        whole[:, :, top:bottom, left:right] = found
        large = F.interpolate(whole, batch.shape[-2:], mode="bilinear", align_corners=False) if whole.shape != batch.shape else whole
        return (batch + large if settings.keep_detail else large).clamp(0, 1)[0].permute(1, 2, 0).cpu()

    def _denoise(self, image: Float[Tensor, "1 3 h w"], settings: Settings) -> Float[Tensor, "1 c hl wl"]:
        # the CPU's generator, so that a seed means the same noise everywhere
        generator = torch.Generator().manual_seed(settings.seed)
        if self.prompted:
            prompt = {"prompt": PROMPT, "negative_prompt": NEGATIVE_PROMPT, "guidance_scale": settings.guidance}
        else:
            prompt = {"prompt_embeds": networks.empty_prompt(1, image.device), "guidance_scale": 1.0}
        if settings.noise != 1:
            prompt["latents"] = self._start(image, settings, generator)
        return self.pipeline(
            image=image, control_image=image, strength=settings.strength, num_inference_steps=settings.schedule,
            controlnet_conditioning_scale=settings.control, generator=generator, output_type="latent", **prompt,
        ).images  # type: ignore[return-value,union-attr]  # fmt: skip

    def _start(self, image: Float[Tensor, "1 3 h w"], settings: Settings, generator: torch.Generator) -> Float[Tensor, "1 c hl wl"]:
        """The picture's latents at the first timestep, with `settings.noise` of the schedule's noise."""
        scheduler = self.pipeline.scheduler
        scheduler.set_timesteps(settings.schedule)
        share = scheduler.alphas_cumprod[scheduler.timesteps[-int(settings.strength * settings.schedule)].cpu()].to(image)
        latents = networks.encode(self.pipeline.vae, image)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        return share.sqrt() * latents + settings.noise * (1 - share).sqrt() * noise


def without_slow_change(change: Float[Tensor, "1 3 h w"], image: Float[Tensor, "1 3 h w"], sigma: float) -> Float[Tensor, "1 3 h w"]:
    """`change` on the person less its blur of `sigma` pixels, so that colours stay; zero on the white around."""
    person = (image.amin(1, keepdim=True) < 0.97).to(change)
    return (change - blur(change * person, sigma) / blur(person, sigma).clamp(min=0.01)) * person


def person_box(image: Float[Tensor, "3 h w"], multiple: int, margin: int = 8) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what is not white, with a margin, grown to sides that `multiple` divides."""
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


def embedded_refiner(vae: str, unet: str, controlnet: str, device: torch.device | str = "cpu") -> DiffusionRefiner:
    """Our small networks, weights by name or path, at 256 px."""
    pipeline = StableDiffusionControlNetImg2ImgPipeline(
        vae=networks.load(AutoencoderKL, vae), unet=networks.load(UNet2DConditionModel, unet),
        controlnet=networks.load(ControlNetModel, controlnet), text_encoder=None, tokenizer=None,  # type: ignore[arg-type]
        scheduler=networks.build_scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,  # type: ignore[arg-type]
    )  # fmt: skip
    return DiffusionRefiner(pipeline.to(device), 256, networks.SIZE_MULTIPLE, prompted=False)


def hub_refiner(base: str, controlnet: str, size: int = 512, device: torch.device | str = "cpu") -> DiffusionRefiner:
    """Stable Diffusion 1.5 and ControlNet tile in diffusers' format, from local folders or hub ids.

    Raises:
        FileNotFoundError: one of the two cannot be read; says which, and what to give instead.
    """
    dtype = torch.float32
    control = _pretrained(ControlNetModel, controlnet, "stages.back_view.controlnet", dtype=dtype)
    pipeline = _pretrained(
        StableDiffusionControlNetImg2ImgPipeline, base, "stages.back_view.base",
        controlnet=control, dtype=dtype, safety_checker=None, requires_safety_checker=False,
    )  # fmt: skip
    factor = pipeline.vae_scale_factor * 2 ** (len(pipeline.unet.config.block_out_channels) - 1)
    return DiffusionRefiner(pipeline.to(device), size, factor, prompted=True)


def _pretrained(kind: type, source: str, setting: str, **options: object):
    try:
        return kind.from_pretrained(str(Path(source).expanduser()) if Path(source).expanduser().exists() else source, **options)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{setting}={source!r} cannot be loaded as a diffusers {kind.__name__}: {str(error).splitlines()[0]} "
            f"Give a local folder or a hub id, or use --set stages.back_view.provider=embedded"
        ) from error
