"""The Human Gaussian Model: laws of its parts, and the whole at the tiny size."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest
import torch
from gaussian_checks import assert_valid
from safetensors.torch import save_file
from torch import nn

from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.config import HGMConfig, config_from_json, hgm_config
from turnaround.models.hgm.create import create_hgm
from turnaround.models.hgm.inputs import HGMInput, prepare, stack, unpremultiply
from turnaround.models.hgm.model import HGM, flat_name
from turnaround.models.hgm.rendering import back_view, orbit_views
from turnaround.models.hgm.surface import BodySurface
from turnaround.models.hgm.unet import UNetConfig
from turnaround.models.hgm.weights import load_hgm, move_tokens, read_hgm, save_hgm
from turnaround.models.mesh.silhouette import body_masks
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.types import Body, Gaussians, View

SIZE = 64


@pytest.fixture(scope="module")
def body_model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def body() -> Body:
    return dataclasses.replace(Body.neutral(), transl=torch.tensor([0.0, 0.3, 0.0]))


@pytest.fixture(scope="module")
def views(body_model, body) -> list[View]:
    """Front and back of the body, coloured by ramps across and down the picture."""
    cameras = orbit_cameras([0.0, 180.0], SIZE)
    masks = body_masks(body_model(body).vertices.reshape(-1, 3), body_model.skin_faces.numpy(), cameras)
    ramp = torch.linspace(0.2, 0.9, SIZE)
    color = torch.stack(
        [ramp.expand(SIZE, SIZE), ramp.flip(0).expand(SIZE, SIZE), ramp[:, None].expand(SIZE, SIZE)], -1
    )
    return [View(color * m[..., None] + 1 - m[..., None], m, cameras[k]) for k, m in enumerate(masks)]


def lively(config: HGMConfig, body_model: BodyModel, seed: int = 0) -> HGM:
    """A model whose output layers are not near zero, so that every part matters."""
    torch.manual_seed(seed)
    model = create_hgm(config, body_model).eval()
    for name, parameter in model.named_parameters():
        if flat_name(name).startswith(("body_head", "image_out", "body_out", "unet.conv_out", "view")):
            nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture(scope="module")
def model(body_model) -> HGM:
    return lively(hgm_config("tiny"), body_model)


def inputs_of(model: HGM, views: list[View], body: Body | None) -> HGMInput:
    return prepare(views, body, model.body_model, model.surface, model.config.size)


def assert_same(a: Gaussians, b: Gaussians, **tolerance) -> None:
    for field in dataclasses.fields(Gaussians):
        torch.testing.assert_close(getattr(a, field.name), getattr(b, field.name), **tolerance)


# ---- inputs
# ---------------------------------------------------------------------------------------------------------


def test_unpremultiply_takes_the_white_out():
    generator = torch.Generator().manual_seed(0)
    color, mask = (
        torch.rand(3, 8, 8, generator=generator),
        0.1 + 0.9 * torch.rand(1, 8, 8, generator=generator),
    )
    torch.testing.assert_close(unpremultiply(color * mask + 1 - mask, mask), color, atol=1e-5, rtol=1e-5)


def test_a_picture_of_twice_the_size_gives_the_same_inputs(model, views, body):
    def double(view: View) -> View:
        image, mask = (x.repeat_interleave(2, 0).repeat_interleave(2, 1) for x in (view.image, view.mask))
        return View(image, mask, canonical_camera(2 * SIZE))

    small, large = inputs_of(model, views[:1], body), inputs_of(model, [double(views[0])], body)
    for field in dataclasses.fields(HGMInput):
        torch.testing.assert_close(getattr(small, field.name), getattr(large, field.name))


def test_the_front_view_sees_the_front_and_the_back_view_the_back(model, views, body):
    inputs = inputs_of(model, views, body)
    front, back = inputs.visible[0].bool()
    facing = inputs.normals[0, :, 2] < 0  # towards the input camera
    assert 0.2 < front.float().mean() < 0.6
    assert 0.2 < back.float().mean() < 0.6
    assert (front & ~facing).float().mean() < 0.05
    assert (back & facing).float().mean() < 0.05
    assert (front & back).float().mean() < 0.01  # fingers are thinner than the tolerance of visibility


def test_body_maps_show_the_body_where_its_mask_is(model, views, body):
    maps = inputs_of(model, views[:1], body).maps[0, 0]
    mask = nn.functional.avg_pool2d(views[0].mask[None], 2)[0]
    assert ((maps[1] > 0.5) == (mask > 0.5)).float().mean() > 0.97
    inside = maps[1] > 0.5
    assert (maps[0, inside] - 2).abs().max() < 0.5
    assert maps[4, inside].mean() < -0.3  # normals look at the camera


def test_mirror_points_are_mirror_images(body_model):
    surface = BodySurface(body_model, 2048)
    gap = (surface.rest[surface.mirror] * torch.tensor([-1.0, 1, 1]) - surface.rest).norm(dim=-1)
    assert gap.median() < 0.03
    torch.testing.assert_close(surface.parts.sum(1), torch.ones(2048))


def test_the_paper_has_a_token_on_every_vertex(body_model, body):
    surface = BodySurface(body_model, 0)
    vertices = body_model(body).vertices[None]
    torch.testing.assert_close(surface.points(vertices), vertices)
    assert torch.equal(surface.rest, body_model.v_template)


# ---- body branch
# ----------------------------------------------------------------------------------------------------


def test_tokens_learn_from_one_view(body_model, views, body):
    """The released code attends over one key and has no residual, so that its tokens get no gradient (hgm.md
    A.4)."""
    model = lively(hgm_config("tiny"), body_model)
    out = model(inputs_of(model, views[:1], body))[0]
    (out.merged.colors.sum() + out.merged.means.square().sum()).backward()
    branch = model.body_branch
    moved = branch.tokens.grad.abs().sum(1) > 0
    assert moved.all()
    for parameter in (branch.attend.query.weight, branch.attend.key_value.weight, branch.attend.out.weight):
        assert parameter.grad.abs().sum() > 0


def test_every_parameter_learns(body_model, views, body):
    model = lively(hgm_config("tiny"), body_model)
    out = model(inputs_of(model, views, body))[0]
    g = out.merged
    (
        g.colors.sum()
        + g.means.square().sum()
        + g.scales.log().sum()
        + (g.opacities * 1.7).sum()
        + (g.quats[:, 1:] * 0.3).sum()
    ).backward()
    still = [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and (p.grad is None or not torch.isfinite(p.grad).all())
    ]
    assert not still
    frozen = [name for name, p in model.named_parameters() if p.requires_grad and p.grad.abs().sum() == 0]
    assert not frozen


# ---- the whole
# ------------------------------------------------------------------------------------------------------


def test_one_view_and_a_body(model, views, body):
    out = model.reconstruct(views[:1], body)
    assert out.body is not None
    assert len(out.image) == int((views[0].mask > 0.25).sum())
    assert len(out.merged) == len(out.image) + model.config.points
    for part in (out.merged, out.image, out.body):
        assert_valid(part)


def test_without_a_body_there_are_image_gaussians_only(model, views):
    out = model.reconstruct(views[:1], None)
    assert out.body is None
    assert_same(out.merged, out.image)
    assert_valid(out.merged)
    assert len(out.merged) == int((views[0].mask > 0.25).sum())


@pytest.mark.parametrize("with_body", [True, False])
def test_an_empty_picture_gives_no_image_gaussians_and_no_nan(model, body, with_body):
    empty = View(torch.ones(SIZE, SIZE, 3), torch.zeros(SIZE, SIZE), canonical_camera(SIZE))
    out = model.reconstruct([empty], body if with_body else None)
    assert len(out.image) == 0
    assert len(out.merged) == (model.config.points if with_body else 0)
    assert_valid(out.merged)
    for picture in orbit_views(out.merged, 32).values():
        assert torch.isfinite(picture).all()


def test_people_of_a_batch_do_not_touch(model, views, body):
    other = View(1 - 0.5 * (1 - views[0].image), views[0].mask, views[0].camera)
    first, second, none = (
        inputs_of(model, views[:1], body),
        inputs_of(model, [other], body),
        inputs_of(model, views[:1], None),
    )
    with torch.no_grad():
        together = model(stack([first, second, none]))
        for mine, single in zip(together, (first, second, none), strict=True):
            assert_same(mine.merged, model(single)[0].merged, atol=1e-4, rtol=1e-4)


def test_the_order_of_the_views_matters(model, views, body):
    ordered, swapped = model.reconstruct(views, body), model.reconstruct(views[::-1], body)
    assert len(ordered.merged) == len(swapped.merged)
    assert (ordered.body.colors - swapped.body.colors).abs().max() > 1e-3
    assert set(ordered.pixels[:, 0].tolist()) == {0, 1}


def test_the_back_view_colours_the_back(model, views, body):
    """A body point that only the back view sees changes with the back view, and with two views has its
    colour."""
    red = views[1].mask[..., None] * torch.tensor([1.0, 0, 0]) + 1 - views[1].mask[..., None]
    blue = views[1].mask[..., None] * torch.tensor([0, 0, 1.0]) + 1 - views[1].mask[..., None]
    inputs = inputs_of(model, views, body)
    behind = (inputs.visible[0, 1] > 0) & (inputs.visible[0, 0] == 0)
    as_red, as_blue = (
        model.reconstruct([views[0], View(c, views[1].mask, views[1].camera)], body).body.colors[behind]
        for c in (red, blue)
    )
    assert (as_red[:, 0] - as_blue[:, 0]).mean() > 0.3
    assert (as_blue[:, 2] - as_red[:, 2]).mean() > 0.3


@pytest.mark.parametrize("count", [0, 3])
def test_another_number_of_views_is_refused(model, views, count):
    with pytest.raises(ValueError, match="one view or two"):
        model.reconstruct([views[0]] * count, None)


ABLATIONS = {
    "no body branch": {"body_branch": False, "body_gaussians": False, "volume": False},
    "no body Gaussians": {"body_gaussians": False},
    "no volume": {"volume": False},
    "no fusion": {"fusion": False},
    "no body maps": {"body_maps": False, "channels": 4 * 16 + 6},
    "absolute head": {"head": "absolute"},
    "the paper's": {
        "head": "absolute",
        "body_gaussians": False,
        "body_maps": False,
        "stem": 1,
        "shrink": 2,
        "patch_level": 0,
        "unet": UNetConfig(9, 14, (8, 16, 16), (False, False, True), (16, 16), (True, False), 1, 2, 4),
    },
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_switch_runs_with_and_without_body(body_model, views, body, name):
    changes = dict(ABLATIONS[name])
    config = hgm_config("tiny")
    unet = changes.pop(
        "unet", dataclasses.replace(config.unet, in_channels=changes.pop("channels", config.unet.in_channels))
    )
    model = lively(dataclasses.replace(config, unet=unet, **changes), body_model)
    everywhere, foreground = (
        (SIZE // model.config.shrink) ** 2 * len(views),
        sum(int((v.mask > 0.25).sum()) for v in views),
    )
    for given in (body, None):
        out = model.reconstruct(views, given)
        assert_valid(out.merged)
        assert len(out.image) == (everywhere if model.config.head == "absolute" else foreground)


@pytest.mark.parametrize(
    "change, match", [({"shrink": 2}, "conv_out"), ({"stem": 1}, "conv_out"), ({}, "stem=1")]
)
def test_sizes_that_contradict_each_other_are_refused(body_model, change, match):
    config = dataclasses.replace(hgm_config("tiny"), **change)
    if not change:
        unet = dataclasses.replace(config.unet, out_channels=14)
        config = dataclasses.replace(config, stem=1, unet=unet)
    with pytest.raises(CallError, match=match):
        create_hgm(config, body_model)


def test_volume_and_fusion_change_the_image_gaussians(body_model, views, body):
    """The body reaches the image Gaussians through volume and attention, not only beside them."""
    model = lively(hgm_config("tiny"), body_model)
    inputs = inputs_of(model, views[:1], body)
    with torch.no_grad():
        before = model(inputs)[0].image
        model.body_branch.tokens += 1
        after = model(inputs)[0].image
    assert (before.means - after.means).abs().max() > 1e-5


# ---- weights, pictures
# ----------------------------------------------------------------------------------------------


def test_saved_weights_give_the_same_gaussians(tmp_path, model, views, body):
    file = save_hgm(model, tmp_path / "model.safetensors")
    with torch.no_grad():
        rounded = create_hgm(model.config, model.body_model)
        rounded.load_state_dict(
            {k: v.half().float() if v.dtype == torch.float32 else v for k, v in model.state_dict().items()}
        )
    loaded = read_hgm(file, body_model=model.body_model)
    assert loaded.config == model.config
    assert_same(loaded.reconstruct(views, body).merged, rounded.reconstruct(views, body).merged)
    assert load_hgm(str(file)) is load_hgm(str(file))


def test_files_hold_flat_names_wherever_the_model_is(model):
    """LGM's names and those of older files and checkpoints; alone, and as a part of another module."""
    names = [name for name, _ in model.named_parameters()]
    state = model.state_dict()
    assert list(state) == [flat_name(name) for name in names] and len(set(state)) == len(names)
    roots = {
        "view",
        "unet",
        "body_branch",
        "body_head",
        "volume",
        "image_in",
        "body_in",
        "fusion",
        "image_out",
        "body_out",
    }
    assert {name.split(".")[0] for name in state} == roots
    for whole in (model, nn.Sequential(model)):
        other = copy.deepcopy(whole)
        for parameter in other.parameters():
            nn.init.zeros_(parameter)
        other.load_state_dict(whole.state_dict())
        for (name, mine), theirs in zip(whole.named_parameters(), other.parameters(), strict=True):
            assert torch.equal(mine, theirs), name


def test_weights_of_another_shape_are_refused(tmp_path, model):
    state = model.state_dict()
    state["body_head.weight"] = state["body_head.weight"][:-1]
    file = save_hgm(model, tmp_path / "wrong.safetensors", state)
    with pytest.raises(RuntimeError, match=r"body_branch\.head\.weight"):
        read_hgm(file, body_model=model.body_model)
    state = model.state_dict()
    del state["body_branch.tokens"]
    with pytest.raises(RuntimeError, match=r"body_branch\.tokens"):
        read_hgm(save_hgm(model, tmp_path / "partial.safetensors", state), body_model=model.body_model)


def test_a_configuration_of_another_version_is_refused():
    config = hgm_config("tiny")
    values = dataclasses.asdict(config)
    assert config_from_json(json.dumps(values)) == config
    with pytest.raises(ValueError, match="new_field"):
        config_from_json(json.dumps(values | {"new_field": 1}))
    del values["unet"]["groups"]
    with pytest.raises(ValueError, match="groups"):
        config_from_json(json.dumps(values))


def test_foreign_weights_are_refused(tmp_path, model):
    save_file({"unet.conv_in.weight": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match="holds no HGM configuration"):
        read_hgm(tmp_path / "foreign.safetensors", body_model=model.body_model)


def test_tokens_move_to_the_nearest_place(body_model):
    model = lively(hgm_config("tiny"), body_model)
    before = model.body_branch.tokens.detach().clone()
    move_tokens(model, body_model)  # its own body: every place is nearest to itself
    assert torch.equal(model.body_branch.tokens, before)
    model.surface.rest.copy_(model.surface.rest.flip(0))  # the same places in another order
    move_tokens(model, body_model)
    assert torch.equal(model.body_branch.tokens, before.flip(0))
    model.surface.rest.copy_(model.surface.rest.flip(0))


def test_views_are_named_by_azimuth_and_the_back_view_is_at_180(model, views, body):
    gaussians = model.reconstruct(views[:1], body).merged
    pictures, back = orbit_views(gaussians, 48), back_view(gaussians, 48)
    assert list(pictures) == ["000", "090", "180", "270"]
    torch.testing.assert_close(back.image, pictures["180"])
    torch.testing.assert_close(back.camera.T_camera_world, orbit_cameras([180.0], 48).T_camera_world[0])
    assert back.mask.max() > 0.5
