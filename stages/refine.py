"""Stage 04: the estimated body is fitted to the photo, to normals and to the coarse model's own side
views."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from turnaround.models.refinement.config import RefinementConfig
from turnaround.pipeline.stage import Image, Images, Stage, StageConfig, StageError, Trace

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import Body, Gaussians, View


class RefineConfig(StageConfig):
    """Settings of `refine`; `configs/presets/paper.yaml` has the paper's."""

    enabled: bool = Field(default=True, description="false: the estimate goes on as it is")
    fit: RefinementConfig = Field(
        default=RefinementConfig(), description="the fit: its loop, the weights of its terms, its step sizes"
    )
    hgm: str = Field(
        default="hgm_coarse",
        description="embedded weight of the coarse model, or the path of a safetensors file",
    )
    normal_maps: str = Field(
        default="normals",
        description="embedded weight of the normal network, the path of a safetensors file, or a folder with "
        "normals_front.png and normals_back.png made elsewhere (ICON, ECON)",
    )
    body: str = Field(
        default="body", description="body model: 'body' is the free one, else the path of SMPLX_NEUTRAL.npz"
    )


class Refine(Stage[RefineConfig]):
    """The paper's refinement loop (section 3.2, appendix)."""

    name, version = "refine", 8
    needs = {
        "view": "prepare.view",
        "landmarks": "prepare.landmarks",
        "body": "estimate.body",
        "keypoints": "estimate.keypoints",
    }
    device = "gpu"
    Config = RefineConfig
    moved = {
        **{name: f"fit.{name}" for name in RefinementConfig.model_fields},
        "side_views": "fit.side_weight",
        "normals": "fit.normal_weight",
        "joints": "fit.joint_weight",
        "normal_weights": "normal_maps",
        "normal_folder": "normal_maps",
    }

    class Outputs(NamedTuple):
        """The fitted body, and what the fit saw."""

        body: Body
        gaussians: Gaussians  # the coarse model, fed the fitted body
        masks: Images  # its mask, the body before in red and after in green, by azimuth
        normals_front: Image
        normals_back: Image
        trace: Trace  # losses, figures before and after, and why the fit is poor where it is
        path: Body  # the body on its way, a batch

    def weights(self) -> tuple[str, ...]:
        """The coarse model's, the source of the normals, and the body model."""
        return (self.config.hgm, self.config.normal_maps, self.config.body)

    def run(
        self, *, device: torch.device, view: View, landmarks: Trace, body: Body, keypoints: Trace
    ) -> Outputs:
        """The fitted body; StageError where the mask is empty or the body is not before the camera."""
        from turnaround.models.refinement.person import NoFit, refine_person

        c = self.config
        names = {"hgm": c.hgm, "normal_maps": c.normal_maps, "body_model": c.body}
        try:
            made = refine_person(
                view, landmarks, body, keypoints, c.fit, enabled=c.enabled, device=device, **names
            )
        except NoFit as error:
            raise StageError(
                f"the body cannot be fitted to the photo: {error}; look at the overlays of prepare and "
                f"estimate"
            ) from error
        return self.Outputs(*made)
