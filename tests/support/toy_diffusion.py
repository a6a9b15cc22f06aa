"""Stable Diffusion and its ControlNet with small random weights, in the files of the real ones."""

import json

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionControlNetImg2ImgPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from turnaround.models.back_view.diffusion.refiner import (
    Settings,
)

SETTINGS = Settings(strength=0.5, steps=4, guidance=2.0, seed=1, keep_color=False)


def save_tiny_stable_diffusion(folder):
    """Random networks with SD 1.5's classes and wiring (4 latent channels, CLIP text encoder and tokenizer),
    a few kilobytes each."""
    torch.manual_seed(0)
    words = [
        "<|startoftext|>",
        "<|endoftext|>",
        *"abcdefghijklmnopqrstuvwxyz,",
        *(c + "</w>" for c in "abcdefghijklmnopqrstuvwxyz,"),
    ]
    (folder / "words").mkdir(parents=True)
    (folder / "words/vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "words/merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "words", model_max_length=77)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            eos_token_id=1,
        )
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8,) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8, 8, 8))
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    StableDiffusionControlNetImg2ImgPipeline(
        vae,
        text,
        tokenizer,
        unet,
        controlnet,
        scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder / "base")
    controlnet.save_pretrained(folder / "tile")
    return str(folder / "base"), str(folder / "tile")
