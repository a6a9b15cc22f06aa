"""Stage 09: the mesh with an atlas and a base colour baked from photo, back view, sides and the vertices'
colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from turnaround.pipeline.stage import Image, Images, Stage, StageConfig, StageError

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import Mesh, TexturedMesh, View

PREVIEW_AZIMUTHS = (0, 90, 180, 270)
ATLAS_PICTURE = 1024  # texels of the picture for people; the files beside the mesh hold all of them


class TextureConfig(StageConfig):
    """Settings of `texture`."""

    size: int = Field(default=2048, ge=64, le=8192, description="texels of a side")
    faces: int = Field(
        default=20000,
        ge=100,
        le=100000,
        description="faces of the textured mesh; the atlas takes the longer, the more",
    )
    padding: int = Field(
        default=8, ge=1, le=64, description="texels of 2,048 between two charts of the atlas"
    )
    photo: float = Field(default=2.0, ge=0, description="weight of the photo, which sees the front")
    back: float = Field(default=1.0, ge=0, description="weight of the view from behind")
    side: float = Field(default=0.5, ge=0, description="weight of each of the two views from the sides")
    preview_size: int = Field(default=768, ge=64, le=2048, description="pixels of the previews")


class Texture(Stage[TextureConfig]):
    """Bake what the pictures show into the mesh's texture."""

    name, version = "texture", 2
    needs = {
        "mesh": "detail.mesh",
        "photo": "prepare.view",
        "back": "back_view.view",
        "right": "detail.side_090",
        "left": "detail.side_270",
    }
    Config = TextureConfig

    class Outputs(NamedTuple):
        """The mesh in its texture."""

        mesh: TexturedMesh
        atlas: Image  # the texture, of at most 1,024 texels a side
        previews: Images  # of the mesh, by azimuth

    def run(
        self, *, device: torch.device, mesh: Mesh, photo: View, back: View, right: View, left: View
    ) -> Outputs:
        """The textured mesh, a picture of its texture, and pictures of it from four sides."""
        from turnaround.models.texture.bake import bake
        from turnaround.models.texture.unwrapped import unwrapped

        config = self.config
        try:
            bare = unwrapped(mesh, config.faces, config.padding)
        except ValueError as error:
            raise StageError(f"no texture: {error}. Look at 07_mesh/previews.") from error
        views = [(photo, config.photo), (back, config.back), (right, config.side), (left, config.side)]
        textured = bake(bare, views, config.size)
        return self.Outputs(textured, self._atlas(textured), self._previews(textured))

    def _atlas(self, mesh: TexturedMesh) -> torch.Tensor:
        from torch.nn.functional import avg_pool2d

        step = max(1, mesh.texture.shape[0] // ATLAS_PICTURE)
        return avg_pool2d(mesh.texture.permute(2, 0, 1), step).permute(1, 2, 0)

    def _previews(self, mesh: TexturedMesh) -> dict[str, torch.Tensor]:
        from turnaround.models.mesh.view import textured_pictures
        from turnaround.pipeline.values.close_orbit import close_orbit

        cameras = close_orbit(mesh.vertices, PREVIEW_AZIMUTHS, self.config.preview_size)
        pictures = textured_pictures(mesh, cameras)
        return {
            f"{azimuth:03d}": picture for azimuth, picture in zip(PREVIEW_AZIMUTHS, pictures, strict=True)
        }
