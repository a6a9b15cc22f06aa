"""Stage 10: a film of the Gaussians turning, the photo in its corner, and a contact sheet of Gaussians and
mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from turnaround.pipeline.stage import Image, Stage, StageConfig, Video

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import Gaussians, Mesh, TexturedMesh, View


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
        from turnaround.models.turntable import film, sheet

        c = self.config
        turning = film(
            gaussians,
            textured,
            view,
            device,
            frames=c.frames,
            fps=c.fps,
            size=c.size,
            inset=c.inset,
            elevation=c.elevation,
            both=c.halves == "both",
        )
        seen = sheet(gaussians, mesh, textured, device, size=c.sheet_size, views=c.sheet_views)
        return self.Outputs(turning, seen)
