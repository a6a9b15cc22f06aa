"""Stage 08: a film of the Gaussians beside the mesh, turning once, and a sheet of both from eight sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from pipeline.stage import Stage, StageConfig

if TYPE_CHECKING:
    import torch

    from pipeline.types import Gaussians, Mesh


class TurntableConfig(StageConfig):
    """Settings of `turntable`."""

    frames: int = Field(72, ge=2, description="pictures of one turn")
    fps: int = Field(24, ge=1, description="pictures a second")
    size: int = Field(512, ge=64, description="pixels of a side of each half of the film; made even")
    quality: int = Field(20, ge=0, le=51, description="H.264 constant rate factor, less is better")
    sheet_size: int = Field(256, ge=32, description="pixels of a picture of the sheet")


class Turntable(Stage[TurntableConfig]):
    """Film and contact sheet."""

    name, version = "turntable", 1
    needs = {"gaussians": "fuse.gaussians", "mesh": "mesh.mesh"}
    makes = {"turntable": "Video", "sheet": "Image"}
    device = "gpu"
    Config = TurntableConfig

    def run(self, *, device: torch.device, gaussians: Gaussians, mesh: Mesh) -> dict[str, Any]:
        """An H.264 film in an MP4, and the sheet: Gaussians, mesh in colour, mesh normals."""
        from models.film import encode_mp4, sheet, turn

        config = self.config
        size = config.size + config.size % 2
        frames = turn(gaussians.to(device), mesh, config.frames, size)
        film = encode_mp4(frames, fps=config.fps, quality=config.quality)
        return {"turntable": film, "sheet": sheet(gaussians.to(device), mesh, config.sheet_size)}
