"""Shapes are checked while the suite runs: in every module that declares some, kernels aside."""

import sys

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from typecheck import ROOMS, shaped_modules, unchecked

from turnaround.models.mesh.zbuffer import draw_nearest, rasterize_mesh
from turnaround.pipeline.values.camera import orbit_cameras, project


def test_the_list_reaches_into_every_room_that_has_shapes():
    rooms = {name.split(".")[1] for name in shaped_modules()}
    assert rooms == set(ROOMS) - {"stages"}  # a stage's `run` takes records, which check themselves


@pytest.mark.parametrize(
    "points", [torch.zeros(5, 2), torch.zeros(5, 3, dtype=torch.int64), [[0.0, 0.0, 1.0]]]
)
def test_a_wrong_shape_dtype_or_type_fails(points):
    with pytest.raises(TypeCheckError, match="points"):
        project(points, orbit_cameras([0.0], 8))


def test_modules_are_checked_though_they_hold_kernels():
    with pytest.raises(TypeCheckError, match="faces"):
        rasterize_mesh(np.zeros((3, 3), np.float32), np.zeros((1, 4), np.int32), 4, 4)
    assert hasattr(draw_nearest, "signatures")  # numba's, not a wrapper's


def test_what_a_function_refuses_itself_can_be_met():
    with unchecked(), pytest.raises(ValueError, match=r"\(faces, 3\)"):
        rasterize_mesh(np.zeros((3, 3), np.float32), np.zeros((1, 4), np.int32), 4, 4)


def test_all_that_is_imported_is_watched():
    loaded = [sys.modules[name] for name in shaped_modules() if name in sys.modules]
    assert loaded and all("jaxtyping" in vars(module) for module in loaded)  # the hook imports it into each
