"""Stage 03: one view and the estimated body -> coarse Gaussians (section 3.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from turnaround.pipeline.stage import Image, Images, Stage, StageConfig

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import Body, Gaussians, View


class CoarseConfig(StageConfig):
    """Settings of `coarse`."""

    weights: str = Field(
        default="hgm_coarse",
        description="embedded weight, or the path of a safetensors file written by models.hgm.train",
    )
    body: str = Field(
        default="body", description="body model: the embedded one, or the path of SMPLX_NEUTRAL.npz"
    )
    use_body: bool = Field(default=True, description="false: Gaussians from the picture alone (an ablation)")
    size: int = Field(default=512, ge=64, le=2048, description="pixels of the views that are written")


class Coarse(Stage[CoarseConfig]):
    """The Human Gaussian Model with the input view alone."""

    name, version = "coarse", 3
    needs = {"view": "prepare.view", "body": "estimate.body"}
    device = "gpu"
    Config = CoarseConfig

    class Outputs(NamedTuple):
        """What one view tells."""

        gaussians: Gaussians
        views: Images  # from the front, the sides and behind
        back: Image  # the view from behind

    def weights(self) -> tuple[str, ...]:
        """The network's and the body's."""
        return (self.config.weights, self.config.body)

    def run(self, *, device: torch.device, view: View, body: Body) -> Outputs:
        """Coarse Gaussians, four views and the view from behind."""
        from turnaround.models.hgm.person import coarse_person

        c = self.config
        fed = body if c.use_body else None
        made = coarse_person(view, fed, weights=c.weights, body_model=c.body, size=c.size, device=device)
        return self.Outputs(*made)
