"""Stages coarse and fuse on a tiny network."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.config import hgm_config
from turnaround.models.hgm.create import create_hgm
from turnaround.models.hgm.weights import save_hgm
from turnaround.models.mesh.silhouette import body_masks
from turnaround.models.zoo import MissingWeight
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.types import Body, Gaussians, View
from turnaround.stages.coarse import Coarse, CoarseConfig
from turnaround.stages.fuse import Fuse, FuseConfig

SIZE = 64
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def body() -> Body:
    return dataclasses.replace(Body.neutral(), transl=torch.tensor([0.0, 0.3, 0.0]))


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    torch.manual_seed(0)
    return str(
        save_hgm(create_hgm(hgm_config("tiny")), tmp_path_factory.mktemp("weights") / "tiny.safetensors")
    )


@pytest.fixture(scope="module")
def view(body) -> View:
    model = BodyModel.load()
    mask = body_masks(model(body).vertices, model.skin_faces.numpy(), orbit_cameras([0.0], 2 * SIZE))[0]
    red = torch.tensor([0.9, 0.1, 0.1])
    return View(red * mask[..., None] + 1 - mask[..., None], mask, canonical_camera(2 * SIZE))


@pytest.fixture(scope="module")
def coarse(weights, view, body):
    return Coarse(CoarseConfig(weights=weights, size=SIZE)).run(device=CPU, view=view, body=body)


def test_coarse_makes_gaussians_and_their_pictures(coarse):
    assert isinstance(coarse.gaussians, Gaussians)
    assert list(coarse.views) == ["000", "090", "180", "270"]
    assert all(picture.shape == (SIZE, SIZE, 3) for picture in coarse.views.values())
    torch.testing.assert_close(coarse.back, coarse.views["180"])


def test_an_untrained_network_already_shows_the_person(coarse, view):
    """The prior of the ray head: the pixels lie where the body is, in their own colours."""
    front = coarse.views["000"]
    mask = torch.nn.functional.avg_pool2d(view.mask[None], 2)[0]
    inside = front[mask > 0.99].mean(0)
    assert inside[0] > 0.6
    assert inside[1:].max() < 0.4
    assert front[mask < 0.01].mean() > 0.9


def test_the_same_inputs_give_the_same_gaussians(coarse, weights, view, body):
    again = Coarse(CoarseConfig(weights=weights, size=SIZE)).run(device=CPU, view=view, body=body)
    assert torch.equal(again.gaussians.means, coarse.gaussians.means)


def test_the_body_may_be_left_out(coarse, weights, view, body):
    alone = Coarse(CoarseConfig(weights=weights, size=SIZE, use_body=False)).run(
        device=CPU, view=view, body=body
    )
    assert len(alone.gaussians) == len(coarse.gaussians) - hgm_config("tiny").points


def test_fuse_reads_the_back_view(coarse, weights, view, body):
    back = View(coarse.back, 1 - coarse.back.amin(-1), orbit_cameras([180.0], SIZE)[0])
    fused = Fuse(FuseConfig(weights=weights, size=SIZE)).run(device=CPU, view=view, back=back, body=body)
    assert len(fused.gaussians) > len(coarse.gaussians)
    single = Fuse(FuseConfig(weights=weights, size=SIZE, use_back=False)).run(
        device=CPU, view=view, back=back, body=body
    )
    assert len(single.gaussians) == len(coarse.gaussians)


def test_missing_weights_are_named(view, body):
    with pytest.raises(MissingWeight, match=r"nowhere\.safetensors"):
        Coarse(CoarseConfig(weights="nowhere.safetensors")).run(device=CPU, view=view, body=body)
