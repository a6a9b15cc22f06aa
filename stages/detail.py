"""Stage 08: the photo's own pixels on the surface, the back view's behind, the sides between them: the final
Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from turnaround.models.detail.config import LayerConfig
from turnaround.pipeline.stage import Images, Stage, StageConfig, StageError

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import Body, Gaussians, Mesh, View


class DetailConfig(LayerConfig, StageConfig):
    """Settings of `detail`."""

    views: int = Field(default=512, ge=64, le=2048, description="pixels of the pictures that are written")


class Detail(Stage[DetailConfig]):
    """Put the pictures' own pixels on the surface."""

    name, version = "detail", 1
    needs = {
        "photo": "prepare.view",
        "back": "back_view.view",
        "gaussians": "fuse.gaussians",
        "mesh": "mesh.mesh",
        "body": "refine.body",
    }
    Config = DetailConfig

    class Outputs(NamedTuple):
        """What the pictures' own pixels make of Gaussians and mesh."""

        gaussians: Gaussians
        mesh: Mesh
        side_090: View  # close, from the side of world +x
        side_270: View
        views: Images  # from eight sides

    def weights(self) -> tuple[str, ...]:
        """The body's, which tells limbs apart where the ring is filled."""
        return (self.config.body,) if self.config.layer and self.config.ring else ()

    def run(
        self, *, device: torch.device, photo: View, back: View, gaussians: Gaussians, mesh: Mesh, body: Body
    ) -> Outputs:
        """Final Gaussians, the mesh in the pictures' colours, the sides as close views, and pictures from
        eight sides."""
        from turnaround.models.detail.layer import NotLaid, layer_previews, layered

        try:
            made = layered(photo, back, gaussians, mesh, body, self.config)
        except NotLaid as error:
            raise StageError(
                f"the photo cannot be laid on the surface: {error}; --set stages.detail.layer=false goes on "
                f"without"
            ) from error
        views = layer_previews(made.gaussians, mesh, self.config.views)
        return self.Outputs(made.gaussians, made.mesh, *made.sides, views=views)
