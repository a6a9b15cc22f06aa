"""Photos on their head: without landmarks the picture's network tells, since it knows upright people only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.turned import better_turned, covers, quarter_turned
from turnaround.models.mesh.silhouette import body_masks
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.types import Body, Camera, View

SIZE = 128


@pytest.fixture(scope="module")
def upright() -> tuple[BodyModel, Body, View]:
    """Somebody with one arm up before the canonical camera."""
    model, camera = BodyModel.shared(), canonical_camera(SIZE)
    pose = torch.zeros(21, 3)
    pose[15, 2] = 1.2
    body = replace(Body.neutral(), global_orient=torch.tensor([torch.pi, 0.0, 0.0]), body_pose=pose)
    one = Camera(camera.K[None], camera.T_camera_world[None], SIZE, SIZE)
    mask = body_masks(model(body).vertices, model.skin_faces.numpy().astype(np.int32), one)[0].float()
    return model, body, View(torch.ones(SIZE, SIZE, 3), mask, camera)


@pytest.mark.parametrize("quarters", range(4))
def test_the_turns_that_bring_a_person_upright_are_found(upright, quarters):
    model, body, view = upright
    photo = quarter_turned(view, -quarters)
    found = better_turned(lambda _: body, photo, body, model)  # always upright
    if quarters == 0:
        assert found is None and covers(body, view, model) > 0.95
        return
    assert found is not None and found[0] == quarters
    assert found[1] == pytest.approx(covers(body, photo, model)) and found[2] > 0.95


def test_where_no_side_fits_nothing_is_said(upright):
    model, body, view = upright
    blot = View(view.image, torch.ones_like(view.mask), view.camera)
    assert covers(body, blot, model) < 0.3
    assert better_turned(lambda _: body, blot, body, model) is None
