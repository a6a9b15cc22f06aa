"""Stage 05: the view from behind: coarse, in the photo's cloth (image analogies), where wanted refined by
diffusion (section 3.4)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from turnaround.models.back_view.settings import (
    DiffusionSettings,
    EmbeddedDiffusionSettings,
    HubDiffusionSettings,
    NoDiffusion,
)
from turnaround.pipeline.stage import Image, Stage, StageConfig, StageError

if TYPE_CHECKING:
    import torch

    from turnaround.models.back_view.refiner import DiffusionRefiner
    from turnaround.pipeline.values.types import Body, Camera, Gaussians, View


class BackViewConfig(StageConfig):
    """Settings of `back_view`."""

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


class BackView(Stage[BackViewConfig]):
    """Show the person from behind, in the photo's cloth; `NAME.back.png` beside the photo takes its place."""

    name, version = "back_view", 5
    needs = {
        "photo": "prepare.view",
        "gaussians": "refine.gaussians",
        "body": "refine.body",
        "given": "photo.back",
    }
    accepts = {"refined": "back"}
    device = "gpu"
    Config = BackViewConfig
    moved = {
        **{name: f"refiner.{name}" for name in {*HubDiffusionSettings.model_fields} - {"kind", "seed"}},
        **{f"{name}_weights": f"refiner.{name}" for name in ("vae", "unet", "controlnet")},
    }

    class Outputs(NamedTuple):
        """The person from behind, over white."""

        coarse: Image  # what the Gaussians show, on the canonical grid
        refined: Image  # what goes on, on that grid
        view: View  # the same close, with mask and camera

    def weights(self) -> tuple[str, ...]:
        """The body's, the embedded networks' or the hub model's two: folders by their content, hub ids by
        their commit."""
        c, refiner = self.config, self.refiner
        body = (c.body,) if c.enabled and c.exemplar and not c.mirror else ()
        if isinstance(refiner, EmbeddedDiffusionSettings):
            return (*body, *refiner.names)
        if refiner is not None:
            from turnaround.models.hub_source import weight_name

            return (*body, weight_name(refiner.base), weight_name(refiner.controlnet))
        return body

    @property
    def refiner(self) -> EmbeddedDiffusionSettings | HubDiffusionSettings | None:
        """The diffusion that goes over the view: `auto` and `enabled` decided."""
        chosen = self.config.refiner
        if not self.config.enabled or isinstance(chosen, NoDiffusion):
            return None
        return None if chosen.kind == "auto" and not _present(*chosen.names) else chosen

    def run(
        self, *, device: torch.device, photo: View, gaussians: Gaussians, body: Body, given: bytes | None
    ) -> Outputs:
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
        return self.Outputs(coarse.image, wide.image, view)

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

        settings = self.refiner
        if settings is None:
            return view
        refined = self._diffusion(settings, device)(view.image, settings)
        image, mask = within_outline(
            refined, view.image, view.mask, round(self.config.margin * self.config.size / 512)
        )
        # a picture over white cannot be darker than its mask allows
        return replace(view, image=torch.maximum(image, 1 - mask[..., None]), mask=mask)

    def _diffusion(
        self, settings: EmbeddedDiffusionSettings | HubDiffusionSettings, device: torch.device
    ) -> DiffusionRefiner:
        from turnaround.models.back_view.refiner import embedded_refiner, hub_refiner

        if isinstance(settings, EmbeddedDiffusionSettings):
            return embedded_refiner(*settings.names, device)
        return hub_refiner(settings.base, settings.controlnet, min(self.config.size, 512), device)


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
