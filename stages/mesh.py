"""Stage 07: fused Gaussians -> depth views -> TSDF -> closed mesh, refined against the normals and painted
(section 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from turnaround.pipeline.stage import Images, Stage, StageConfig, StageError, Trace

if TYPE_CHECKING:
    import torch

    from turnaround.models.mesh.refine import NormalTargets
    from turnaround.models.mesh.surface import Surface
    from turnaround.models.mesh.tsdf import DepthViews
    from turnaround.pipeline.values.types import Gaussians, Mesh, View

PREVIEW_AZIMUTHS = (0, 90, 180, 270)


class MeshConfig(StageConfig):
    """Settings of `mesh`; lengths in metres."""

    depth_size: int = Field(default=384, ge=64, le=1024, description="pixels of the 64 depth views")
    layers: int = Field(
        default=4,
        ge=1,
        description="the Gaussians count as opaque as so many of them: depth of the first surface, not "
        "a mean",
    )
    voxel: float = Field(default=0.01, gt=0, description="edge of a voxel")
    truncation: float = Field(
        default=0.035, gt=0, description="distance to the surface at which the signed distance is cut"
    )
    smoothing: int = Field(
        default=10,
        ge=0,
        description="iterations of Taubin smoothing of what is extracted, and again of what is refined",
    )
    faces: int = Field(default=60000, ge=100, description="number of faces after decimation")
    normals: bool = Field(default=True, description="refine against the normals of front and back")
    iterations: int = Field(default=30, ge=0, description="steps of that refinement")
    laplacian: float = Field(default=10.0, ge=0, description="weight of the Laplacian of the displacement")
    outline: bool = Field(
        default=True, description="move the surface across the photo until its outline is the mask's"
    )
    preview_size: int = Field(default=512, ge=64, description="pixels of the previews")


class MeshStage(Stage[MeshConfig]):
    """Mesh extraction and refinement."""

    name, version = "mesh", 6
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
        import torch

        from turnaround.models.detail.outline import snap_outline
        from turnaround.models.mesh.painting import paint
        from turnaround.models.mesh.refine import refine_to_normals
        from turnaround.models.mesh.surface import describe, smooth
        from turnaround.models.mesh.tsdf import render_depth_views
        from turnaround.pipeline.values.types import Mesh as MeshRecord

        config = self.config
        views = render_depth_views(gaussians.to(device), config.depth_size, layers=config.layers)
        surface, report = self._extract(views)
        if config.normals and config.iterations:
            targets = normal_targets(normals_front, normals_back)
            refined, trace = refine_to_normals(
                surface, targets, iterations=config.iterations, laplacian=config.laplacian
            )
            surface = smooth(refined, config.smoothing)  # what the normals' noise left
            report["normal_l1"] = [trace[0], trace[-1]]
        if config.outline:
            surface = snap_outline(surface, photo)
        mesh = MeshRecord(
            torch.from_numpy(surface.vertices).float(), torch.from_numpy(surface.faces), paint(surface, views)
        )
        report = {**describe(surface), **report}
        return self.Outputs(mesh, self._previews(mesh), report)

    def _previews(self, mesh: Mesh) -> dict[str, torch.Tensor]:
        from turnaround.models.mesh.view import mesh_pictures
        from turnaround.pipeline.values.close_orbit import close_orbit

        cameras = close_orbit(mesh.vertices, PREVIEW_AZIMUTHS, self.config.preview_size)
        pictures = {}
        for look in ("color", "normals"):
            images = mesh_pictures(mesh, cameras, look)
            pictures |= {
                f"{look}_{azimuth:03d}": image
                for azimuth, image in zip(PREVIEW_AZIMUTHS, images, strict=True)
            }
        return pictures

    def _extract(self, views: DepthViews) -> tuple[Surface, dict[str, Any]]:
        from turnaround.models.mesh.surface import components, decimate, largest_component, smooth
        from turnaround.models.mesh.tsdf import fuse_depth

        try:
            raw = fuse_depth(views, voxel=self.config.voxel, truncation=self.config.truncation)
        except ValueError as error:
            raise StageError(f"no mesh: {error} Look at 06_fuse/views.") from error
        surface = decimate(smooth(largest_component(raw), self.config.smoothing), self.config.faces)
        return surface, {"extracted": {"faces": len(raw.faces), "components": int(components(raw).max()) + 1}}


def normal_targets(front: torch.Tensor, back: torch.Tensor) -> NormalTargets:
    """The normal pictures of `refine`, (h, w, 4) as `encode_normals` writes them, in front of their cameras
    at 0 and 180 degrees."""
    import torch

    from turnaround.models.mesh.refine import NormalTargets
    from turnaround.pipeline.formats.normal_image import decode_normals
    from turnaround.pipeline.values.camera import orbit_cameras

    if front.shape != back.shape or front.ndim != 3 or front.shape[-1] != 4:
        raise StageError(
            f"normal pictures must both be (h, w, 4), got {tuple(front.shape)} and {tuple(back.shape)}"
        )
    cameras = orbit_cameras([0.0, 180.0], front.shape[0])
    decoded = [
        decode_normals(picture, camera)
        for picture, camera in zip((front, back), (cameras[0], cameras[1]), strict=True)
    ]
    return NormalTargets(
        cameras,
        torch.stack([normals for normals, _ in decoded]),
        torch.stack([alpha for _, alpha in decoded]),
    )
