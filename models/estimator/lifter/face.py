"""Jaw and expression from 68 points of a face, by how the body model's own face moves with them.

Rendered faces of full figures are too small to learn expressions from, and real faces differ in shape. So
only the mean face is learned; what differs from it at brows, lids and lips is explained by the model's
derivatives, regularised.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.estimator.lifter.landmark_points import RIGID_FACE
from turnaround.pipeline.values.types import Body

OUTPUTS = 1 + 10  # jaw about x, radians; coefficients of the expression
FIRST = 17  # of the 68 points: those before are the contour, which the body model's landmarks lack
LIMIT, JAW_LIMIT = 1.5, 0.4  # standard deviations of a coefficient; radians
EXPRESSION, JAW = 0.6, 0.12  # deviations of what is expected
NOSE = range(27, 36)  # of the 68
NOSE_NOISE, NOISE = (
    0.006,
    0.0035,
)  # metres: how far identity alone moves points of the nose; brows, lids, lips


class FaceReader(nn.Module):
    """Points of a face -> jaw pose and expression of a body model."""

    mean: Float[Tensor, "68 3"]  # metres, about the rigid points' middle
    weight: Float[Tensor, "153 11"]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(68, 3))
        self.register_buffer("weight", torch.zeros((68 - FIRST) * 3, OUTPUTS))

    def forward(
        self, face: Float[Tensor, "b 68 3"], flag: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b 3"], Float[Tensor, "b 10"]]:
        """Jaw (axis-angle, radians) and expression; zeros where no face is seen."""
        there = (flag > 0).float()[:, None]
        values = (laid_over(face, self.mean) - self.mean)[:, FIRST:].flatten(1) @ self.weight * there
        jaw = torch.nn.functional.pad(values[:, :1].clamp(0, JAW_LIMIT), (0, 2))
        return jaw, values[:, 1:].clamp(-LIMIT, LIMIT)

    @torch.no_grad()
    def learn(self, faces: Float[Tensor, "b 68 3"], model: BodyModel) -> None:
        """Take the mean of `faces`, in size and axes of the model's face, and the map that explains
        differences.

        Args:
            faces: in any axes, of any size; the mean alone gives the map again: `learn(mean[None], model)`.
        """
        rest, derivative = face_derivative(model)
        mean = faces[0] - faces[0].mean(0)
        for _ in range(5):
            mean = laid_over(faces, mean).mean(0)
        self.mean.copy_(_at_size_of(_in_axes_of(mean, rest), rest))
        noise = torch.full((68 - FIRST, 3), NOISE)
        noise[[k - FIRST for k in NOSE]] = NOSE_NOISE
        noise[:, 2] *= 2  # of the face's own axes: depth is a guess of the mesh network
        scaled = derivative.reshape(-1, OUTPUTS) / noise.reshape(-1, 1)
        prior = torch.diag(1 / torch.tensor([JAW, *[EXPRESSION] * 10]).square())
        explained = torch.linalg.solve(scaled.T @ scaled / 4 + prior, scaled.T / 4)
        self.weight.copy_((explained / noise.reshape(1, -1)).T)


def face_derivative(model: BodyModel) -> tuple[Float[Tensor, "51 3"], Float[Tensor, "51 3 11"]]:
    """The model's face landmarks at rest, and how they move with the jaw and each expression (finite
    differences)."""
    index, share = model.face_landmarks

    def landmarks(jaw: float = 0.0, coefficient: int = -1) -> Float[Tensor, "51 3"]:
        body = Body.neutral()
        body.jaw_pose[0] = jaw
        if coefficient >= 0:
            body.expression[coefficient] = 1.0
        out = model(body)
        points = (out.vertices[index] * share[..., None]).sum(1)
        return points - out.joints[JOINT_INDEX["head"]]

    rest = landmarks()
    moved = [(landmarks(jaw=0.1) - rest) / 0.1, *(landmarks(coefficient=k) - rest for k in range(10))]
    return rest, torch.stack(moved, -1)


def _at_size_of(mean: Float[Tensor, "68 3"], rest: Float[Tensor, "51 3"]) -> Float[Tensor, "68 3"]:
    """The mean face in metres: its eyes and nose as far apart as the model's."""
    size = lambda points: (points - points.mean(0)).norm(dim=-1).mean()  # noqa: E731
    chosen = [k for k in RIGID_FACE if k >= FIRST]
    return (mean - mean[chosen].mean(0)) * size(rest[[k - FIRST for k in chosen]]) / size(mean[chosen])


def _in_axes_of(mean: Float[Tensor, "68 3"], rest: Float[Tensor, "51 3"]) -> Float[Tensor, "68 3"]:
    """The mean face in the model's axes: the first of the faces, over which it was laid, may look
    anywhere."""
    wanted = torch.cat([torch.zeros(FIRST, 3), rest])
    return laid_over(mean[None], wanted, points=range(FIRST, 68))[0]


def laid_over(
    face: Float[Tensor, "b 68 3"],
    mean: Float[Tensor, "68 3"],
    points: Iterable[int] = RIGID_FACE,
) -> Float[Tensor, "b 68 3"]:
    """Faces turned, scaled and moved so that their rigid `points` lie on those of `mean` (Umeyama)."""
    rigid = list(points)
    source, target = face[:, rigid], mean[rigid]
    centre, goal = source.mean(1, keepdim=True), target.mean(0)
    a, b = source - centre, (target - goal).expand_as(source)
    u, s, vt = torch.linalg.svd(a.transpose(-1, -2) @ b + 1e-9 * torch.eye(3, device=face.device))
    sign = torch.ones_like(s)
    sign[:, 2] = torch.det(u @ vt).sign()
    turn = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(-1) / a.square().sum((-1, -2)).clamp(min=1e-9)
    return scale[:, None, None] * (face - centre) @ turn + goal
