"""More points than the heads speak of, and colours of the skin that is seen for the skin that is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.gst import fill as fill_module
from turnaround.models.gst.anchors import Anchors
from turnaround.models.gst.config import ConvolutionalSize, GSTConfig
from turnaround.models.gst.fill import Fill
from turnaround.models.gst.finer import Finer, neighbours, spacing
from turnaround.models.gst.model import GST
from turnaround.models.gst.person import gst_gaussians, posed_on
from turnaround.pipeline.values.camera import canonical_camera, project
from turnaround.pipeline.values.types import Body, View

SMALL = ConvolutionalSize(channels=(16, 16, 32, 32), blocks=(1, 1, 1), width=24, layers=1, heads=2)


@pytest.fixture(scope="module")
def body_model():
    return BodyModel.shared()


@pytest.fixture(scope="module")
def anchors(body_model):
    return Anchors(body_model, 900, 4)


def test_points_among_themselves_take_their_own_values(anchors):
    near, share = neighbours(anchors.rest, anchors.normals, anchors.rest, anchors.normals)
    assert (near[:, 0] == torch.arange(len(anchors))).float().mean() > 0.99
    assert share[:, 0].median() > 0.95
    torch.testing.assert_close(share.sum(1), torch.ones(len(share)))


def test_interpolated_values_follow_the_skin(body_model, anchors):
    """A field that is smooth in space is nearly its own interpolation; a constant one is it to the bit."""
    finer = Anchors(body_model, 3000, 1, 6.0)
    between = Finer(anchors, finer)
    raw = {"x": torch.stack([anchors.rest, torch.ones_like(anchors.rest)])}
    found = between(raw)["x"]
    assert (found[0] - finer.rest).norm(dim=-1).median() < 0.02  # metres
    torch.testing.assert_close(found[1], torch.ones_like(found[1]))


def test_a_back_takes_nothing_from_the_front(anchors, body_model):
    finer = Anchors(body_model, 3000, 1)
    near, share = neighbours(anchors.rest, anchors.normals, finer.rest, finer.normals)
    side = (anchors.normals[near] * finer.normals[:, None]).sum(-1)
    assert (share * (side < -0.5)).sum() / len(finer) < 0.01


def test_spacing_is_that_of_a_grid_and_finer_on_the_head(body_model):
    ticks = torch.arange(30.0) * 0.02
    grid = torch.stack([*torch.meshgrid(ticks, ticks, indexing="ij"), torch.zeros(30, 30)], -1).reshape(-1, 3)
    inner = ((grid[:, :2] - 0.29).abs() < 0.15).all(1)
    assert spacing(grid)[inner].mean().item() == pytest.approx(0.02, rel=0.15)
    even, dense = (Anchors(body_model, 3000, 1, head) for head in (1.0, 6.0))
    top = body_model.v_template[:, 1].max() - 0.2
    apart = {
        name: spacing(a.rest)[a.rest[:, 1] > top].median() for name, a in (("even", even), ("dense", dense))
    }
    assert apart["dense"] < 0.6 * apart["even"]


def slow_fill(fill: Fill, colors, seen):
    """One patch at a time, in plain loops."""
    count = len(fill.ways)
    mean = {}
    for k in range(count):
        own = (fill.patch == k) & (seen > 0)
        if own.any():
            mean[k] = colors[own].mean(0)
    faces = [mean[k] for k in mean if fill.face[k]]
    filled = torch.full((count, 3), 0.5)
    for k in range(count):
        total, weights = torch.zeros(3), 0.0
        ways = {}
        for j, color in mean.items():
            ways[j] = fill.ways[k, j].item()
            if fill.cheek[j]:
                ways[j] += 2 * fill_module.BARE
            elif fill.cranium[j] and faces:
                apart = (color - torch.stack(faces).mean(0)).norm() / fill_module.HAIR_DISTANCE
                ways[j] += fill_module.BARE * torch.exp(-(apart**2)).item()
        for j, way in ways.items():
            weight = np.exp((min(ways.values()) - way) / fill_module.BLEND)
            total, weights = total + weight * mean[j], weights + weight
        if mean:
            filled[k] = total / weights
    return (filled[fill.near] * fill.share[..., None]).sum(1)


def test_fill_is_what_a_slow_twin_says(body_model, monkeypatch):
    monkeypatch.setattr(fill_module, "KNOTS", 40)
    monkeypatch.setattr(fill_module, "BLEND", 0.1)
    few = Anchors(body_model, 400, 1)
    fill = Fill(few, body_model)
    torch.manual_seed(3)
    colors, seen = torch.rand(3, 400, 3), (torch.rand(3, 400) < 0.1).float()
    seen[1] *= torch.rand(400) < 0.1
    assert (seen[0] * fill.face[fill.patch]).any() and (seen[0] * fill.cranium[fill.patch]).any()
    found = fill(colors, seen)
    for k in range(3):
        torch.testing.assert_close(found[k], slow_fill(fill, colors[k], seen[k]), atol=1e-5, rtol=1e-5)


def test_ways_are_a_distance_along_the_skin(anchors, body_model):
    """Symmetric, no shorter than the straight one, and from hand to hand through arms and shoulders."""
    fill = Fill(anchors, body_model)
    rest = torch.stack([anchors.rest[fill.patch == k].mean(0) for k in range(len(fill.ways))])
    straight = torch.cdist(rest, rest)
    torch.testing.assert_close(fill.ways, fill.ways.T)
    assert (fill.ways.diagonal() == 0).all()
    assert (fill.ways >= straight - 1e-3).all() and fill.ways.isfinite().all()
    left, right = rest[:, 0].argmax(), rest[:, 0].argmin()
    assert 1 < fill.ways[left, right] / straight[left, right] < 1.5


def test_fill_of_one_colour_is_that_colour_and_of_nothing_grey(anchors, body_model):
    fill = Fill(anchors, body_model)
    colors = torch.tensor([0.2, 0.4, 0.8]).expand(1, len(anchors), 3)
    one = torch.zeros(1, len(anchors))
    torch.testing.assert_close(fill(colors, one), torch.full_like(colors, 0.5))
    one[0, 5] = 1
    torch.testing.assert_close(fill(colors, one), colors)


def test_a_border_stays_a_border(anchors, body_model):
    """A white shirt over black trousers, seen from the front: behind there is hardly any grey."""
    fill = Fill(anchors, body_model)
    shirt = (anchors.rest[:, 1] > anchors.joints[0, 1]).float()
    seen = (anchors.normals[:, 2] > 0.2).float()
    found = fill(shirt[None, :, None].expand(1, -1, 3), seen[None])[0, :, 0]
    hidden = (seen == 0) & ((anchors.rest[:, 1] - anchors.joints[0, 1]).abs() > 0.08)
    assert ((found - shirt).abs() < 0.1)[hidden].float().mean() > 0.97


@pytest.mark.parametrize("hair", [(0.1, 0.05, 0.0), (0.85, 0.6, 0.5)])
def test_hair_covers_the_head_from_behind_and_nothing_else(body_model, hair):
    """What lies above the seen cranium, where it is not the face's colour; a bald head is skin all round."""
    anchors = Anchors(body_model, 6000, 1, 6.0)
    fill = Fill(anchors, body_model)
    skin, cloth = torch.tensor([0.85, 0.6, 0.5]), torch.tensor([0.1, 0.2, 0.9])
    colors = torch.where(anchors.head[:, None], skin, cloth)[None]
    seen = (anchors.normals[:, 2] > 0.3).float()[None]
    top = anchors.rest[:, 1] > anchors.rest[anchors.head, 1].max() - 0.06
    beard = torch.tensor([0.9, 0.9, 0.9])
    over = torch.where(top[:, None], torch.tensor(hair), beard)[None]
    found = fill(colors, seen, (over, seen))[0]
    behind = anchors.head & (anchors.normals[:, 2] < -0.5) & fill.covered
    assert behind.sum() > 100
    assert (found[behind] - torch.tensor(hair)).abs().amax(-1).lt(0.25).float().mean() > 0.95
    back = (anchors.normals[:, 2] < -0.5) & (anchors.rest[:, 1] < anchors.rest[anchors.head, 1].min() - 0.1)
    assert (found[back] - cloth).abs().amax(-1).lt(0.1).float().mean() > 0.95


def test_hidden_skin_takes_its_neighbours_colour(anchors, body_model):
    """Everybody above the hips is red and seen, below green and seen from the front alone."""
    fill = Fill(anchors, body_model)
    green = anchors.rest[:, 1] < anchors.joints[0, 1]
    colors = torch.where(green[:, None], torch.tensor([0.0, 1, 0]), torch.tensor([1.0, 0, 0]))[None]
    seen = (anchors.normals[:, 2] > 0).float()[None]
    found = fill(torch.where(seen[..., None] > 0, colors, 0.5), seen)[0]
    hidden = seen[0] == 0
    right = (found - colors[0]).abs().amax(-1) < 0.4
    assert right[hidden].float().mean() > 0.9


@pytest.mark.parametrize("finer", [0, 1500])
def test_finer_gaussians_have_gradients_to_pose_and_heads(body_model, finer):
    torch.manual_seed(1)
    model = GST(body_model, GSTConfig(points=300, groups=3, finer=finer, network=SMALL)).eval()
    pixels, window = torch.rand(1, 4, 128, 128), torch.tensor([[0.0, 0.0, 0.6]])
    out = model(pixels, window)
    person = out.people[0]
    assert len(person) == (finer or 300)
    (person.means.square().sum() + person.colors.sum() + person.scales.sum()).backward()
    for name in ("color", "scale", "offset"):
        grad = model.heads.kinds[name].weight.grad  # type: ignore[union-attr]
        assert grad is not None and grad.abs().sum() > 0
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.network.parameters())


def test_finer_gaussians_stay_discs_on_the_skin_in_copied_colours(body_model):
    """Whatever the heads say: no needles, no colour that is not in the picture."""
    torch.manual_seed(2)
    model = GST(body_model, GSTConfig(points=300, groups=3, finer=1500, network=SMALL)).eval()
    for parameter in model.heads.parameters():
        torch.nn.init.normal_(parameter, std=3.0)
    pixels = torch.ones(1, 4, 128, 128) * torch.tensor([0.2, 0.5, 0.3, 1.0])[None, :, None, None]
    with torch.no_grad():
        window = torch.tensor([[0.0, 0.0, 1.0]])
        person = model(pixels, window, posed=posed_on(model, standing())).people[0]
    ratio = person.scales[:, :2] / person.scales[:, 2:]
    assert ratio.min() > 1.1 and ratio.max() < 10
    torch.testing.assert_close(
        person.colors, torch.tensor([0.2, 0.5, 0.3]).expand(1500, 3), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("other", [{"each": 2}, {"fill": False}, {"colors": "free"}])
def test_finer_points_that_could_copy_nothing_are_refused(other):
    with pytest.raises(ValueError, match="finer points copy"):
        GSTConfig.model_validate({"finer": 1000, **other})


def test_no_face_is_copied_to_the_back_of_the_head(body_model):
    torch.manual_seed(2)
    model = GST(body_model, GSTConfig(points=300, groups=3, finer=6000, network=SMALL)).eval()
    body, camera, anchors = standing(), canonical_camera(256), model.anchors
    at, _ = project(posed_on(model, body).points[0], camera)
    head = at[anchors.head]
    middle = head.mean(0)
    rows, columns = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    inner = 0.6 * (head[:, 0].max() - head[:, 0].min()) / 2
    green = (rows - middle[1]).abs().lt(inner) & (columns - middle[0]).abs().lt(inner)
    image = torch.where(green[..., None], torch.tensor([0.1, 0.9, 0.1]), torch.tensor([0.9, 0.1, 0.1]))
    made = gst_gaussians(model, View(image, torch.ones(256, 256), camera), body)
    centred = ((at - middle).abs() < inner * 0.8).all(1) & anchors.head
    before, behind = centred & (anchors.normals[:, 2] > 0.5), centred & (anchors.normals[:, 2] < -0.5)
    assert before.sum() > 50 and behind.sum() > 50
    assert made.colors[before, 1].mean() > 0.8 and made.colors[behind, 1].mean() < 0.4


def test_colours_come_from_the_photo_at_its_own_pixels(body_model, monkeypatch):
    """Stripes finer than the network's window reach the Gaussians."""
    torch.manual_seed(0)
    model = GST(body_model, GSTConfig(points=300, groups=3, finer=20000, network=SMALL)).eval()
    size = 512
    stripes = (torch.arange(size) // 2 % 2).float()[None, :, None].expand(size, size, 3)
    mask = torch.zeros(size, size)
    mask[60:450, 150:360] = 1
    view = View(torch.where(mask[..., None] > 0, stripes, 1.0), mask, canonical_camera(size))
    close = gst_gaussians(model, view, standing()).colors.mean(-1).std()
    monkeypatch.setattr("turnaround.models.gst.person.COPIED", model.network.size)
    assert close > 1.5 * gst_gaussians(model, view, standing()).colors.mean(-1).std()


def standing():
    return replace(Body.neutral(), global_orient=torch.tensor([torch.pi, 0.0, 0.0]))
