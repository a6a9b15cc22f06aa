"""The shipped networks with the inputs that one photo gives them: what benchmarks time and tests compare.

The inputs are recorded while a demo photo goes through the functions that the stages call, so shapes and
values are the pipeline's. The diffusion of back views does not ship: its networks are random ones of the same
form, on the same photo's coarse back view.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from turnaround.models import precision, zoo
from turnaround.models.back_view.diffusion.refiner import embedded_refiner
from turnaround.models.back_view.settings import EmbeddedDiffusionSettings, Settings
from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.kinematics import Skeleton
from turnaround.models.estimator.model import BodyEstimator
from turnaround.models.estimator.predict import load_estimator
from turnaround.models.hgm.rendering import back_view
from turnaround.models.hgm.unet import UNet, UNetConfig
from turnaround.models.hgm.weights import load_hgm, read_hgm
from turnaround.models.matting.model import MattingNetwork
from turnaround.models.normals.network import NormalNetwork, load_normals, normal_model
from turnaround.pipeline.values.crop import networks_copy
from turnaround.pipeline.values.types import Body, Gaussians, View
from turnaround.stages.estimate import Estimate, EstimateConfig
from turnaround.stages.prepare import Prepare, PrepareConfig

PHOTO = Path(__file__).resolve().parent.parent / "docs" / "demo" / "person_40004.jpg"


@dataclass(frozen=True)
class Case:
    """A network as it ships, and inputs of it."""

    network: Callable[..., Any]
    inputs: tuple[Any, ...]
    plain: Callable[..., Any] | None = (
        None  # as it was trained: normalisation apart, channels first; diffusers for the back view
    )

    @torch.no_grad()
    def run(self, variant: str) -> Any:
        """The outputs as "plain", "fp32" (what ships), or "bf16"."""
        network = (self.plain or self.network) if variant == "plain" else self.network
        device = next((x.device for x in self.inputs if isinstance(x, torch.Tensor)), torch.device("cpu"))
        with torch.autocast(device.type, torch.bfloat16, enabled=variant == "bf16"):
            return network(*self.inputs)

    def to(self, device: torch.device | str) -> Case:
        """A network that is a module, and inputs that are tensors and numbers, on a device."""
        assert isinstance(self.network, nn.Module)
        return Case(
            self.network.to(device),
            tuple(x.to(device) if isinstance(x, torch.Tensor) else x for x in self.inputs),
        )


@dataclass(frozen=True)
class Person:
    """One photo's way to its Gaussians."""

    view: View
    body: Body
    normals: torch.Tensor
    coarse: Gaussians
    back: View
    fused: Gaussians


@contextmanager
def number_format(kind: str) -> Iterator[None]:
    """Every network in "fp32" or "bf16" within the block."""
    with patch.dict(os.environ, {precision.VARIABLE: kind}):
        yield


def person(photo: Path = PHOTO, device: torch.device | str = "cpu") -> Person:
    """The photo through the functions that the stages call, networks on `device`, but for the refinement of
    the body; on the CPU."""
    on = torch.device(device)
    prepared = Prepare(PrepareConfig.model_validate({})).run(device=on, image=photo.read_bytes(), mask=None)
    close, model = prepared.view.to("cpu"), BodyModel.shared()
    view = networks_copy(close)
    estimated = Estimate(EstimateConfig.model_validate({})).run(
        device=on, view=close, landmarks=prepared.landmarks, given=None
    )
    body = estimated.body.to("cpu")
    normals = normal_model(load_normals(device=device), view.to(device), model)(body).cpu()
    coarse = load_hgm("hgm_coarse", device=device).reconstruct([view], body).merged.to("cpu")
    back = back_view(coarse, 512)
    fused = load_hgm("hgm_fusion", device=device).reconstruct([view, back], body).merged.to("cpu")
    return Person(view, body, normals, coarse, back, fused)


def back_view_settings() -> Settings:
    """Those of the embedded diffusion."""
    return EmbeddedDiffusionSettings()


def random_diffusion(folder: Path) -> tuple[str, str, str]:
    """Write VAE, UNet and ControlNet of the embedded form, nothing in them zero, as files below `folder`."""
    from turnaround.models.back_view.diffusion import networks

    torch.manual_seed(0)
    unet = networks.build_unet()
    built = {"vae": networks.build_vae(), "unet": unet, "controlnet": networks.build_controlnet(unet)}
    for network in built.values():
        for parameter in network.parameters():  # what begins at zero would hide a mistake behind it
            if not parameter.any():
                nn.init.normal_(parameter, std=0.02)
    vae, unet_file, controlnet = (
        str(networks.save(folder / f"{name}.safetensors", network)) for name, network in built.items()
    )
    return vae, unet_file, controlnet


def diffusion(
    files: tuple[str, str, str],
    picture: torch.Tensor,
    *,
    plain: bool = True,
    device: torch.device | str = "cpu",
) -> dict[str, Case]:
    """The networks that refine a back view, read from these files, by the name that `precision.run` knows
    them by."""
    refiner = embedded_refiner(*files, device)
    with _recording() as cases:
        refiner(picture, back_view_settings())
    return _with_twins(cases, _diffusers_twins(*files) if plain else {})


def shipped(photo: Path = PHOTO, *, plain: bool = True) -> dict[str, Case]:
    """Every network that the default preset runs, by the name that `precision.run` knows it by; `plain`: with
    its slow twin."""
    return recorded(photo, plain=plain)[1]


def recorded(
    photo: Path = PHOTO, *, plain: bool = True, device: torch.device | str = "cpu"
) -> tuple[Person, dict[str, Case]]:
    """What the networks made of the photo, and `shipped`."""
    estimator = load_estimator(device=device)
    with _recording() as cases:
        hook = estimator.register_forward_pre_hook(
            lambda network, inputs: cases.update(estimator=Case(network, inputs))
        )
        made = person(photo, device)
    hook.remove()
    return made, _with_twins(cases, _twins() if plain else {})


@contextmanager
def _recording() -> Iterator[dict[str, Case]]:
    """Every network that goes through `precision.run` within the block, with its last inputs."""
    cases: dict[str, Case] = {}

    def record(name: str, network: Callable[..., Any], *inputs: Any) -> Any:
        cases[name] = Case(network, inputs)
        return network(*inputs)

    with patch.object(precision, "run", record):
        yield cases


def _with_twins(cases: dict[str, Case], twins: dict[str, Callable[..., Any]]) -> dict[str, Case]:
    return {name: Case(case.network, case.inputs, twins.get(name)) for name, case in cases.items()}


def _twins() -> dict[str, Callable[..., Any]]:
    """The networks as training leaves them."""
    model = BodyModel.shared()
    read = {"matting": MattingNetwork(), "normals": NormalNetwork()}
    read["estimator"] = BodyEstimator(Skeleton(model.joint_template, model.joint_shapedirs))
    for name, network in read.items():
        network.load_state_dict(zoo.load_state(name)[0])
    coarse, fusion = (read_hgm(name, body_model=model) for name in ("hgm_coarse", "hgm_fusion"))
    parts: dict[str, nn.Module] = {
        **read,
        "hgm_unet_1": coarse.image_branch.unet,
        "hgm_unet_2": fusion.image_branch.unet,
    }
    return {name: network.eval() for name, network in parts.items()}


def _diffusers_twins(vae_file: str, unet_file: str, controlnet_file: str) -> dict[str, Callable[..., Any]]:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from turnaround.models.back_view.diffusion import networks

    vae = networks.load(AutoencoderKL, vae_file)
    unet, controlnet = (
        networks.load(UNet2DConditionModel, unet_file),
        networks.load(ControlNetModel, controlnet_file),
    )
    prompt = networks.empty_prompt(1)

    def control(latents: torch.Tensor, step: int, picture: torch.Tensor) -> Any:
        down, middle = controlnet(
            latents, torch.tensor([step]), prompt, controlnet_cond=picture, return_dict=False
        )
        return middle, list(down)

    def denoise(latents: torch.Tensor, step: int, added: Any, weight: float) -> torch.Tensor:
        down, middle = [weight * x for x in added[1]], weight * added[0]
        return unet(
            latents,
            torch.tensor([step]),
            prompt,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample

    def posterior(image: torch.Tensor) -> Any:
        found, scale = vae.encode(image * 2 - 1).latent_dist, vae.config.scaling_factor  # type: ignore[union-attr]
        return found.mean * scale, found.std * scale

    return {
        "back_view_encoder": posterior,
        "back_view_decoder": lambda latents: networks.decode(vae, latents),
        "back_view_controlnet": control,
        "back_view_unet": denoise,
    }


def paper_unet(size: int = 256, views: int = 1) -> Case:
    """The image branch at the paper's size with random weights, channels last, and the same with channels
    first."""
    torch.manual_seed(0)
    plain = UNet(UNetConfig()).eval().requires_grad_(False)
    with torch.device("meta"):
        network = UNet(UNetConfig())
    layout = torch.channels_last
    state = {
        key: value.contiguous(memory_format=layout) if value.ndim == 4 else value
        for key, value in plain.state_dict().items()
    }
    network.load_state_dict(state, assign=True)
    inputs = torch.randn(views, 9, size, size)
    return Case(network.eval().requires_grad_(False), (inputs.contiguous(memory_format=layout), views), plain)
