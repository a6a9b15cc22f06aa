"""Stage 05: the coarse view from behind, where wanted refined by image-to-image diffusion (section 3.4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pipeline.stage import Stage, StageConfig

if TYPE_CHECKING:
    import torch

    from models.back_view.refiner import DiffusionRefiner, Settings
    from pipeline.types import Gaussians, View

HUB_STRENGTH = 0.2  # the paper's
EMBEDDED_STRENGTH, EMBEDDED_NOISE, EMBEDDED_AMOUNT = 0.1, 0.25, 0.5  # measured: sharper, and no worse against the truth


class BackViewConfig(StageConfig):
    """Settings of `back_view`."""

    enabled: bool = Field(True, description="false: the coarse view goes on as it is, whatever the provider (an ablation)")
    provider: Literal["none", "embedded", "hub"] = Field(
        "none",
        description="none: the coarse view goes on as it is; embedded: our small diffusion model, which you train first "
        "(docs/training.md); hub: Stable Diffusion 1.5 + ControlNet tile",
    )
    strength: float = Field(-1.0, le=1, description="share of the noise schedule; -1: 0.2 for hub, 0.1 for embedded")
    steps: int = Field(
        10, ge=1, description="steps of the whole schedule, of which strength x steps, at least one, are run; the paper's code has 100"
    )
    guidance: float = Field(5.0, ge=1, description="classifier-free guidance of the hub model")
    control: float = Field(1.0, ge=0, description="weight of the ControlNet")
    seed: int = Field(22, description="of the noise")
    keep_detail: bool = Field(True, description="add only what the diffusion changed to the coarse picture, so that the VAE loses nothing")
    noise: float = Field(-1.0, description="amplitude of the noise against the schedule's; -1: 1 for hub, 0.25 for embedded")
    amount: float = Field(-1.0, description="share of the change that is added, with keep_detail; -1: 1 for hub, 0.5 for embedded")
    keep_color: bool = Field(True, description="leave slow changes of colour out, with keep_detail")
    margin: int = Field(4, ge=0, description="pixels (at 512) by which the outline may grow")
    size: int = Field(512, ge=64, le=1024, description="pixels of the pictures")
    base: str = Field("stable-diffusion-v1-5/stable-diffusion-v1-5", description="hub: local folder or hub id of Stable Diffusion 1.5")
    controlnet: str = Field("lllyasviel/control_v11f1e_sd15_tile", description="hub: local folder or hub id of ControlNet tile")
    vae_weights: str = Field("back_view_vae", description="embedded: weight of the VAE, or a file")
    unet_weights: str = Field("back_view_unet", description="embedded: weight of the UNet, or a file")
    controlnet_weights: str = Field("back_view_controlnet", description="embedded: weight of the ControlNet, or a file")


class BackView(Stage[BackViewConfig]):
    """Show the person from behind, refined where wanted; `NAME.back.png` beside the photo takes its place."""

    name, version = "back_view", 2
    needs = {"gaussians": "refine.gaussians", "given": "photo.back"}
    accepts = {"refined": "back"}
    makes = {"coarse": "Image", "refined": "Image", "view": "View"}
    device = "gpu"
    Config = BackViewConfig

    def weights(self) -> tuple[str, ...]:
        """The embedded networks', or those folders of the hub model that are on this machine."""
        c = self.config
        if not self.refines:
            return ()
        if c.provider == "embedded":
            return (c.vae_weights, c.unet_weights, c.controlnet_weights)
        return tuple(source for source in (c.base, c.controlnet) if Path(source).expanduser().is_dir())

    @property
    def refines(self) -> bool:
        """Whether a diffusion model goes over the coarse view."""
        return self.config.enabled and self.config.provider != "none"

    def run(self, *, device: torch.device, gaussians: Gaussians, given: bytes | None) -> dict[str, Any]:
        """The coarse view, the one that goes on over white, and it with mask and camera."""
        from dataclasses import replace

        import torch

        from models.back_view.outline import within_outline
        from models.hgm.rendering import back_view

        config = self.config
        coarse = back_view(gaussians.to(device), config.size)
        if given is not None:
            view = given_view(given, coarse)
        elif not self.refines:
            view = coarse
        else:
            refined = self._refiner(device)(coarse.image, self.settings())
            image, mask = within_outline(refined, coarse.image, coarse.mask, round(config.margin * config.size / 512))
            # a picture over white cannot be darker than its mask allows
            view = replace(coarse, image=torch.maximum(image, 1 - mask[..., None]), mask=mask)
        return {"coarse": coarse.image, "refined": view.image, "view": view}

    def settings(self) -> Settings:
        """The settings of the refinement."""
        from models.back_view.refiner import Settings

        c = self.config
        hub = c.provider == "hub"
        strength, noise, amount = (HUB_STRENGTH, 1.0, 1.0) if hub else (EMBEDDED_STRENGTH, EMBEDDED_NOISE, EMBEDDED_AMOUNT)
        chosen = [given if given >= 0 else usual for given, usual in ((c.strength, strength), (c.noise, noise), (c.amount, amount))]
        return Settings(chosen[0], c.steps, c.guidance, c.control, c.seed, c.keep_detail, chosen[1], chosen[2], c.keep_color)

    def _refiner(self, device: torch.device) -> DiffusionRefiner:
        from models.back_view.refiner import embedded_refiner, hub_refiner

        c = self.config
        if c.provider == "hub":
            return hub_refiner(c.base, c.controlnet, c.size, device)
        return embedded_refiner(c.vae_weights, c.unet_weights, c.controlnet_weights, device)


def given_view(data: bytes, coarse: View) -> View:
    """The user's own picture from behind on the grid of the coarse one; without alpha, what is not white is the person.

    Raises:
        StageError: the picture is not square.
    """
    import numpy as np
    import torch
    import torch.nn.functional as F

    from pipeline.photo import decode
    from pipeline.stage import StageError
    from pipeline.types import View

    pixels, alpha = decode(data, "the back view beside the photo")
    if pixels.shape[0] != pixels.shape[1]:
        raise StageError(
            f"the back view beside the photo has {pixels.shape[1]} x {pixels.shape[0]} pixels: expected a square picture on the grid of "
            f"05_back_view/coarse.png; draw over that file and save it as NAME.back.png"
        )
    if alpha is None:
        alpha = (pixels.min(-1) < 0.97).astype(np.float32)
    pixels = pixels * alpha[..., None] + 1 - alpha[..., None]
    stacked = torch.from_numpy(np.concatenate([pixels, alpha[..., None]], -1)).float().permute(2, 0, 1)[None]
    size = coarse.image.shape[0]
    resized = F.interpolate(stacked, (size, size), mode="bilinear", antialias=True, align_corners=False)[0].permute(1, 2, 0).clamp(0, 1)
    return View(resized[..., :3].contiguous(), resized[..., 3].contiguous(), coarse.camera)
