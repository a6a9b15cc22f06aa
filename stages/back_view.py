"""Stage 05: the view from behind: coarse, in the photo's cloth (image analogies), where wanted refined by
diffusion (section 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from turnaround.models.back_view.settings import BackViewSettings, HubDiffusionSettings
from turnaround.pipeline.stage import Image, Stage, StageConfig, StageError

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import Body, Gaussians, View


class BackViewConfig(BackViewSettings, StageConfig):
    """Settings of `back_view`."""


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
        from turnaround.models.back_view.choice import weight_names

        return weight_names(self.config)

    def run(
        self, *, device: torch.device, photo: View, gaussians: Gaussians, body: Body, given: bytes | None
    ) -> Outputs:
        """The coarse view and the one that goes on over white, on the canonical grid, and the latter close,
        with mask and camera."""
        from turnaround.models.back_view.behind import NoCloth, seen_from_behind

        try:
            return self.Outputs(*seen_from_behind(photo, gaussians, body, given, self.config, device))
        except NoCloth as error:
            raise StageError(
                f"the view from behind cannot be made in the photo's cloth: {error}; --set "
                f"stages.back_view.exemplar=false goes on without"
            ) from error
