"""Where the viewer's camera stands at the start: all of the person is in sight, from sole to crown."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.flows.viewer.scene import Scene

FOV = math.radians(50)  # of the window's height
NARROWEST = 0.7  # width over height of a window that still shows all of the person
FREE = 1.15  # of the frame about the person
_FROM = (-0.4, -0.12, -1.0)  # a little from the side and from above, beside the input camera
_SOLID = 0.5  # opacity of Gaussians that count
# metres: corners of a person of whom nothing is there yet
_USUAL = [(x, y, z) for x in (-0.4, 0.4) for y in (-0.9, 0.9) for z in (-0.2, 0.2)]


def start_camera(
    scene: Scene, narrowest: float = NARROWEST
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Find the camera's place and what it looks at, both in world metres, with y down and FOV.

    narrowest: width over height of the narrowest window that must show all of the person.
    """
    points = _points(scene)
    middle = (points.amax(0) + points.amin(0)) / 2
    forward = -torch.nn.functional.normalize(torch.tensor(_FROM, dtype=points.dtype), dim=0)
    right = torch.nn.functional.normalize(
        torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0], dtype=points.dtype), forward), dim=0
    )
    down = torch.linalg.cross(forward, right)
    x, y, z = ((points - middle) @ torch.stack([right, down, forward]).T).T
    half = math.tan(FOV / 2)
    distance = (FREE * torch.maximum(y.abs() / half, x.abs() / (half * narrowest)) - z).max()
    place = middle - distance * forward
    return _triple(place), _triple(middle)


def _points(scene: Scene) -> Float[Tensor, "n 3"]:
    """What must be in sight: the last mesh's vertices, else the last solid Gaussians, else a usual person."""
    meshes = [step.mesh.vertices for step in scene.steps if step.mesh is not None]
    solids = [
        step.gaussians.means[step.gaussians.opacities > _SOLID]
        for step in scene.steps
        if step.gaussians is not None and step.stage != "rig"  # at rest, arms out
    ]
    found = [points for points in (*solids, *meshes) if len(points)]
    return (found[-1] if found else torch.tensor(_USUAL)).detach().cpu().double()


def _triple(vector: Float[Tensor, "3"]) -> tuple[float, float, float]:
    x, y, z = vector.tolist()
    return x, y, z
