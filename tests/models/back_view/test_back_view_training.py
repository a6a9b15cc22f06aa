"""The training of the back view's networks: patches, losses, three commands."""

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
)

from tests.models.back_view.test_back_view import person
from turnaround.models.back_view.coarse import simulate_coarse
from turnaround.models.back_view.diffusion import networks
from turnaround.models.back_view.diffusion.refiner import (
    Settings,
    embedded_refiner,
)
from turnaround.models.back_view.losses import ControlLoss, Latents, NoiseLoss, vae_loss
from turnaround.models.back_view.patches import Patches, cut_out, read_pictures, sample_patches, split_people
from turnaround.models.back_view.train import main

SETTINGS = Settings(strength=0.5, steps=4, guidance=2.0, seed=1, keep_color=False)


def views_folder(folder, people=3):
    image, mask = person(96)
    for seed in range(people):
        rgb = (image * 255).to(torch.uint8).numpy()[None].repeat(12, 0)
        masks = (mask * 255).to(torch.uint8).numpy()[None].repeat(12, 0)
        np.savez(folder / f"{seed:07d}.npz", rgb=rgb, mask=masks, azimuths=np.arange(12) * 30.0)
    return folder


def test_patches_hold_people_and_people_are_not_shared_between_the_sets(tmp_path):
    train, held = split_people(views_folder(tmp_path), 0.3)
    assert len(train) == 2 and len(held) == 1 and not set(train) & set(held)
    backs, everything = read_pictures(train, True), read_pictures(train, False)
    assert len(backs) == 10 and len(everything) == 24
    patches = sample_patches(backs, 8, (64, 48), np.random.default_rng(0))
    again = sample_patches(backs, 8, (64, 48), np.random.default_rng(0))
    assert torch.equal(patches.image, again.image) and (patches.mask.sum((1, 2, 3)) > 0).all()
    assert (patches.image[(patches.mask == 0).expand_as(patches.image)] == 1).all()
    with pytest.raises(ValueError, match="at least 2"):
        split_people(tmp_path / "none")


def test_coarse_versions_stay_beside_their_pictures(tmp_path):
    views_folder(tmp_path, 2)
    coarse = tmp_path / "coarse"
    coarse.mkdir()
    image = (person(96)[0] * 255).to(torch.uint8).numpy()
    np.save(coarse / "0000001.npy", 255 - (255 - image) // 2)
    pictures = read_pictures(sorted(tmp_path.glob("*.npz")), True, coarse)
    assert len(pictures) == 15 and sum(p.coarse is not None for p in pictures) == 5
    patches = sample_patches(pictures, 16, (64, 48), np.random.default_rng(0))
    assert 0 < patches.paired.sum() < 16
    paired, single = patches.paired, ~patches.paired
    assert torch.allclose(1 - patches.coarse[paired], (1 - patches.image[paired]) / 2, atol=0.01)
    assert torch.equal(patches.coarse[single], patches.image[single])


def test_a_cut_keeps_every_pixel_of_the_person():
    image, mask = (t.numpy() for t in person(96))
    cut = cut_out(image, mask)
    assert cut.mask.sum() == mask.sum() and cut.rgb.shape[:2] == cut.mask.shape


def test_simulated_coarse_views_are_blurrier_and_white_stays_white():
    image = person(96)[0].permute(2, 0, 1)[None]
    coarse = simulate_coarse(image, np.random.default_rng(0))
    assert (
        coarse.shape == image.shape
        and coarse.min() >= 0
        and coarse.max() <= 1
        and (coarse[..., :2] == 1).all()
    )
    steepness = lambda x: (x[..., 1:] - x[..., :-1]).abs().max()  # noqa: E731
    assert steepness(coarse) < steepness(image) and 0 < (coarse - image).abs().mean() < 0.2


class NoControl(torch.nn.Module):
    def forward(self, noised, t, prompt, controlnet_cond, return_dict):
        return [], None


def test_a_perfect_restoration_has_no_loss():
    """The v that leads to the truth from wherever the noise was added is what ControlLoss asks for."""
    true, start = torch.randn(2, networks.LATENTS, 8, 8), torch.randn(2, networks.LATENTS, 8, 8)
    loss = ControlLoss(networks.build_unet())

    def oracle(noised, t, _prompt, **_residuals):
        signal, noise = loss.coefficients(t)
        return type("Output", (), {"sample": (signal * noised - true) / noise})

    loss.unet = oracle
    value, parts = loss(NoControl(), Latents(true, start, torch.rand(2, 3, 32, 32), torch.ones(2, 1, 8, 8)))
    assert value < 1e-6 and parts["coarse"] == pytest.approx(((true - start) ** 2).mean().item(), rel=1e-4)


def test_the_losses_reach_every_trained_tensor():
    torch.manual_seed(0)
    image, mask = person(32)
    images = image.permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
    patches = Patches(images, mask[None, None].repeat(2, 1, 1, 1), images, torch.tensor([False, False]))
    vae, unet = networks.build_vae(), networks.build_unet()
    vae_loss(vae, patches)[0].backward()
    latents = Latents(
        torch.randn(2, networks.LATENTS, 8, 8),
        torch.randn(2, networks.LATENTS, 8, 8),
        patches.image,
        torch.ones(2, 1, 8, 8),
    )
    NoiseLoss()(unet, latents)[0].backward()
    for network in (vae, unet):
        missing = [n for n, p in network.named_parameters() if p.grad is None]
        assert not missing, missing
    unet.requires_grad_(False)
    controlnet = networks.build_controlnet(unet).requires_grad_(True)
    ControlLoss(unet)(controlnet, latents)[0].backward()
    assert all(
        p.grad is not None
        for n, p in controlnet.named_parameters()
        if "controlnet_" in n and "embedding" not in n
    )


def test_three_commands_train_three_networks_that_refine(tmp_path):
    data = str(views_folder(tmp_path))
    files = {name: str(tmp_path / f"{name}.safetensors") for name in ("vae", "unet", "controlnet")}
    for name, file in files.items():
        extra = {
            "vae": [],
            "unet": ["--vae", files["vae"]],
            "controlnet": ["--vae", files["vae"], "--unet", files["unet"]],
        }[name]
        main(
            [
                name,
                "--data",
                data,
                "--out",
                str(tmp_path / name),
                "--steps",
                "1",
                "--batch",
                "1",
                "--save",
                file,
                *extra,
            ]
        )
    vae = networks.load(AutoencoderKL, files["vae"])
    patches = sample_patches(
        read_pictures(split_people(tmp_path)[0], True), 4, (128, 96), np.random.default_rng(0)
    )
    assert 0.3 < networks.encode(vae, patches.image).std() < 3  # the scaling factor was measured
    image, _ = person()
    assert torch.isfinite(
        embedded_refiner(files["vae"], files["unet"], files["controlnet"])(image, SETTINGS)
    ).all()
