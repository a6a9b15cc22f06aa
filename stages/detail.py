"""Stage 08: the photo's own pixels on the surface, the back view's behind, the sides between them: the final
Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from turnaround.pipeline.stage import Images, Stage, StageConfig, StageError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from turnaround.models.detail.panel import Panel
    from turnaround.models.mesh.surface import Surface
    from turnaround.pipeline.values.types import Body, Gaussians, Mesh, View

SIDES = (90, 270)  # degrees: the camera on the side of world +x, and the other
SAY = (3.5, 1.2, 1.0, 1.0)  # how much the cosines of photo, back and sides count where several show the same
VIEWS = tuple(range(0, 360, 45))


class DetailConfig(StageConfig):
    """Settings of `detail`."""

    layer: bool = Field(
        default=True, description="false: the fused Gaussians go on as they are (an ablation)"
    )
    ring: bool = Field(
        default=True,
        description="fill what neither photo nor back view shows in the photo's cloth; false: with the "
        "surface's own colours",
    )
    steps: int = Field(default=10, ge=0, le=200, description="steps of the last fit to the photo")
    merge: int = Field(
        default=4,
        ge=1,
        le=16,
        description="side in pixels of the largest block of like pixels that becomes one Gaussian; 1: one "
        "a pixel",
    )
    like: float = Field(default=0.025, ge=0, le=1, description="range of colour within such a block")
    size: int = Field(default=1024, ge=64, le=2048, description="pixels of the pictures of the sides")
    seed: int = Field(default=22, description="of the search for like patches")
    views: int = Field(default=512, ge=64, le=2048, description="pixels of the pictures that are written")
    body: str = Field(
        default="body", description="body model: the embedded one, or the path of SMPLX_NEUTRAL.npz"
    )


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
        import numpy as np

        from turnaround.models.mesh.surface import Surface

        surface = Surface(mesh.vertices.double().numpy(), mesh.faces.numpy().astype(np.int64))
        if self.config.layer:
            gaussians, mesh, sides = self._laid(photo, back, surface, mesh, body)
        else:
            sides = self._rendered(gaussians, surface)
        return self.Outputs(gaussians, mesh, *sides, views=self._views(gaussians, surface))

    def _laid(
        self, photo: View, back: View, surface: Surface, mesh: Mesh, body: Body
    ) -> tuple[Gaussians, Mesh, list[View]]:
        from dataclasses import replace

        import torch

        from turnaround.models.detail.assembly import assemble
        from turnaround.models.detail.fit import fit
        from turnaround.models.detail.panel import lay
        from turnaround.models.detail.sides import vertex_colors

        config = self.config
        try:
            front, behind = lay(photo, surface), lay(back, surface, beyond=False)
        except ValueError as error:
            raise StageError(
                f"the photo cannot be laid on the surface: {error}; --set stages.detail.layer=false goes on "
                f"without"
            ) from error
        colors = vertex_colors([front, behind], surface, mesh.colors.numpy())
        sides = self._sides(front, behind, surface, colors, body)
        panels = [front, behind, *(lay(side, surface, beyond=False) for side in sides)]
        colors = vertex_colors(panels, surface, mesh.colors.numpy())
        made, (of_photo, of_back, *_) = assemble(
            panels, SAY, surface, colors, merge=config.merge, like=config.like
        )
        made = fit(made, behind.view, of_back, steps=config.steps // 2, shape=False)  # what splats blur
        return (
            fit(made, photo, of_photo, steps=config.steps),
            replace(mesh, colors=torch.from_numpy(colors)),
            sides,
        )

    def _sides(
        self, front: Panel, behind: Panel, surface: Surface, colors: np.ndarray, body: Body
    ) -> list[View]:
        """What front and back show of the sides, the ring between them filled."""
        from turnaround.models.detail.sides import as_view, close_camera, side

        found = [
            side([front, behind], surface, colors, close_camera(surface, azimuth, self.config.size))
            for azimuth in SIDES
        ]
        if not self.config.ring:
            return [as_view(one, one.image) for one in found]
        from pathlib import Path

        from turnaround.models.body.model import BodyModel
        from turnaround.models.detail.ring import fill
        from turnaround.models.exemplar.views import photo_sheet

        model = BodyModel.shared(None if self.config.body == "body" else Path(self.config.body))
        sheets = [photo_sheet(panel.view, body, model) for panel in (front, behind)]
        filled = fill(found, sheets, body, model, seed=self.config.seed)
        return [as_view(one, image) for one, image in zip(found, filled, strict=True)]

    def _rendered(self, gaussians: Gaussians, surface: Surface) -> list[View]:
        from turnaround.models.detail.sides import close_camera
        from turnaround.models.hgm.rendering import view_from

        return [view_from(gaussians, close_camera(surface, azimuth, self.config.size)) for azimuth in SIDES]

    def _views(self, gaussians: Gaussians, surface: Surface) -> dict[str, torch.Tensor]:
        import torch

        from turnaround.models.splat.fine import rasterize_fine
        from turnaround.pipeline.values.close_orbit import close_orbit

        cameras = close_orbit(torch.from_numpy(surface.vertices).float(), VIEWS, self.config.views)
        pictures = rasterize_fine(gaussians, cameras).rgb.clamp(0, 1)
        return {f"{azimuth:03d}": picture for azimuth, picture in zip(VIEWS, pictures, strict=True)}
