"""What lies about the body moves as the body's shape does."""

from dataclasses import replace

import torch

from turnaround.models.avatar.displacement import (
    body_directions,
    carried_directions,
    rest_vertices,
)
from turnaround.models.body.model import BodyModel
from turnaround.pipeline.values.types import Body


def _some(model: BodyModel) -> torch.Tensor:
    return model.skin_faces.unique()[::97]


def test_a_point_on_the_skin_moves_nearly_as_its_vertex():
    model, rest = BodyModel.shared(), Body.neutral()
    shape = body_directions(model).shape
    some = _some(model)
    carried = carried_directions(model, rest, rest_vertices(model, rest)[some], shape)
    # a blend over a centimetre or two of skin, on which the directions change little: metres a unit of beta
    assert (carried - shape[some]).norm(dim=1).quantile(0.95) < 0.002


def test_directions_are_those_between_bodies_of_two_shapes():
    model, rest = BodyModel.shared(), Body.neutral()
    betas = torch.linspace(-1, 1, 10)
    moved = rest_vertices(model, replace(rest, betas=betas)) - rest_vertices(model, rest)
    torch.testing.assert_close(body_directions(model).shape @ betas, moved, atol=1e-6, rtol=1e-5)


def test_a_constant_direction_is_carried_whole_to_any_distance():
    model, rest = BodyModel.shared(), Body.neutral()
    up = torch.tensor([0.0, -1.0, 0.0])[None, :, None].expand(model.num_vertices, 3, 1)
    points = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(carried_directions(model, rest, points, up), up[:200])


def test_beyond_its_reach_a_direction_fades_to_nothing():
    model, rest = BodyModel.shared(), Body.neutral()
    up = torch.ones(model.num_vertices, 3, 1)
    nose = rest_vertices(model, rest)[model.skin_faces.unique()][:, 2].min()
    front = torch.tensor([[0.0, -0.6, float(nose) - d] for d in (0.0, 0.05, 5.0)])
    share = carried_directions(model, rest, front, up, reach=0.3)[:, 0, 0]
    assert share[0] > 0.9 and share[1] > 0.8
    assert share[2] == 0


def test_what_is_carried_changes_smoothly_along_a_line():
    model, rest = BodyModel.shared(), Body.neutral()
    line = torch.tensor([0.1, -0.2, -0.3]) + torch.linspace(0, 0.2, 401)[:, None] * torch.tensor([0, 1.0, 0])
    carried = carried_directions(model, rest, line, body_directions(model).shape)
    step = (carried[1:] - carried[:-1]).norm(dim=1).amax()
    assert step < 0.002  # metres a unit of beta, in half a millimetre
