"""A frame of a film: 150,000 Gaussians of a person skinned, drawn at 512 px and put before their ground.

    python -m benchmarks.animation
    turnaround bench animation

The person is the body itself with Gaussians spread over its skin as those of a photo are: discs of a few
millimetres, smaller than a pixel.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from turnaround.models.animation.cameras import film_cameras
from turnaround.models.animation.film import FINEST, Actor, frames, larger
from turnaround.models.animation.skinner import Skinner
from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.binding.transfer import strongest, with_twists
from turnaround.models.avatar.bones import rest_bones
from turnaround.models.avatar.displacement import rest_vertices
from turnaround.models.body.model import BodyModel
from turnaround.models.motion.builtin import builtin
from turnaround.models.splat.fine import times_larger
from turnaround.models.splat.rasterize import rasterize
from turnaround.pipeline.values.rig import Rig, SkinWeights
from turnaround.pipeline.values.types import Body, Gaussians, TexturedMesh

COUNT, SIZE, FPS = 150_000, 512, 25.0
SCALES = (0.0016, 0.0012, 0.0003)  # metres: a median Gaussian of the six photos


def person(count: int = COUNT) -> Avatar:
    """The mean body with so many Gaussians spread evenly over its skin."""
    model, rest = BodyModel.shared(), Body.neutral()
    vertices, corners = rest_vertices(model, rest).double().numpy(), model.skin_faces.numpy()
    dense = with_twists(model, rest)
    edges = vertices[corners[:, 1:]] - vertices[corners[:, :1]]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    random = np.random.default_rng(0)
    face = corners[random.choice(len(corners), count, p=area / area.sum())]
    share = random.dirichlet((1, 1, 1), count)[..., None]
    ids, kept = strongest((dense[face] * share).sum(1))
    skin = SkinWeights(torch.from_numpy(ids).long(), torch.from_numpy(kept).float())
    quats = torch.nn.functional.normalize(torch.from_numpy(random.normal(size=(count, 4))).float(), dim=1)
    means = torch.from_numpy((vertices[face] * share).sum(1)).float()
    colors = torch.from_numpy(random.random((count, 3))).float()
    scales = torch.tensor(SCALES).repeat(count, 1)
    gaussians = Gaussians(means, quats, scales, torch.full((count,), 0.98), colors)
    mesh = TexturedMesh(
        means[:3], torch.tensor([[0, 1, 2]]), colors[:3], torch.zeros(3, 2), torch.ones(4, 4, 3)
    )
    return Avatar(model, Rig(rest, rest, rest_bones(model, rest), skin[:3], skin), mesh, gaussians)


def measure(quick: bool) -> dict[str, Any]:
    """Medians of wall and CPU milliseconds of a frame and of its parts, over a dance."""
    count = 10 if quick else 60
    motion = builtin("dance", fps=FPS)[:count]
    actor = Actor(Skinner(person(), motion.body))
    points = torch.stack([actor.extent(k) for k in range(count)])
    cameras = film_cameras(points, actor.skinner.joints[:, 0], SIZE, FPS, "orbit")
    posed = actor.gaussians(0)
    times = times_larger(posed, cameras[0], FINEST)
    large = larger(cameras, times)
    list(frames([actor], cameras[:2]))  # compiles

    def draw(k: int) -> None:
        with torch.no_grad():
            rasterize(posed, large[k], background=0.0, outputs=("rgb", "alpha"))

    film = frames([actor], cameras)
    parts = {"skin": actor.gaussians, "draw": draw, "frame": lambda _: next(film)}
    size = f"{COUNT // 1000}k_{SIZE}px"
    results = {f"animation_{name}_{size}": _timed(part, count) for name, part in parts.items()}
    frame = results[f"animation_frame_{size}"]
    return results | {"animation_rate": {"fps": 1e3 / frame["median_ms"], "larger": times}}


def _timed(part: Callable[[int], object], count: int) -> dict[str, Any]:
    walls, processors = [], []
    for k in range(count):
        wall, processor = time.perf_counter(), time.process_time()
        part(k)
        walls.append(1e3 * (time.perf_counter() - wall))
        processors.append(1e3 * (time.process_time() - processor))
    return {"median_ms": median(walls), "cpu_ms": median(processors), "n": count}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(quick="--quick" in sys.argv), indent=1) + "\n")
