"""Stage 09: the mesh with an atlas and a base colour baked from photo, back view, sides and the vertices'
colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from turnaround.pipeline.stage import Image, Images, Stage, StageConfig, StageError

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import Mesh, TexturedMesh, View


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
        from turnaround.models.texture.texturing import NoTexture, atlas_picture, textured, textured_previews

        c = self.config
        views = [(photo, c.photo), (back, c.back), (right, c.side), (left, c.side)]
        try:
            made = textured(mesh, views, size=c.size, faces=c.faces, padding=c.padding)
        except NoTexture as error:
            raise StageError(f"no texture: {error}. Look at 07_mesh/previews.") from error
        return self.Outputs(made, atlas_picture(made), textured_previews(made, c.preview_size))
