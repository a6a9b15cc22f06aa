"""The frozen diffusion model that a ControlNet is trained for: the embedded one, or Stable Diffusion 1.5
(HGM, appendix)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from jaxtyping import Float
from torch import Tensor

from turnaround.models.back_view.diffusion import networks
from turnaround.pipeline.errors import MissingFile

PROMPT = "Best quality"  # of the paper


@dataclass
class LatentBase:
    """What turns pictures into latents and denoises them; all of it fixed."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    prompt: Float[Tensor, "1 n w"]  # embedding of the one prompt that everything is trained with
    alphas: Float[Tensor, " t"]  # cumulative signal shares of the noise schedule
    predicts: str  # "v_prediction" or "epsilon"
    factor: int  # picture pixels a latent pixel

    def to(self, device: torch.device | str) -> LatentBase:
        """The same, with everything on `device`; the networks are moved in place."""
        vae, unet = self.vae.to(device), self.unet.to(device)  # type: ignore[arg-type]
        return LatentBase(
            vae, unet, self.prompt.to(device), self.alphas.to(device), self.predicts, self.factor
        )

    def prompts(self, batch: int) -> Float[Tensor, "b n w"]:
        """The prompt for every picture of a batch."""
        return self.prompt.expand(batch, -1, -1)


def embedded_base(vae: str, unet: str) -> LatentBase:
    """Our small networks, weights by name or file."""
    scheduler = networks.build_scheduler()
    loaded = networks.load(AutoencoderKL, vae), networks.load(UNet2DConditionModel, unet)
    return LatentBase(
        *loaded, networks.empty_prompt(1), scheduler.alphas_cumprod, "v_prediction", networks.LATENT_FACTOR
    )


def hub_base(source: str) -> LatentBase:
    """Stable Diffusion 1.5 in diffusers' format, a local folder or a hub id, with the paper's prompt.

    Raises FileNotFoundError where a part of it cannot be read; says which.
    """
    from transformers import CLIPTextModel, CLIPTokenizer

    vae, unet = (
        _part(kind, source, name) for kind, name in ((AutoencoderKL, "vae"), (UNet2DConditionModel, "unet"))
    )
    scheduler = _part(DDIMScheduler, source, "scheduler")
    tokenizer, text = (
        _part(CLIPTokenizer, source, "tokenizer"),
        _part(CLIPTextModel, source, "text_encoder").eval(),
    )
    words = tokenizer(
        PROMPT,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        prompt = text(words.input_ids).last_hidden_state.float()
    for network in (vae, unet):
        network.eval().requires_grad_(False)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    return LatentBase(vae, unet, prompt, scheduler.alphas_cumprod, scheduler.config.prediction_type, factor)


def hub_controlnet(source: str, base: LatentBase) -> ControlNetModel:
    """The ControlNet to go on from (the paper: ControlNet tile), or a new one for the base where `source` is
    empty."""
    return _part(ControlNetModel, source, None) if source else ControlNetModel.from_unet(base.unet)


def _part(kind: type, source: str, folder: str | None):
    found = str(Path(source).expanduser()) if Path(source).expanduser().exists() else source
    try:
        return kind.from_pretrained(found, subfolder=folder) if folder else kind.from_pretrained(found)  # type: ignore[attr-defined]
    except (OSError, ValueError) as error:
        what = f"{source!r}" + (f" (its {folder})" if folder else "")
        reason = (str(error).splitlines() or [""])[0]
        raise MissingFile(
            f"{what} cannot be read as diffusers' {kind.__name__}: {reason} Give a local folder or a hub id"
        ) from error
