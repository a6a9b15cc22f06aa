"""Pictures of a rigged person from around: the mesh in a T pose and in an A pose, the Gaussians in the A
pose."""

from __future__ import annotations

from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.body.turned import turned
from turnaround.models.mesh.view import textured_pictures
from turnaround.models.previews import previews
from turnaround.models.splat.fine import rasterize_fine
from turnaround.pipeline.values.types import Body

LOWERED = 45.0  # degrees: the arms of the A pose below those of the T pose


def a_pose(rest: Body) -> Body:
    """The rest pose with the arms lowered."""
    return turned(rest, {"left_shoulder": (0.0, 0.0, -LOWERED), "right_shoulder": (0.0, 0.0, LOWERED)})


def rig_previews(avatar: Avatar, size: int) -> dict[str, Tensor]:
    """`t_000`, ... (mesh at rest), `a_000`, ... (mesh), `gaussians_000`, ... (A pose): (size, size, 3)
    each."""
    lowered = a_pose(avatar.rig.rest)
    mesh, gaussians = avatar.posed_mesh(lowered), avatar.posed_gaussians(lowered)
    return {
        **previews(avatar.mesh.vertices, lambda c: textured_pictures(avatar.mesh, c), size, prefix="t_"),
        **previews(mesh.vertices, lambda c: textured_pictures(mesh, c), size, prefix="a_"),
        **previews(
            mesh.vertices, lambda c: rasterize_fine(gaussians, c).rgb.clamp(0, 1), size, prefix="gaussians_"
        ),
    }
