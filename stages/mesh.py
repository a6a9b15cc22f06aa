"""Stage 07: fused Gaussians -> depth views -> TSDF -> closed mesh, refined against the normals and painted
(section 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from turnaround.models.mesh.config import ExtractionConfig
from turnaround.pipeline.stage import Images, Stage, StageConfig, StageError, Trace

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import Gaussians, Mesh, View


class MeshConfig(ExtractionConfig, StageConfig):
    """Settings of `mesh`; lengths in metres."""

    preview_size: int = Field(default=512, ge=64, description="pixels of the previews")


class MeshStage(Stage[MeshConfig]):
    """Mesh extraction and refinement."""

    name, version = "mesh", 7
    needs = {
        "photo": "prepare.view",
        "gaussians": "fuse.gaussians",
        "normals_front": "refine.normals_front",
        "normals_back": "refine.normals_back",
    }
    device = "gpu"
    Config = MeshConfig

    class Outputs(NamedTuple):
        """The surface."""

        mesh: Mesh
        previews: Images  # its colours and its normals, by azimuth
        report: Trace  # components, faces, watertight, volume

    def run(
        self,
        *,
        device: torch.device,
        photo: View,
        gaussians: Gaussians,
        normals_front: torch.Tensor,
        normals_back: torch.Tensor,
    ) -> Outputs:
        """The mesh, pictures of it, and a report: components, faces, watertight, volume."""
        from turnaround.models.mesh.extraction import NoMesh, extract_mesh, mesh_previews

        try:
            mesh, report = extract_mesh(
                gaussians.to(device), photo, (normals_front, normals_back), self.config
            )
        except NoMesh as error:
            raise StageError(f"no mesh: {error} Look at 06_fuse/views.") from error
        return self.Outputs(mesh, mesh_previews(mesh, self.config.preview_size), report)
