"""Train the back view's networks: `python -m turnaround.models.back_view.train vae|unet|controlnet --data
VIEWS --out FOLDER`.

In this order: the UNet learns on the VAE's latents, the ControlNet on both, which stay fixed (HGM, appendix).
With `--base` the ControlNet is trained for Stable Diffusion 1.5 instead, as the paper does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models import zoo
from turnaround.models.back_view.coarse import simulate_coarse
from turnaround.models.back_view.diffusion import networks
from turnaround.models.back_view.diffusion.base import LatentBase, embedded_base, hub_base, hub_controlnet
from turnaround.models.back_view.losses import ControlLoss, Latents, NoiseLoss, vae_loss
from turnaround.models.back_view.patches import Patches, Picture, read_pictures, sample_patches
from turnaround.models.metrics.image import decibel
from turnaround.models.training.log import Pictures, sheet
from turnaround.models.training.loop import (
    Batches,
    LossFn,
    Samples,
    Trainer,
    Validate,
    add_arguments,
    config_from,
    device_of,
    moved,
)
from turnaround.models.training.people import split_people
from turnaround.models.training.settings import Flags, parse
from turnaround.pipeline.errors import CallError

PATCH = {"vae": (96, 64), "unet": (128, 96), "controlnet": (128, 96)}  # pixels (h, w)
DEFAULTS = {
    "vae": {"batch": 6, "lr": 2e-3},
    "unet": {"batch": 12, "lr": 1.5e-3},
    "controlnet": {"batch": 12, "lr": 1e-3},
}
GOALS = {"vae": ("psnr_person", "max"), "unet": ("v", "min"), "controlnet": ("clean", "min")}
SCALE_PATCHES = 64  # patches that measure the latents' standard deviation
SHOWN_AT = 200  # timestep that the sample pictures of the denoisers start from


@dataclass(frozen=True)
class Pair:
    """True patches, and their coarse versions for a ControlNet."""

    patches: Patches
    control: Float[Tensor, "b 3 h w"] | None


def pair_batches(
    pictures: list[Picture], count: int, size: tuple[int, int], coarse: bool
) -> Callable[[int, np.random.Generator], Pair]:
    """True patches; with `coarse` also the coarse model's renders of them, simulated where there are none."""

    def batch(_step: int, rng: np.random.Generator) -> Pair:
        patches = sample_patches(pictures, count, size, rng)
        if not coarse:
            return Pair(patches, None)
        return Pair(
            patches,
            torch.where(
                patches.paired[:, None, None, None], patches.coarse, simulate_coarse(patches.image, rng)
            ),
        )

    return batch


@torch.no_grad()
def to_latents(base: LatentBase, pair: Pair) -> Latents:
    """Encode a batch on its device; under autocast in its precision."""
    true = networks.encode(base.vae, pair.patches.image).float()
    start = true if pair.control is None else networks.encode(base.vae, pair.control).float()
    return Latents(true, start, pair.control, F.avg_pool2d(pair.patches.weight, base.factor))


def on_latents(base: LatentBase, loss: Callable) -> LossFn:
    """A loss of `Latents` as one of `Pair`."""
    return lambda model, pair: loss(model, to_latents(base, pair))


def validate_vae(pictures: list[Picture]) -> Validate:
    """PSNR of reconstruction on the person, held-out people."""
    patches = sample_patches(pictures, 16, (176, 112), np.random.default_rng(7))

    def validate(vae: nn.Module, _step: int) -> dict[str, float]:
        batch = moved(patches, device_of(vae))
        found = networks.decode(vae, networks.encode(vae, batch.image)).clamp(0, 1)  # type: ignore[arg-type]
        error = (((found - batch.image) ** 2).mean(1, keepdim=True) * batch.mask).sum() / batch.mask.sum()
        return {"psnr_person": decibel(error).item()}

    return validate


def validate_loss(loss: LossFn, batches: Batches, count: int = 4) -> Validate:
    """The loss on fixed batches of held-out people."""

    def validate(model: nn.Module, _step: int) -> dict[str, float]:
        values = []
        for k in range(count):
            batch = moved(batches(k, np.random.default_rng((991, k))), device_of(model))
            torch.manual_seed(k)
            values.append(loss(model, batch)[1])
        return {name: float(np.mean([float(v[name]) for v in values])) for name in values[0]}

    return validate


def samples_of(batches: Batches, base: LatentBase | None, loss: NoiseLoss | ControlLoss | None) -> Samples:
    """Fixed patches: the truth, what the network started from, and what it made of it in one step."""

    def samples(model: nn.Module) -> Pictures:
        batch = moved(batches(0, np.random.default_rng(990)), device_of(model))
        if base is None or loss is None:
            found = networks.decode(model, networks.encode(model, batch.image))  # type: ignore[arg-type]
            return {"truth_decoded": sheet([batch.image[:8], found[:8].clamp(0, 1)])}
        latents = to_latents(base, batch)
        t = torch.full((len(latents.true),), SHOWN_AT, device=latents.true.device)
        signal, share = loss.coefficients(t)
        noise = torch.randn(latents.start.shape, generator=torch.Generator().manual_seed(0)).to(latents.start)
        noised = signal * latents.start + share * noise
        if isinstance(loss, ControlLoss):
            clean = loss.clean(noised, loss.predict(model, noised, t, latents.control), t)
        else:
            clean = signal * noised - share * model(noised, t, networks.empty_prompt(len(t), t.device)).sample
        parts = [networks.decode(base.vae, x).clamp(0, 1) for x in (noised, clean)]
        control = [] if batch.control is None else [batch.control]
        return {"truth_control_noised_found": sheet([x[:8] for x in (batch.patches.image, *control, *parts)])}

    return samples


@torch.no_grad()
def latent_scale(vae: AutoencoderKL, pictures: list[Picture]) -> float:
    """One over the standard deviation of the latents on people (latent diffusion's scaling_factor)."""
    patches = sample_patches(pictures, SCALE_PATCHES, PATCH["unet"], np.random.default_rng(3))
    latents: Tensor = vae.encode(patches.image.to(device_of(vae)) * 2 - 1).latent_dist.mode()  # type: ignore[union-attr]
    return 1 / float(latents.std())


def arguments(network: str) -> Flags:
    """The flags of this program for one of its networks."""
    parser = Flags(prog=f"models.back_view.train {network}", description=__doc__)
    add_arguments(parser, bf16=True, steps=20000, validate_every=250, **DEFAULTS[network])
    parser.add_argument("--people", type=int, default=0, help="use only so many people, 0 = all")
    parser.add_argument("--start", type=Path, help="weights to go on from, instead of random ones")
    parser.add_argument(
        "--patch",
        type=int,
        nargs=2,
        default=list(PATCH[network]),
        help="height and width of the training patches, pixels",
    )
    parser.add_argument(
        "--coarse", type=Path, help="folder of coarse back views made by models.back_view.pairs (controlnet)"
    )
    parser.add_argument("--vae", default="back_view_vae", help="weights of the VAE (unet, controlnet)")
    parser.add_argument("--unet", default="back_view_unet", help="weights of the UNet (controlnet)")
    if network == "controlnet":
        parser.add_argument(
            "--objective",
            choices=("restore", "noise"),
            default="restore",
            help="see ControlLoss; the paper's is noise",
        )
        parser.add_argument(
            "--base",
            default="",
            help="Stable Diffusion 1.5, a folder or hub id in diffusers' format, as --save then writes, too; "
            "empty: the embedded base",
        )
        parser.add_argument(
            "--controlnet",
            default="",
            help="with --base: the ControlNet to start from, the paper's is ControlNet tile",
        )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Train one network; `--save` writes its averaged weights as an embedded weight or to a file."""
    given = sys.argv[1:] if argv is None else argv
    if not given or given[0] not in DEFAULTS:
        raise CallError(
            f"expected one of {', '.join(DEFAULTS)} as the first argument, got {given[:1] or 'nothing'}"
        )
    network = given[0]
    options = parse(arguments(network), given[1:], (f"back-view-{network}",))
    config = config_from(options)
    backs_only = network == "controlnet"
    train_files, held_files = split_people(options.data, limit=options.people)
    train, held = (
        read_pictures(files, backs_only, options.coarse if backs_only else None)
        for files in (train_files, held_files)
    )
    torch.manual_seed(config.seed)
    base, model = _networks(network, options)
    trainer = Trainer(model, config)
    base = None if base is None else base.to(trainer.device)
    loss, batches, validate, samples = _task(network, options, base, train, held)
    ema = trainer.run(batches, loss, validate, samples=samples, goal=GOALS[network])  # type: ignore[arg-type]
    if trainer.parallel.first:
        ema.load_state_dict(trainer.kept_state(best=options.save_best))
        _save(network, options, ema, train, {"steps": str(trainer.step)}, lambda: validate(ema, trainer.step))
    trainer.parallel.close()


def _networks(network: str, options: argparse.Namespace) -> tuple[LatentBase | None, nn.Module]:
    """The frozen base, if there is one, and the network to train."""
    if network == "vae":
        base, model = None, networks.build_vae()
    elif network == "unet":  # the base's own UNet is not used
        model = networks.build_unet()
        vae = networks.load(AutoencoderKL, options.vae)
        scheduler = networks.build_scheduler()
        base = LatentBase(
            vae,
            model,
            networks.empty_prompt(1),
            scheduler.alphas_cumprod,
            "v_prediction",
            networks.LATENT_FACTOR,
        )
    elif options.base:
        base = hub_base(options.base)
        model = hub_controlnet(options.controlnet, base)
    else:
        base = embedded_base(options.vae, options.unet)
        model = networks.build_controlnet(base.unet)
    if options.start:
        model.load_state_dict(zoo.load_state(options.start)[0])
    return base, model.train().requires_grad_(True)


def _task(
    network: str,
    options: argparse.Namespace,
    base: LatentBase | None,
    train: list[Picture],
    held: list[Picture],
) -> tuple[LossFn, Batches, Validate, Samples]:
    """Loss, batches, validation and sample pictures."""
    count, size = options.batch, tuple(options.patch)
    if base is None:
        batches, checks = (
            lambda _step, rng, part=part: sample_patches(part, count, size, rng) for part in (train, held)
        )
        return vae_loss, batches, validate_vae(held), samples_of(checks, None, None)
    batches, checks = (pair_batches(part, count, size, network == "controlnet") for part in (train, held))
    inner = NoiseLoss() if network == "unet" else ControlLoss(base.unet, base, options.objective)
    loss = on_latents(base, inner)
    return loss, batches, validate_loss(loss, checks), samples_of(checks, base, inner)


def _save(
    network: str,
    options: argparse.Namespace,
    ema: nn.Module,
    train: list[Picture],
    notes: dict[str, str],
    scores: Callable[[], dict[str, float]],
) -> None:
    if not options.save:
        return
    if network == "vae":
        ema.register_to_config(scaling_factor=latent_scale(ema, train))  # type: ignore[operator,arg-type]
    if network == "controlnet" and options.base:
        ema.save_pretrained(options.save)  # type: ignore[operator]
        return
    with torch.no_grad():
        measured = {name: f"{value:.5f}" for name, value in scores().items()}
    networks.save(options.save, ema, **notes, **measured)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
