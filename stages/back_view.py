"""Stage 05: the view from behind: coarse, in the photo's cloth (image analogies), where wanted refined by
diffusion (section 3.4)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from turnaround.pipeline.stage import Stage, StageConfig, StageError

if TYPE_CHECKING:
    import torch
    from turnaround.models.back_view.refiner import DiffusionRefiner, Settings
    from turnaround.pipeline.values.types import Body, Camera, Gaussians, View

HUB_STRENGTH = 0.2  # the paper's
EMBEDDED_STRENGTH, EMBEDDED_NOISE, EMBEDDED_AMOUNT = (
    0.1,
    0.25,
    0.5,
)  # measured: sharper, and no worse against the truth


class BackViewConfig(StageConfig):
    """Settings of `back_view`."""

    enabled: bool = Field(
        True, description="false: the coarse view goes on as it is, whatever else is set (an ablation)"
    )
    exemplar: bool = Field(
        True, description="make the unseen side in the photo's own cloth, by image analogies"
    )
    mirror: bool = Field(False, description="the photo's mirror image in place of all that (an ablation)")
    refiner: Literal["auto", "none", "embedded", "hub"] = Field(
        "auto",
        description="diffusion after that. none; embedded: our small model, which you train first "
        "(docs/training.md); "
        "hub: Stable Diffusion 1.5 + ControlNet tile; auto: embedded where its weights are, else none",
    )
    strength: float = Field(
        -1.0, le=1, description="share of the noise schedule; -1: 0.2 for hub, 0.1 for embedded"
    )
    steps: int = Field(
        10,
        ge=1,
        description="steps of the whole schedule, of which strength x steps, at least one, are run; the "
        "paper's code has 100",
    )
    guidance: float = Field(5.0, ge=1, description="classifier-free guidance of the hub model")
    control: float = Field(1.0, ge=0, description="weight of the ControlNet")
    seed: int = Field(22, description="of the search and of the noise")
    keep_detail: bool = Field(
        True,
        description="add only what the diffusion changed to the coarse picture, so that the VAE loses "
        "nothing",
    )
    noise: float = Field(
        -1.0, description="amplitude of the noise against the schedule's; -1: 1 for hub, 0.25 for embedded"
    )
    amount: float = Field(
        -1.0,
        description="share of the change that is added, with keep_detail; -1: 1 for hub, 0.5 for embedded",
    )
    keep_color: bool = Field(True, description="leave slow changes of colour out, with keep_detail")
    margin: int = Field(4, ge=0, description="pixels (at 512) by which the outline may grow")
    size: int = Field(1024, ge=64, le=2048, description="pixels of the pictures")
    body: str = Field("body", description="body model: the embedded one, or the path of SMPLX_NEUTRAL.npz")
    base: str = Field(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        description="hub: local folder or hub id of Stable Diffusion 1.5",
    )
    controlnet: str = Field(
        "lllyasviel/control_v11f1e_sd15_tile", description="hub: local folder or hub id of ControlNet tile"
    )
    vae_weights: str = Field("back_view_vae", description="embedded: weight of the VAE, or a file")
    unet_weights: str = Field("back_view_unet", description="embedded: weight of the UNet, or a file")
    controlnet_weights: str = Field(
        "back_view_controlnet", description="embedded: weight of the ControlNet, or a file"
    )


class BackView(Stage[BackViewConfig]):
    """Show the person from behind, in the photo's cloth; `NAME.back.png` beside the photo takes its place."""

    name, version = "back_view", 4
    needs = {
        "photo": "prepare.view",
        "gaussians": "refine.gaussians",
        "body": "refine.body",
        "given": "photo.back",
    }
    accepts = {"refined": "back"}
    makes = {"coarse": "Image", "refined": "Image", "view": "View"}
    device = "gpu"
    Config = BackViewConfig

    def weights(self) -> tuple[str, ...]:
        """The body's, the embedded networks' or the hub model's two: folders by their content, hub ids by
        their commit."""
        c = self.config
        body = (c.body,) if c.enabled and c.exemplar and not c.mirror else ()
        if self.refiner == "embedded":
            return (*body, c.vae_weights, c.unet_weights, c.controlnet_weights)
        if self.refiner == "hub":
            from turnaround.models.hub_source import weight_name

            return (*body, weight_name(c.base), weight_name(c.controlnet))
        return body

    @property
    def refiner(self) -> Literal["none", "embedded", "hub"]:
        """The diffusion model that goes over the view: `auto` and `enabled` decided."""
        c = self.config
        if not c.enabled:
            return "none"
        if c.refiner == "auto":
            return "embedded" if _present(c.vae_weights, c.unet_weights, c.controlnet_weights) else "none"
        return c.refiner

    def run(
        self, *, device: torch.device, photo: View, gaussians: Gaussians, body: Body, given: bytes | None
    ) -> dict[str, Any]:
        """The coarse view and the one that goes on over white, on the canonical grid, and the latter close,
        with mask and camera."""
        from turnaround.models.hgm.rendering import back_view, view_from
        from turnaround.pipeline.values.crop import at_camera

        config = self.config
        gaussians = gaussians.to(device)
        coarse = back_view(gaussians, config.size)
        if given is not None:
            own = given_view(given)
            wide, view = at_camera(own, coarse.camera), at_camera(own, close_camera(own, config.size))
        else:
            seen = view_from(gaussians, close_camera(coarse, config.size))
            view = self._refined(self._in_cloth(photo, seen, body), device)
            wide = coarse if view is seen else at_camera(view, coarse.camera)
        return {"coarse": coarse.image, "refined": wide.image, "view": view}

    def _in_cloth(self, photo: View, seen: View, body: Body) -> View:
        """The coarse view with its detail from the photo, where that is wanted."""
        import torch
        from turnaround.models.body.model import BodyModel
        from turnaround.models.exemplar.analogy import synthesize
        from turnaround.models.exemplar.views import photo_sheet, rendered_sheet

        config = self.config
        if config.enabled and config.mirror:
            from turnaround.models.back_view.mirrored import mirrored

            return mirrored(photo, seen)
        if not (config.enabled and config.exemplar):
            return seen
        model = BodyModel.shared(None if config.body == "body" else Path(config.body))
        try:
            target, mask = rendered_sheet(seen, body, model)
            picture = synthesize(photo_sheet(photo, body, model).mirrored(), target, seed=config.seed)
        except ValueError as error:
            message = (
                f"the view from behind cannot be made in the photo's cloth: {error}; --set "
                f"stages.back_view.exemplar=false goes on without"
            )
            raise StageError(message) from error
        return replace(
            seen, image=torch.from_numpy(picture) * mask[..., None] + 1 - mask[..., None], mask=mask
        )

    def _refined(self, view: View, device: torch.device) -> View:
        """The view after the diffusion model, where there is one."""
        import torch
        from turnaround.models.back_view.outline import within_outline

        if self.refiner == "none":
            return view
        refined = self._diffusion(device)(view.image, self.settings())
        image, mask = within_outline(
            refined, view.image, view.mask, round(self.config.margin * self.config.size / 512)
        )
        # a picture over white cannot be darker than its mask allows
        return replace(view, image=torch.maximum(image, 1 - mask[..., None]), mask=mask)

    def settings(self) -> Settings:
        """The settings of the refinement."""
        from turnaround.models.back_view.refiner import Settings

        c = self.config
        hub = c.refiner == "hub"
        strength, noise, amount = (
            (HUB_STRENGTH, 1.0, 1.0) if hub else (EMBEDDED_STRENGTH, EMBEDDED_NOISE, EMBEDDED_AMOUNT)
        )
        chosen = [
            given if given >= 0 else usual
            for given, usual in ((c.strength, strength), (c.noise, noise), (c.amount, amount))
        ]
        return Settings(
            chosen[0],
            c.steps,
            c.guidance,
            c.control,
            c.seed,
            c.keep_detail,
            chosen[1],
            chosen[2],
            c.keep_color,
        )

    def _diffusion(self, device: torch.device) -> DiffusionRefiner:
        from turnaround.models.back_view.refiner import embedded_refiner, hub_refiner

        c = self.config
        if self.refiner == "hub":
            return hub_refiner(c.base, c.controlnet, min(c.size, 512), device)
        return embedded_refiner(c.vae_weights, c.unet_weights, c.controlnet_weights, device)


def close_camera(view: View, size: int) -> Camera:
    """The camera that looks at the person of a view alone; the view's own where there is nobody."""
    from turnaround.pipeline.values.camera import framed
    from turnaround.pipeline.values.crop import box_of

    box = box_of(view.mask > 0.5)
    return view.camera if box is None else framed(view.camera, box, size)


def given_view(data: bytes) -> View:
    """The user's own picture from behind on the grid of the coarse one; without alpha, what is not white is
    the person.

    Raises:
        StageError: the picture is not square.
    """
    import numpy as np
    import torch
    from turnaround.pipeline.photos.photo import decode
    from turnaround.pipeline.values.camera import orbit_cameras
    from turnaround.pipeline.values.types import View

    pixels, alpha = decode(data, "the back view beside the photo")
    if pixels.shape[0] != pixels.shape[1]:
        raise StageError(
            f"the back view beside the photo has {pixels.shape[1]} x {pixels.shape[0]} pixels: expected a "
            f"square picture on the grid of "
            f"05_back_view/coarse.png; draw over that file and save it as NAME.back.png"
        )
    if alpha is None:
        alpha = (pixels.min(-1) < 0.97).astype(np.float32)
    pixels = pixels * alpha[..., None] + 1 - alpha[..., None]
    image, mask = (torch.from_numpy(array).float().contiguous() for array in (pixels, alpha))
    return View(image, mask, orbit_cameras([180.0], len(pixels))[0])


def _present(*names: str) -> bool:
    """Whether all these weights, by name or path, are there; whether they are the right ones is asked when
    they are read."""
    from turnaround.models import zoo

    return all((zoo.WEIGHTS[name].place if name in zoo.WEIGHTS else Path(name)).is_file() for name in names)
