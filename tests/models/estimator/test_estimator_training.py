"""Training of the estimator: data sets on disk, reproducible batches, a loss that falls, the errors that are
reported."""

import dataclasses

import numpy as np
import pytest
import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.crop import project_plane
from turnaround.models.estimator.dataset import Singles
from turnaround.models.estimator.train import estimator_loss, measure, new_estimator, procrustes_error
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


def test_procrustes_is_blind_to_similarity():
    points = torch.randn(3, 22, 3)
    turn = axis_angle_to_matrix(torch.randn(3, 3))
    moved = 1.7 * points @ turn + torch.randn(3, 1, 3)
    assert procrustes_error(moved, points).max() < 1e-5
    assert procrustes_error(moved + 0.1 * torch.randn_like(points), points).min() > 0.01


def write_singles(folder, model, count=10, size=64):
    g = torch.Generator().manual_seed(0)
    body = dataclasses.replace(Body.neutral(count), body_pose=0.1 * torch.randn(count, 21, 3, generator=g))
    joints = model(body).joints
    rgba = np.zeros((count, size, size, 4), np.uint8)
    rgba[:, 12:52, 24:40] = 200
    np.save(folder / "rgba.npy", rgba)
    np.save(folder / "joints.npy", joints.numpy())
    np.save(folder / "joints_uv.npy", (project_plane(joints).numpy() + 1) / 2)
    np.save(folder / "joint_visible.npy", np.ones((count, 55), bool))
    for field in dataclasses.fields(Body):
        np.save(folder / f"body_{field.name}.npy", getattr(body, field.name).numpy())


def test_training_batches_are_reproducible_and_learn(tmp_path, model):
    write_singles(tmp_path, model)
    data = Singles(tmp_path, "train", held_out=0.2)
    assert len(data) == 8 and len(Singles(tmp_path, "held", held_out=0.2)) == 2
    backgrounds = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8)
    first, second = (data.spoilt(4, backgrounds, np.random.default_rng(1)) for _ in range(2))
    assert torch.equal(first.pixels, second.pixels) and torch.equal(first.labels.joints, second.labels.joints)
    assert first.pixels.shape == (4, 4, 128, 128) and torch.isfinite(first.pixels).all()
    torch.manual_seed(0)
    network = new_estimator(data)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    batch, losses = data.plain(np.arange(8)), []
    for _ in range(12):
        loss, _ = estimator_loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert {"mpjpe", "absolute", "pa_mpjpe", "keypoint_px"} <= set(measure(network, [batch]))


def test_missing_set_names_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="turnaround data people"):
        Singles(tmp_path, "train")
