"""The embedded latent diffusion model: a small AutoencoderKL, UNet2DConditionModel and ControlNetModel of
diffusers.

The same classes as Stable Diffusion 1.5 with ControlNet tile (HGM, section 3.4), sized for a CPU: latents are
4x smaller than the picture, and a single zero token stands where the prompt's embedding would be.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from jaxtyping import Float
from torch import Tensor

from turnaround.models import zoo
from turnaround.pipeline.errors import CallError

PROMPT_WIDTH = 32  # channels of the empty prompt
LATENT_FACTOR = 4  # picture pixels a latent pixel
LATENTS = 8  # channels of the latents; with 4, as in SD 1.5, so small a VAE keeps shading and loses hues
SIZE_MULTIPLE = 16  # picture sizes that the VAE and the three levels of the UNet divide

VAE_CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": LATENTS,
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "block_out_channels": (24, 48, 96),
    "mid_block_add_attention": False,
    "scaling_factor": 1.0,
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
}

UNET_CONFIG = {
    "in_channels": LATENTS,
    "out_channels": LATENTS,
    "layers_per_block": 1,
    "norm_num_groups": 16,
    "block_out_channels": (64, 96, 160),
    "cross_attention_dim": PROMPT_WIDTH,
    "attention_head_dim": 4,
    "sample_size": 64,
    "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
}

CONDITIONING_CHANNELS = (
    16,
    32,
    64,
)  # two strides of 2: the control picture comes down to the size of the latents

AnyModel = TypeVar("AnyModel", bound=ModelMixin)


def build_vae() -> AutoencoderKL:
    """An untrained VAE, 3 x h x w in [-1, 1] <-> 8 x h/4 x w/4.

    Its residual branches begin at zero, so that it begins nearly linear, and its posterior begins narrow:
    with the usual start a VAE of this size stays grey for thousands of steps.
    """
    vae = AutoencoderKL(**VAE_CONFIG)
    for module in vae.modules():
        if isinstance(module, ResnetBlock2D):
            torch.nn.init.zeros_(module.conv2.weight)
            torch.nn.init.zeros_(module.conv2.bias)  # type: ignore[arg-type]
    with torch.no_grad():
        vae.quant_conv.bias[LATENTS:] = -6.0  # type: ignore[index,union-attr]
        # half of the first features see hue alone, and loud: hue varies ten times less than brightness, and
        # features
        # in which it is that faint are learned a hundred times more slowly
        hue = vae.encoder.conv_in.weight[: VAE_CONFIG["block_out_channels"][0] // 2]
        hue.sub_(hue.mean(1, keepdim=True)).mul_(8.0)
    return vae


def build_unet() -> UNet2DConditionModel:
    """An untrained denoiser of latents; predicts v."""
    return UNet2DConditionModel(**UNET_CONFIG)


def build_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet that starts as the encoder of `unet`; its zero convolutions change nothing yet."""
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=CONDITIONING_CHANNELS)


def build_scheduler() -> DDIMScheduler:
    """Deterministic DDIM on Stable Diffusion's noise schedule, for v-prediction."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
        prediction_type="v_prediction",
    )


def empty_prompt(batch: int, device: torch.device | str = "cpu") -> Float[Tensor, "b 1 w"]:
    """The prompt embedding of the embedded model: one token of zeros."""
    return torch.zeros(batch, 1, PROMPT_WIDTH, device=device)


def save(name_or_path: str | Path, model: ModelMixin, **notes: str) -> Path:
    """Write a network with its diffusers configuration in the file's metadata."""
    config = {key: value for key, value in model.config.items() if not key.startswith("_")}
    return zoo.save_state(name_or_path, model.state_dict(), {"config": json.dumps(config), **notes})


def load(kind: type[AnyModel], name_or_path: str | Path, device: torch.device | str = "cpu") -> AnyModel:
    """Read a network that `save` wrote, ready for inference; every tensor must be there."""
    state, metadata = zoo.load_state(name_or_path)
    if "config" not in metadata:
        raise CallError(
            f"weight {name_or_path} has no diffusers configuration; write it with "
            f"models.back_view.diffusion.networks.save"
        )
    model = kind.from_config(json.loads(metadata["config"]))  # type: ignore[attr-defined]
    model.load_state_dict(state)
    return model.to(device).eval().requires_grad_(False)  # type: ignore[return-value]


def encode(vae: AutoencoderKL, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hl wl"]:
    """Scaled latents (the posterior's mode) of pictures in [0, 1]."""
    return vae.encode(image * 2 - 1).latent_dist.mode() * vae.config.scaling_factor  # type: ignore[union-attr]


def decode(vae: AutoencoderKL, latents: Float[Tensor, "b c hl wl"]) -> Float[Tensor, "b 3 h w"]:
    """Pictures of scaled latents, not clipped to [0, 1]."""
    return vae.decode(latents / vae.config.scaling_factor).sample * 0.5 + 0.5  # type: ignore[union-attr]
