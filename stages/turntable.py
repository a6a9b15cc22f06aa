"""Stage 10: a film of the Gaussians turning, the photo in its corner, and a contact sheet of Gaussians and
mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from turnaround.pipeline.stage import Image, Stage, StageConfig, Video

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import torch

    from turnaround.pipeline.values.types import Camera, Gaussians, Mesh, TexturedMesh, View

CHUNK = 6  # frames that are in memory at a time


class TurntableConfig(StageConfig):
    """Settings of `turntable`."""

    frames: int = Field(default=90, ge=2, le=1440, description="frames of one turn")
    fps: int = Field(default=30, ge=1, le=120, description="frames a second")
    size: int = Field(
        default=1080, ge=64, le=2048, description="pixels of the square film, or of each of its halves"
    )
    halves: Literal["gaussians", "both"] = Field(
        default="gaussians", description="both: the textured mesh turns beside the Gaussians"
    )
    inset: float = Field(
        default=0.22,
        ge=0,
        le=0.5,
        description="share of the film's side that the photo in its corner has; 0: none",
    )
    elevation: float = Field(
        default=5.0, ge=-60, le=60, description="degrees from which the camera looks down"
    )
    sheet_size: int = Field(
        default=320,
        ge=64,
        le=1024,
        description="pixels of a cell of the contact sheet, before white is cut away",
    )
    sheet_views: int = Field(default=8, ge=1, le=24, description="azimuths of the contact sheet")


class Turntable(Stage[TurntableConfig]):
    """Shows the result from all sides."""

    name, version = "turntable", 4
    needs = {
        "gaussians": "detail.gaussians",
        "mesh": "mesh.mesh",
        "textured": "texture.mesh",
        "view": "prepare.view",
    }
    device = "gpu"
    Config = TurntableConfig

    class Outputs(NamedTuple):
        """The result from all sides."""

        turntable: Video
        sheet: Image  # rows: Gaussians, mesh in its texture, its normals

    def run(
        self, *, device: torch.device, gaussians: Gaussians, mesh: Mesh, textured: TexturedMesh, view: View
    ) -> Outputs:
        """The MP4 and the sheet (rows: Gaussians, mesh in its texture, its normals)."""
        from turnaround.pipeline.formats.video import encode

        film = encode(self._frames(device, gaussians, textured, view), fps=self.config.fps)
        return self.Outputs(film, self._sheet(device, gaussians, mesh, textured))

    def _frames(
        self, device: torch.device, gaussians: Gaussians, mesh: TexturedMesh, view: View
    ) -> Iterator[np.ndarray]:
        import numpy as np

        from turnaround.models.film import as_bytes
        from turnaround.models.mesh.view import textured_pictures
        from turnaround.pipeline.formats.preview import paste, person_cut_out
        from turnaround.pipeline.values.close_orbit import close_orbit

        config = self.config
        azimuths = [360.0 * k / config.frames for k in range(config.frames)]
        cameras = close_orbit(mesh.vertices, azimuths, config.size, elevation=config.elevation)
        person = person_cut_out(view.image, view.mask, round(config.inset * config.size))
        for start in range(0, config.frames, CHUNK):
            some = cameras[start : start + CHUNK]
            pictures = paste(_splat(gaussians, some, device, 1), person)  # fine enough at its size
            halves = (
                [pictures]
                if config.halves == "gaussians"
                else [pictures, textured_pictures(mesh, some, supersample=1)]
            )
            yield from (
                np.concatenate([as_bytes(half) for half in halves], 2)
                if len(halves) > 1
                else as_bytes(halves[0])
            )

    def _sheet(
        self, device: torch.device, gaussians: Gaussians, mesh: Mesh, textured: TexturedMesh
    ) -> torch.Tensor:
        import torch

        from turnaround.models.mesh.view import mesh_pictures, textured_pictures
        from turnaround.pipeline.formats.preview import contact_sheet, trimmed
        from turnaround.pipeline.values.close_orbit import close_orbit

        count = self.config.sheet_views
        azimuths = [360.0 * k / count for k in range(count)]
        cameras = close_orbit(mesh.vertices, azimuths, self.config.sheet_size)
        rows = {
            "Gaussians": _splat(gaussians, cameras, device, 4),
            "mesh": textured_pictures(textured, cameras),
        }
        rows["normals"] = mesh_pictures(mesh, cameras, "normals")
        labels = [f"{row} {azimuth:.0f}" for row in rows for azimuth in azimuths]
        return contact_sheet(list(trimmed(torch.cat(list(rows.values())))), labels, columns=count, tight=True)


def _splat(gaussians: Gaussians, cameras: Camera, device: torch.device, most: int) -> torch.Tensor:
    from turnaround.models.splat.fine import rasterize_fine

    return rasterize_fine(gaussians.to(device), cameras.to(device), most=most).rgb.cpu()
