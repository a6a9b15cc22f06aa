"""Normals: the two sides on one grid, the network's laws, pictures from elsewhere, training data."""

import dataclasses

import numpy as np
import pytest
import torch
from typecheck import unchecked

from turnaround.models.body.model import BodyModel
from turnaround.models.normals.network import (
    NormalNetwork,
    NormalPair,
    body_normals,
    disturbed,
    from_front_grid,
    load_normal_maps,
    normal_model,
    on_front_grid,
    predict_normals,
)
from turnaround.models.normals.train import Views, normal_loss
from turnaround.pipeline.formats.normal_image import encode_normals
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.types import Body, View


@pytest.fixture(scope="module")
def model():
    return BodyModel.load()


@pytest.fixture(scope="module")
def pair(model):
    body = Body.neutral()
    return body_normals(model, body, 64)


def view_of(pair: NormalPair) -> View:
    mask = (pair.front.norm(dim=-1) > 0.5).float()
    return View(1 - 0.5 * mask[..., None].expand(-1, -1, 3), mask, canonical_camera(mask.shape[0]))


def test_body_normals_face_their_cameras(pair):
    front, back = (side[side.norm(dim=-1) > 0.5] for side in (pair.front, pair.back))
    assert (
        len(front) > 100
        and (front[:, 2] < 0.05).float().mean() > 0.99
        and (back[:, 2] > -0.05).float().mean() > 0.99
    )


def test_front_grid_is_invertible_and_lays_the_back_under_the_front(pair):
    grid = on_front_grid(pair)
    again = from_front_grid(grid)
    assert torch.equal(again.front, pair.front) and torch.equal(again.back, pair.back)
    covers = grid.unflatten(0, (2, 3)).norm(dim=1) > 0.5
    assert (covers[0] & covers[1]).sum() > 0.85 * (covers[0] | covers[1]).sum()


def test_untrained_network_returns_the_body_and_unit_vectors(pair):
    network = NormalNetwork().eval()
    found = predict_normals(network, view_of(pair), pair)
    inside = pair.front.norm(dim=-1) > 0.5
    torch.testing.assert_close(found.front[inside], pair.front[inside], atol=1e-5, rtol=0)
    alone = predict_normals(network, view_of(pair), None, size=64)
    assert torch.allclose(alone.front[inside], torch.tensor([0.0, 0.0, -1.0]))
    assert (alone.front[~inside] == 0).all() and alone.back.norm(dim=-1).max() < 1.0001


def test_normal_model_is_what_the_refinement_calls(model, pair):
    maps = normal_model(NormalNetwork().eval(), view_of(pair), model, size=64)
    assert maps(Body.neutral()).shape == maps(None).shape == (2, 64, 64, 3)
    assert not torch.allclose(maps(Body.neutral()), maps(None))


def test_pictures_from_elsewhere_come_back_as_they_were(pair):
    cameras = orbit_cameras([0.0, 180.0], 64)
    pictures = [encode_normals(side, cameras[k])[..., :3] for k, side in enumerate((pair.front, pair.back))]
    found = load_normal_maps(*pictures)
    for side in ("front", "back"):
        there = getattr(pair, side).norm(dim=-1) > 0.5
        difference = (getattr(found, side) - getattr(pair, side))[there].norm(dim=-1)
        assert difference.quantile(0.98) < 1e-4


def test_pictures_that_are_no_normals_are_refused():
    with pytest.raises(ValueError, match="not a normal map"):
        load_normal_maps(torch.rand(8, 8, 3) * 0.1 + 0.6, torch.rand(8, 8, 3))
    with unchecked(), pytest.raises(ValueError, match=r"must both be \(h, w, 3\)"):
        load_normal_maps(torch.rand(8, 8, 3), torch.rand(9, 8, 3))


def test_disturbance_grows_and_is_seeded(model):
    body = Body.neutral()
    true = model(body).joints

    def error(amount):
        return (
            (model(disturbed(body, torch.Generator().manual_seed(3), amount)).joints - true)
            .norm(dim=-1)
            .mean()
        )

    assert error(0.0) == 0 and 0.01 < error(0.5) < error(1.0) < error(2.0)
    assert error(1.0) == error(1.0)


@pytest.fixture
def views(tmp_path, model):
    """Two people whose clothes are their skin."""
    cameras, size = orbit_cameras([30.0 * k for k in range(12)], 192), 192
    from turnaround.models.mesh.silhouette import normal_maps

    for person in range(2):
        body = dataclasses.replace(Body.neutral(), betas=torch.full((10,), 0.3 * person))
        maps = normal_maps(model(body).vertices, model.skin_faces.numpy(), cameras)
        mask = (maps.norm(dim=-1) > 0.5).numpy()
        np.savez(
            tmp_path / f"{person:07d}.npz",
            rgb=np.full((12, size, size, 3), 128, np.uint8),
            mask=(mask * 255).astype(np.uint8),
            normal=(maps.numpy() * 127).round().astype(np.int8),
            azimuths=np.arange(12) * 30.0,
            **{f"body_{f.name}": getattr(body, f.name).numpy() for f in dataclasses.fields(Body)},
        )
    return tmp_path


def test_training_pairs_agree_with_the_body_from_every_side(views):
    data = Views(views, "train")
    assert len(data.pairs) == 4
    for k in range(4):
        sample = data.sample(k, 0, 0.0)
        cosine = (sample.body.unflatten(0, (2, 3)) * sample.target.unflatten(0, (2, 3))).sum(1)
        assert (cosine[sample.known > 0] > 0.99).float().mean() > 0.98
    assert data.sample(0, 0, -1.0).body.abs().max() == 0


def test_training_improves_on_the_wrong_body(views):
    data, losses = Views(views, "train"), []
    torch.manual_seed(0)
    network = NormalNetwork()
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    batch = data.batch(4, np.random.default_rng(0))
    for _ in range(8):
        loss, _ = normal_loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_missing_views_name_the_remedy(tmp_path):
    with pytest.raises(ValueError, match="turnaround data people"):
        Views(tmp_path, "train")
