"""The body in a scan, expressed in the body model that is trained with.

A dataset's parameters belong to the model that they were fitted with (SMPL-X, often the male one). Where the
training uses that same file they are taken as they are. Otherwise the trained model is laid into the same
surface: the posed source body, the dataset's own SMPL-X mesh, or, where there is neither, the scan itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from scipy.spatial import KDTree
from torch import Tensor

from turnaround.data.scans.parameters import SourceBody
from turnaround.data.scans.scan import BodyFit, ScanError
from turnaround.models.body.model import BodyModel
from turnaround.pipeline.values.types import Body

STEPS = (40, 110)  # position, turn and shape; then the pose too
REFRESH = 4  # steps between two searches for the nearest points
POINTS = 3000  # of each surface
HUBER = 0.03  # metres: larger distances (hair, skirts) pull no harder
OFF_LIMITS = {
    0.5: 0.05,
    0.9: 0.08,
}  # quantile -> metres: a body whose skin is farther from the scan is not in it
# metres: a tenth of the scan (a skirt, hair, a folded arm's place in a wrong fit) farther from the body is
# too much
UNCOVERED = 0.15


@dataclass(frozen=True)
class FittedBody:
    """A body in the scan's frame, how it was found and how far its skin is from the scan (median, metres)."""

    body: Body
    how: str
    off: float


def fitted_body(
    fit: BodyFit, points: Float32[np.ndarray, "n 3"], model: BodyModel, source: SourceBody | None
) -> FittedBody:
    """A scan's body in the terms of `model`.

    Args:
        points: of the scan's surface, in the frame of the fit.
        source: the model that the fit was made with, where the user has it.

    Raises:
        ScanError: the result does not lie on the scan.
    """
    if source is not None and fit.family == "smplx":
        given = fit.placed_body(source.model)
        if source.model.digest == model.digest:
            return _checked(fit, points, model, given, "parameters")
        with torch.no_grad():
            target = source.model(given).vertices.numpy()
        return _checked(
            fit, points, model, fit_to_points(model, _shapeless(given), target, snug=True), "source body"
        )
    start = _shapeless(fit.placed_body(model))
    if fit.vertices is not None:
        return _checked(
            fit, points, model, fit_to_points(model, start, fit.vertices, snug=True), "dataset's body mesh"
        )
    return _checked(fit, points, model, fit_to_points(model, start, points, snug=False), "scan")


def _shapeless(body: Body) -> Body:
    """Without the coefficients that mean something else in another model."""
    return replace(body, betas=torch.zeros(10), expression=torch.zeros(10))


def _checked(
    fit: BodyFit, points: Float32[np.ndarray, "n 3"], model: BodyModel, body: Body, how: str
) -> FittedBody:
    with torch.no_grad():
        skin = model(body).vertices[torch.unique(model.skin_faces)].numpy()
    distances = KDTree(points[:: max(1, len(points) // 50_000)]).query(skin[::5])[0]
    off = {quantile: float(np.quantile(distances, quantile)) for quantile in OFF_LIMITS}
    uncovered = float(np.quantile(KDTree(skin).query(points[:: max(1, len(points) // 10_000)])[0], 0.9))
    if uncovered > UNCOVERED or any(off[quantile] > limit for quantile, limit in OFF_LIMITS.items()):
        raise ScanError(
            f"{fit.file}: the body does not lie on the scan (half of it within {off[0.5] * 100:.1f} cm, 90 % "
            f"within "
            f"{off[0.9] * 100:.1f} cm; 90 % of the scan within {uncovered * 100:.1f} cm of it; from {how}); "
            f"is the fit "
            "of this scan, and --source-body the model it was made with (male SMPL-X for THuman2 and Custom "
            "Humans)?"
        )
    return FittedBody(body, how, off[0.5])


def fit_to_points(
    model: BodyModel,
    start: Body,
    points: Float[np.ndarray, "n 3"],
    *,
    snug: bool,
    steps: tuple[int, int] = STEPS,
) -> Body:
    """Lay the body's skin into a cloud of points, beginning with a pose that is about right.

    Nearest points in both directions, Huber distances, Adam. The start is moved so that both clouds have one
    centre. Where there are as many points as the model has vertices, they are the vertices of another SMPL-X
    body, in order.

    Args:
        snug: the points are of a body's skin; otherwise of clothes and hair over it, and the pose stays
        nearer to its start. steps: with a fixed pose, then with all of it.
    """
    rng = np.random.default_rng(0)
    matched = snug and len(points) == model.num_vertices
    skin = torch.unique(model.skin_faces)
    skin = skin[torch.from_numpy(rng.permutation(len(skin))[:POINTS].copy())]
    chosen = skin.numpy() if matched else rng.permutation(len(points))[:POINTS]
    target = torch.from_numpy(np.asarray(points, np.float32)[chosen].copy())
    with torch.no_grad():
        shift = _middle(target) - _middle(model(start).vertices[skin])
    fixed = replace(start, transl=start.transl + shift)
    values = {
        name: getattr(fixed, name).clone().requires_grad_(True)
        for name in ("transl", "global_orient", "betas", "body_pose")
    }
    rates = {"transl": 0.01, "global_orient": 0.02, "betas": 0.08, "body_pose": 0.015}
    tree = KDTree(target.numpy())
    for phase, names in enumerate((("transl", "global_orient", "betas"), tuple(values))):
        optimizer = torch.optim.Adam([{"params": [values[name]], "lr": rates[name]} for name in names])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps[phase], eta_min=0.0)
        pairs = (torch.arange(len(skin)), torch.arange(len(skin))) if matched else None
        for step in range(steps[phase]):
            body = replace(fixed, **values)
            vertices = model(body).vertices[skin]
            if pairs is None or (step % REFRESH == 0 and not matched):
                pairs = _nearest(vertices.detach(), target, tree)
            loss = _distance(vertices, target, pairs) + _prior(body, fixed, 0.02 if snug else 0.3)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return replace(fixed, **{name: value.detach() for name, value in values.items()})


def _middle(points: Float[Tensor, "n 3"]) -> Float[Tensor, "3"]:
    return (points.amax(0) + points.amin(0)) / 2


def _nearest(
    vertices: Tensor, target: Tensor, tree: KDTree
) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " m"]]:
    """For each vertex its target point, and for each target point its vertex."""
    to_target = tree.query(vertices.numpy())[1]
    to_vertex = KDTree(vertices.numpy()).query(target.numpy())[1]
    return torch.from_numpy(np.asarray(to_target, np.int64)), torch.from_numpy(
        np.asarray(to_vertex, np.int64)
    )


def _distance(vertices: Tensor, target: Tensor, pairs: tuple[Tensor, Tensor]) -> Float[Tensor, ""]:
    """Mean Huber distance of both directions, in units of HUBER."""
    there, back = (vertices - target[pairs[0]]).norm(dim=-1), (vertices[pairs[1]] - target).norm(dim=-1)
    return sum(torch.nn.functional.huber_loss(d / HUBER, torch.zeros_like(d)) for d in (there, back))  # type: ignore[return-value]


def _prior(body: Body, start: Body, weight: float) -> Float[Tensor, ""]:
    """Shapes are likely ones, poses near the one that was given."""
    return 0.002 * body.betas.square().sum() + weight * (body.body_pose - start.body_pose).square().sum()
