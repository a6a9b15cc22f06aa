"""Stage 11: a skeleton for the person: skin weights of mesh and Gaussians, both brought into a T pose."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from turnaround.pipeline.stage import Images, Stage, StageConfig, Trace

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.rig import Rig
    from turnaround.pipeline.values.types import Body, Gaussians, TexturedMesh


class RigConfig(StageConfig):
    """Settings of `rig`."""

    reach: float = Field(
        default=0.01, ge=0, le=0.2, description="metres over which weights are smoothed along the surface"
    )
    preview_size: int = Field(default=512, ge=64, le=2048, description="pixels of the previews")
    body: str = Field(
        default="body", description="body model: the embedded one, or the path of SMPLX_NEUTRAL.npz"
    )


class RigStage(Stage[RigConfig]):
    """Bind the person to the skeleton of their body."""

    name, version = "rig", 4
    needs = {
        "mesh": "texture.mesh",
        "gaussians": "detail.gaussians",
        "body": "refine.body",
    }
    Config = RigConfig

    class Outputs(NamedTuple):
        """The person at rest, in a T pose, and what moves them."""

        rig: Rig
        mesh: TexturedMesh
        gaussians: Gaussians
        previews: Images  # mesh in T and A pose and Gaussians in A pose, by azimuth
        report: Trace  # faces cut, holes closed

    def weights(self) -> tuple[str, ...]:
        """The body model, whose skeleton and weights are used."""
        return (self.config.body,)

    def run(self, *, device: torch.device, mesh: TexturedMesh, gaussians: Gaussians, body: Body) -> Outputs:
        """The rig, mesh and Gaussians in the T pose, and pictures of them."""
        from turnaround.models.avatar.rigging import rigged

        config = self.config
        size = config.preview_size
        return self.Outputs(*rigged(mesh, gaussians, body, config.body, config.reach, size))
