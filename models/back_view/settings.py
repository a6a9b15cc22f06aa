"""How the view from behind is made, and which diffusion model refines it."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from turnaround.pipeline.frozen import Frozen, by_kind


class Settings(Frozen):
    """How a picture is refined, whatever the model."""

    strength: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of the noise schedule that is added and taken away again; 0: no diffusion",
    )
    steps: int = Field(
        default=10,
        ge=1,
        description="steps of the whole schedule, of which strength x steps, at least one, are run; the "
        "paper's code has 100",
    )
    guidance: float = Field(
        default=5.0, ge=1, description="classifier-free guidance, 1: none; the embedded model never has any"
    )
    control: float = Field(default=1.0, ge=0, description="weight of the ControlNet")
    seed: int = Field(default=22, description="of the noise")
    keep_detail: bool = Field(
        default=True,
        description="add only what the diffusion changed to the coarse picture, so that the VAE loses "
        "nothing",
    )
    noise: float = Field(
        default=1.0,
        ge=0,
        description="amplitude of the noise against the schedule's; a weak denoiser leaves less of less",
    )
    amount: float = Field(
        default=1.0, ge=0, description="share of the change that is added, with keep_detail"
    )
    keep_color: bool = Field(
        default=True,
        description="leave slow changes of colour out, with keep_detail (the colour fix of StableSR)",
    )

    @property
    def schedule(self) -> int:
        """Steps of the whole schedule, so many that one at least is run."""
        return max(self.steps, math.ceil(1 / self.strength)) if self.strength > 0 else self.steps


class EmbeddedDiffusionSettings(Settings):
    """Our small networks, which are trained first (docs/training.md); measured: sharper, no worse against the
    truth."""

    kind: Literal["auto", "embedded"] = Field(
        default="auto", description="auto: our small networks where their weights are, else no diffusion"
    )
    strength: float = Field(
        default=0.1, ge=0, le=1, description=Settings.model_fields["strength"].description
    )
    noise: float = Field(default=0.25, ge=0, description=Settings.model_fields["noise"].description)
    amount: float = Field(default=0.5, ge=0, description=Settings.model_fields["amount"].description)
    vae: str = Field(default="back_view_vae", description="weight of the VAE, or a file")
    unet: str = Field(default="back_view_unet", description="weight of the UNet, or a file")
    controlnet: str = Field(default="back_view_controlnet", description="weight of the ControlNet, or a file")

    @property
    def names(self) -> tuple[str, str, str]:
        """The three weights."""
        return self.vae, self.unet, self.controlnet


class HubDiffusionSettings(Settings):
    """Stable Diffusion 1.5 with ControlNet tile; the strength is the paper's."""

    kind: Literal["hub"] = Field(default="hub", description="Stable Diffusion 1.5 and ControlNet tile")
    base: str = Field(
        default="stable-diffusion-v1-5/stable-diffusion-v1-5",
        description="local folder or hub id of Stable Diffusion 1.5",
    )
    controlnet: str = Field(
        default="lllyasviel/control_v11f1e_sd15_tile", description="local folder or hub id of ControlNet tile"
    )


class NoDiffusion(Frozen):
    """The view goes on as it is."""

    kind: Literal["none"] = Field(default="none", description="no diffusion")


DiffusionSettings: TypeAlias = Annotated[
    EmbeddedDiffusionSettings | HubDiffusionSettings | NoDiffusion,
    Field(discriminator="kind"),
    by_kind("auto"),
]


class BackViewSettings(Frozen):
    """How the view from behind is made."""

    enabled: bool = Field(
        default=True,
        description="false: the coarse view goes on as it is, whatever else is set (an ablation)",
    )
    exemplar: bool = Field(
        default=True, description="make the unseen side in the photo's own cloth, by image analogies"
    )
    mirror: bool = Field(
        default=False, description="the photo's mirror image in place of all that (an ablation)"
    )
    refiner: DiffusionSettings = Field(
        default=EmbeddedDiffusionSettings(),
        description="diffusion after that. none; embedded: our small model, which you train first "
        "(docs/training.md); hub: Stable Diffusion 1.5 + ControlNet tile; auto: embedded where its weights "
        "are, else none",
    )
    seed: int = Field(default=22, description="of the search for like patches")
    margin: int = Field(default=4, ge=0, description="pixels (at 512) by which the outline may grow")
    size: int = Field(default=1024, ge=64, le=2048, description="pixels of the pictures")
    body: str = Field(
        default="body", description="body model: the embedded one, or the path of SMPLX_NEUTRAL.npz"
    )
