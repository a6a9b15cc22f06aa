"""Train the back view's networks: `python -m models.back_view.train vae|unet|controlnet --data VIEWS --out FOLDER`.

In this order: the UNet learns on the VAE's latents, the ControlNet on both, which stay fixed (HGM, appendix).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from models import zoo
from models.back_view import networks
from models.back_view.coarse import simulate_coarse
from models.back_view.losses import ControlLoss, Latents, NoiseLoss, vae_loss
from models.back_view.patches import Picture, read_pictures, sample_patches, split_people
from models.training import Trainer, add_arguments, config_from

PATCH = {"vae": (96, 64), "unet": (128, 96), "controlnet": (128, 96)}  # pixels (h, w)
DEFAULTS = {"vae": {"batch": 6, "lr": 2e-3}, "unet": {"batch": 12, "lr": 1.5e-3}, "controlnet": {"batch": 12, "lr": 1e-3}}
SCALE_PATCHES = 64  # patches that measure the latents' standard deviation


def latent_batches(vae: AutoencoderKL, pictures: list[Picture], count: int, coarse: bool) -> Callable[[int, np.random.Generator], Latents]:
    """Latents of true patches and, for the ControlNet, of their coarse versions."""

    @torch.no_grad()
    def batch(_step: int, rng: np.random.Generator) -> Latents:
        patches = sample_patches(pictures, count, PATCH["unet"], rng)
        control = torch.where(patches.paired[:, None, None, None], patches.coarse, simulate_coarse(patches.image, rng)) if coarse else None
        weight = F.avg_pool2d(patches.weight, networks.LATENT_FACTOR)
        with torch.autocast("cpu", torch.bfloat16):
            true = networks.encode(vae, patches.image).float()
            start = true if control is None else networks.encode(vae, control).float()
        return Latents(true, start, control, weight)

    return batch


def validate_vae(pictures: list[Picture]) -> Callable[[nn.Module, int], dict[str, float]]:
    """PSNR of reconstruction on the person, held-out people."""
    patches = sample_patches(pictures, 16, (176, 112), np.random.default_rng(7))

    def validate(vae: nn.Module, _step: int) -> dict[str, float]:
        found = networks.decode(vae, networks.encode(vae, patches.image)).clamp(0, 1)  # type: ignore[arg-type]
        error = (((found - patches.image) ** 2).mean(1, keepdim=True) * patches.mask).sum() / patches.mask.sum()
        return {"psnr_person": -10 * math.log10(error.item())}

    return validate


def validate_loss(loss: Callable, batches: Callable, count: int = 4) -> Callable[[nn.Module, int], dict[str, float]]:
    """The loss on fixed batches of held-out people."""

    def validate(model: nn.Module, _step: int) -> dict[str, float]:
        values = []
        for k in range(count):
            torch.manual_seed(k)
            values.append(loss(model, batches(k, np.random.default_rng((991, k))))[1])
        return {name: float(np.mean([v[name] for v in values])) for name in values[0]}

    return validate


@torch.no_grad()
def latent_scale(vae: AutoencoderKL, pictures: list[Picture]) -> float:
    """One over the standard deviation of the latents on people (latent diffusion's scaling_factor)."""
    patches = sample_patches(pictures, SCALE_PATCHES, PATCH["unet"], np.random.default_rng(3))
    latents: Tensor = vae.encode(patches.image * 2 - 1).latent_dist.mode()  # type: ignore[union-attr]
    return 1 / float(latents.std())


def main(arguments: list[str] | None = None) -> None:
    """Train one network; `--save` writes its averaged weights as an embedded weight or to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parsers = parser.add_subparsers(dest="network", required=True)
    for network, defaults in DEFAULTS.items():
        sub = add_arguments(parsers.add_parser(network), bf16=True, steps=20000, validate_every=250, **defaults)
        sub.add_argument("--people", type=int, default=0, help="use only so many people, 0 = all")
        sub.add_argument("--save", default="", help="weight name or file to write at the end")
        sub.add_argument("--start", type=Path, help="weights to go on from, instead of random ones")
        sub.add_argument("--coarse", type=Path, help="folder of coarse back views made by models.back_view.pairs (controlnet)")
        sub.add_argument("--vae", default="back_view_vae", help="weights of the VAE (unet, controlnet)")
        sub.add_argument("--unet", default="back_view_unet", help="weights of the UNet (controlnet)")
    options = parser.parse_args(arguments)
    _train(options.network, options)


def _train(network: str, options: argparse.Namespace) -> None:
    config = config_from(options)
    train_files, held_files = split_people(options.data, limit=options.people)
    backs_only = network == "controlnet"
    train, held = (read_pictures(files, backs_only, options.coarse if backs_only else None) for files in (train_files, held_files))
    torch.manual_seed(config.seed)
    if network == "vae":
        model, loss = networks.build_vae(), vae_loss
        batches = lambda _step, rng: sample_patches(train, config.batch, PATCH["vae"], rng)  # noqa: E731
        validate = validate_vae(held)
    else:
        vae = networks.load(AutoencoderKL, options.vae)
        batches, checks = (latent_batches(vae, part, config.batch, backs_only) for part in (train, held))
        if network == "unet":
            model, loss = networks.build_unet(), NoiseLoss()
        else:
            unet = networks.load(UNet2DConditionModel, options.unet)
            model, loss = networks.build_controlnet(unet), ControlLoss(unet)
        validate = validate_loss(loss, checks)
    if options.start:
        model.load_state_dict(zoo.load_state(options.start)[0])
    trainer = Trainer(model, config)
    ema = trainer.run(batches, loss, validate)
    if network == "vae":
        ema.register_to_config(scaling_factor=latent_scale(ema, train))  # type: ignore[operator,arg-type]
    if options.save:
        scores = {name: f"{value:.5f}" for name, value in validate(ema, trainer.step).items()}
        networks.save(options.save, ema, steps=str(trainer.step), **scores)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
