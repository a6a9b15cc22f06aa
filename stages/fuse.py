"""Stage 06: the input view, the refined back view and the refined body -> final Gaussians (section 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from turnaround.pipeline.stage import Images, Stage, StageConfig

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import Body, Gaussians, View


class FuseConfig(StageConfig):
    """Settings of `fuse`."""

    weights: str = Field(
        default="hgm_fusion",
        description="embedded weight, or the path of a safetensors file written by models.hgm.train",
    )
    body: str = Field(
        default="body", description="body model: the embedded one, or the path of SMPLX_NEUTRAL.npz"
    )
    use_body: bool = Field(default=True, description="false: Gaussians from the pictures alone (an ablation)")
    use_back: bool = Field(default=True, description="false: the network sees the front alone (an ablation)")
    size: int = Field(default=512, ge=64, le=2048, description="pixels of the views that are written")


class Fuse(Stage[FuseConfig]):
    """The Human Gaussian Model with two views, front and back."""

    name, version = "fuse", 3
    needs = {"view": "prepare.view", "back": "back_view.view", "body": "refine.body"}
    device = "gpu"
    Config = FuseConfig

    class Outputs(NamedTuple):
        """What both views tell."""

        gaussians: Gaussians
        views: Images  # from the front, the sides and behind

    def weights(self) -> tuple[str, ...]:
        """The network's and the body's."""
        return (self.config.weights, self.config.body)

    def run(self, *, device: torch.device, view: View, back: View, body: Body) -> Outputs:
        """Final Gaussians and four views of them."""
        from turnaround.models.hgm.person import fused_person

        c = self.config
        fed, behind = body if c.use_body else None, back if c.use_back else None
        made = fused_person(
            view, behind, fed, weights=c.weights, body_model=c.body, size=c.size, device=device
        )
        return self.Outputs(*made)
