"""The preset `gst`: one network says body and Gaussians, through the stages that HGM goes through."""

from __future__ import annotations

import pytest
import torch

from turnaround import stages
from turnaround.models.gst.config import GSTConfig
from turnaround.models.gst.train import new_model
from turnaround.models.gst.weights import save_gst
from turnaround.models.landmarks.record import absent
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.settings import load_settings
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.types import View
from turnaround.stages.estimate import Estimate

USES = ("estimate.weights", "coarse.weights", "refine.hgm", "fuse.weights")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The shipped estimator with heads that have learned nothing: discs in the colours of the photo."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("gst") / "gst.safetensors"
    return str(save_gst(new_model("", "estimator", GSTConfig(points=900, groups=4)), file))


@pytest.fixture(scope="module")
def made(weights):
    """The stages of the preset with those weights."""
    overrides = [f"stages.{use}={weights}" for use in USES]
    settings = load_settings("gst", stages.classes(), [*overrides, "stages.coarse.size=64"])
    return {stage.name: stage for stage in settings.build(stages.classes())}


@pytest.fixture(scope="module")
def view():
    size = 128
    image, mask = torch.ones(size, size, 3), torch.zeros(size, size)
    mask[14:114, 50:78] = 1
    image[mask > 0] = torch.tensor([0.1, 0.3, 0.7])
    return View(image, mask, canonical_camera(size))


def test_the_preset_asks_gst_for_all_of_it():
    made = load_settings("gst", stages.classes()).stages
    named = {use: getattr(made[use.split(".")[0]], use.split(".")[1]) for use in USES}
    assert set(named.values()) == {"gst"}
    assert not made["refine"].enabled and made["back_view"].exemplar


def test_body_and_gaussians_come_from_one_network(made, view):
    cpu = torch.device("cpu")
    landmarks = absent("a test")
    body, keypoints, overlay, doubts = made["estimate"].run(
        device=cpu, view=view, landmarks=landmarks, given=None
    )
    assert overlay.shape == (128, 128, 3) and doubts["causes"] == [] and "left_knee" in keypoints
    coarse = made["coarse"].run(device=cpu, view=view, body=body)
    assert len(coarse.gaussians) == 900
    front = coarse.views["000"]
    blue = (front - torch.tensor([0.1, 0.3, 0.7])).abs().amax(-1) < 0.15
    assert blue.float().mean() > 0.02  # the photo's own colour, where the body is
    refined = made["refine"].run(device=cpu, view=view, landmarks=landmarks, body=body, keypoints=keypoints)
    assert torch.equal(refined.body.body_pose, body.body_pose)
    torch.testing.assert_close(refined.gaussians.means, coarse.gaussians.means)


def test_weights_and_keys_name_the_gst_alone(made, weights):
    assert made["estimate"].weights() == (weights, "lifter", "body")
    assert Estimate(Estimate.Config(provider="gst", weights=weights)).weights() == (weights, "body")


def test_another_weight_as_gst_is_an_error_that_says_so(view):
    overrides = ["stages.estimate.weights=estimator", "stages.estimate.provider=gst"]
    settings = load_settings("gst", stages.classes(), overrides)
    stage = next(s for s in settings.build(stages.classes()) if s.name == "estimate")
    with pytest.raises(CallError, match="weight of another network"):
        stage.run(device=torch.device("cpu"), view=view, landmarks=absent("a test"), given=None)
