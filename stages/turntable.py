"""Stage 08: a film of the Gaussians and the mesh turning side by side, and a contact sheet of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from pipeline.stage import Stage, StageConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import torch

    from pipeline.types import Camera, Gaussians, Mesh

CHUNK = 12  # frames that are in memory at a time


class TurntableConfig(StageConfig):
    """Settings of `turntable`."""

    frames: int = Field(72, ge=2, le=1440, description="frames of one turn")
    fps: int = Field(24, ge=1, le=120, description="frames a second")
    size: int = Field(512, ge=64, le=2048, description="pixels of each half of the picture")
    elevation: float = Field(5.0, ge=-60, le=60, description="degrees from which the camera looks down")
    sheet_size: int = Field(256, ge=64, le=1024, description="pixels of a cell of the contact sheet")
    sheet_views: int = Field(8, ge=1, le=24, description="azimuths of the contact sheet")


class Turntable(Stage[TurntableConfig]):
    """Shows the result from all sides."""

    name, version = "turntable", 2
    needs = {"gaussians": "fuse.gaussians", "mesh": "mesh.mesh"}
    makes = {"turntable": "Video", "sheet": "Image"}
    device = "gpu"
    Config = TurntableConfig

    def run(self, *, device: torch.device, gaussians: Gaussians, mesh: Mesh) -> dict[str, Any]:
        """The MP4 and the sheet (rows: Gaussians, mesh in its colours, its normals)."""
        from pipeline.video import encode

        return {
            "turntable": encode(self._frames(device, gaussians, mesh), fps=self.config.fps),
            "sheet": self._sheet(device, gaussians, mesh),
        }

    def _frames(self, device: torch.device, gaussians: Gaussians, mesh: Mesh) -> Iterator[np.ndarray]:
        import numpy as np

        from models.mesh_view import mesh_pictures
        from pipeline.camera import orbit_cameras

        config = self.config
        azimuths = [360.0 * k / config.frames for k in range(config.frames)]
        for start in range(0, config.frames, CHUNK):
            cameras = orbit_cameras(azimuths[start : start + CHUNK], config.size, elevation=config.elevation)
            halves = [_splat(gaussians, cameras, device), mesh_pictures(mesh, cameras, supersample=1)]
            yield from np.concatenate([half.mul_(255).round_().byte().numpy() for half in halves], 2)

    def _sheet(self, device: torch.device, gaussians: Gaussians, mesh: Mesh) -> torch.Tensor:
        from models.mesh_view import mesh_pictures
        from pipeline.camera import orbit_cameras
        from pipeline.preview import contact_sheet

        count = self.config.sheet_views
        azimuths = [360.0 * k / count for k in range(count)]
        cameras = orbit_cameras(azimuths, self.config.sheet_size)
        rows = {"Gaussians": _splat(gaussians, cameras, device), "mesh": mesh_pictures(mesh, cameras, "color")}
        rows["normals"] = mesh_pictures(mesh, cameras, "normals")
        labels = [f"{row} {azimuth:.0f}" for row in rows for azimuth in azimuths]
        return contact_sheet([picture for row in rows.values() for picture in row], labels, columns=count)


def _splat(gaussians: Gaussians, cameras: Camera, device: torch.device) -> torch.Tensor:
    from models.splat import rasterize

    return rasterize(gaussians.to(device), cameras.to(device), outputs=("rgb",)).rgb.clamp_(0, 1).cpu()
