"""What the Human Gaussian Model is trained on: turned worlds, noisy bodies, losses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.config import hgm_config
from turnaround.models.hgm.create import create_hgm
from turnaround.models.hgm.model import HGM
from turnaround.models.hgm.train import loss_fn
from turnaround.models.hgm.training.dataset import BACK, VIEWS, PeopleViews, noisy_body, turned_body
from turnaround.models.hgm.training.losses import box_ssim, hgm_loss
from turnaround.models.mesh.silhouette import body_masks
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras, to_camera
from turnaround.pipeline.values.types import Body

SIZE = 64


@pytest.fixture(scope="module")
def body_model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, body_model):
    """Two people as the generator writes them: grey bodies, darker seen from behind."""
    path = tmp_path_factory.mktemp("views")
    for person in range(2):
        generator = torch.Generator().manual_seed(person)
        body = dataclasses.replace(
            Body.neutral(),
            betas=torch.randn(10, generator=generator),
            body_pose=0.15 * torch.randn(21, 3, generator=generator),
            global_orient=torch.tensor([torch.pi, 0.1, 0.05]),
            transl=torch.tensor([0.05, 0.3, -0.04]),
        )
        vertices = body_model(body).vertices
        cameras = orbit_cameras([30.0 * k for k in range(VIEWS)], SIZE)
        mask = body_masks(vertices, body_model.skin_faces.numpy(), cameras)
        shade = torch.tensor([0.6 + 0.2 * np.cos(np.pi * k / 6) for k in range(VIEWS)])[:, None, None, None]
        rgb = (shade * mask[..., None] + 1 - mask[..., None]).expand(-1, -1, -1, 3)
        parameters = {f"body_{f.name}": getattr(body, f.name).numpy() for f in dataclasses.fields(Body)}
        pictures = {
            "rgb": (rgb * 255).byte().numpy(),
            "mask": (mask * 255).byte().numpy(),
            "depth": (2 * (mask > 0.5)).half().numpy(),
        }
        np.savez(path / f"{person:07d}.npz", **pictures, **parameters)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def model(body_model) -> HGM:
    torch.manual_seed(0)
    return create_hgm(hgm_config("tiny"), body_model)


@pytest.fixture(scope="module")
def people(folder, body_model, model) -> PeopleViews:
    return PeopleViews(folder, body_model, model.surface)


def example(people: PeopleViews, **changes):
    settings = {"turn": 0, "inputs": 1, "supervised": [BACK, 1, 3], "noise": 0.0, "with_body": True}
    return people.example(0, np.random.default_rng(0), **(settings | changes))


@pytest.mark.parametrize("turn", [0, 1, 5, 6, 11])
def test_turning_the_world_leaves_what_the_camera_sees(people, body_model, turn):
    arrays = people.person(0)
    before = body_model(turned_body(arrays, 0, body_model)).vertices
    after = body_model(turned_body(arrays, turn, body_model)).vertices
    seen = to_camera(before, orbit_cameras([30.0 * turn], SIZE)[0])
    torch.testing.assert_close(to_camera(after, canonical_camera(SIZE)), seen, atol=2e-5, rtol=0)


@pytest.mark.parametrize("turn", [0, 1, 11])
def test_inputs_and_supervision_show_the_same_person_in_the_turned_world(people, body_model, turn):
    e = example(people, turn=turn, inputs=2, supervised=[0, BACK, 4])
    vertices = body_model(turned_body(people.person(0), turn, body_model)).vertices
    expected = body_masks(vertices, body_model.skin_faces.numpy(), e.cameras)
    assert (e.mask - expected).abs().mean() < 2e-3  # 8-bit masks
    torch.testing.assert_close(e.inputs.mask[0, :, 0], e.mask[:2])
    assert e.inputs.visible[0, 0].mean() > 0.2


def test_noise_is_proportional_to_its_amount(body_model):
    body = Body.neutral()
    joints = body_model(body).joints

    def error(amount: float) -> float:
        moved = [body_model(noisy_body(body, np.random.default_rng(k), amount)).joints for k in range(20)]
        return float(torch.stack([(m - joints)[:22].norm(dim=-1).mean() for m in moved]).mean())

    assert error(0.0) < 1e-5
    assert error(1.0) == pytest.approx(2 * error(0.5), rel=0.1)
    assert 0.03 < error(1.0) < 0.09  # metres


def test_ssim_of_equal_pictures_is_one_and_falls_with_noise():
    x = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    assert float(box_ssim(x, x)) == pytest.approx(1, abs=1e-5)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    scores = [float(box_ssim(x, x + amount * noise)) for amount in (0.02, 0.1, 0.5)]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("with_body", [True, False])
def test_the_loss_is_finite_and_reaches_the_network(model, people, with_body):
    loss, values = loss_fn(
        model, [example(people, with_body=with_body), example(people, inputs=1, noise=0.5)]
    )
    assert torch.isfinite(loss)
    assert {"rgb", "mask", "structure", "depth"} <= set(values)
    model.zero_grad()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    assert model.image_branch.unet.conv_in.weight.grad.abs().sum() > 0


def test_the_loss_is_finite_without_a_person(model, people):
    e = example(people)
    empty = dataclasses.replace(
        e.inputs, mask=torch.zeros_like(e.inputs.mask), has_body=torch.tensor([False])
    )
    nobody = dataclasses.replace(e, inputs=empty, mask=torch.zeros_like(e.mask), rgb=torch.ones_like(e.rgb))
    loss, _ = hgm_loss(model(empty)[0], nobody)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)


def test_a_few_steps_lower_the_loss(body_model, people):
    torch.manual_seed(0)
    model = create_hgm(hgm_config("tiny"), body_model)
    batch = [example(people), example(people, turn=1)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(12):
        loss, _ = loss_fn(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_no_people_is_an_error_that_says_how_to_make_them(tmp_path, body_model, model):
    with pytest.raises(FileNotFoundError, match="data people"):
        PeopleViews(tmp_path, body_model, model.surface)
