"""Measuring at 1,024 px: the truth against itself, what each figure sees, what the report says."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.flows.evaluation.test_evaluation import SIZE, known_stages
from tests.flows.evaluation.test_evaluation import person as person  # a fixture
from turnaround.data.people import Figure
from turnaround.data.sets.archive import save_npz
from turnaround.data.sets.folders import AZIMUTHS
from turnaround.flows.evaluation import setting
from turnaround.flows.evaluation import suite as people
from turnaround.flows.evaluation.evaluate import evaluate
from turnaround.flows.evaluation.measures import detail, measure
from turnaround.flows.evaluation.measures.final import final, last
from turnaround.flows.evaluation.measures.fine import FineTruth
from turnaround.models.body.model import BodyModel
from turnaround.models.metrics import image as image_metrics
from turnaround.models.metrics import vgg
from turnaround.pipeline.values.types import Gaussians

FIGURES = {"psnr_person", "ssim", "sharpness", "sharpness_inside", "sharpness_coarse", "vgg"}
model = pytest.fixture(scope="module")(lambda: BodyModel.load())


@pytest.fixture(scope="module")
def gaussians():
    """A speckled ball of 30 cm about the world's origin."""
    generator = torch.Generator().manual_seed(0)
    means = F.normalize(torch.randn(1500, 3, generator=generator), dim=1) * 0.3
    return Gaussians(
        means, torch.tensor([[1.0, 0, 0, 0]]).expand(1500, 4), torch.full((1500, 3), 0.02),
        torch.full((1500,), 0.95), torch.rand(1500, 3, generator=generator),
    )  # fmt: skip


@pytest.fixture(scope="module")
def truth(gaussians, tmp_path_factory):
    """The ball as its own truth at 96 px."""
    arrays = {}
    for azimuth in AZIMUTHS:
        picture, alpha = detail.seen(gaussians, azimuth, 96)
        for name, values in (("rgb", picture), ("mask", alpha)):
            arrays[f"{name}_{azimuth:03d}"] = (values * 255).round().byte().numpy()
    file = tmp_path_factory.mktemp("fine") / "ball.npz"
    save_npz(file, arrays, level=1)
    return FineTruth(file)


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    """Random weights stand for the fetched ones."""
    torch.manual_seed(0)
    network = vgg.Vgg16().eval().requires_grad_(False)
    monkeypatch.setattr(vgg, "network", lambda: network)


def test_groups_cover_the_views_once():
    assert sorted(a for group in detail.GROUPS.values() for a in group) == sorted(AZIMUTHS)


def test_the_truth_measures_as_perfect(gaussians, truth):
    found = detail.detail(gaussians, truth)
    assert set(found) == {"front", "oblique", "side", "back"}
    for figures in found.values():
        assert set(figures) == FIGURES
        assert figures["psnr_person"] > 45 and figures["ssim"] > 0.999  # up to 8 bits
        assert figures["sharpness"] == pytest.approx(1, abs=0.02) and figures["vgg"] < 0.01


def test_what_is_behind_changes_the_back_alone(gaussians, truth):
    painted = torch.where(gaussians.means[:, 2:] > 0.22, 0.5, gaussians.colors)
    both = (gaussians, dataclasses.replace(gaussians, colors=painted))
    whole, other = (detail.detail(one, truth) for one in both)
    assert other["front"]["psnr_person"] > 50 and other["front"]["vgg"] < 1e-4
    assert other["back"]["psnr_person"] < whole["back"]["psnr_person"] - 10
    assert other["back"]["vgg"] > whole["back"]["vgg"]
    assert other["back"]["sharpness"] < 1


def test_sharpness_falls_with_blur_and_exceeds_one_with_noise(truth):
    _, image, mask = next(truth.views())
    soft = F.avg_pool2d(image.movedim(-1, 0), 5, 1, 2, count_include_pad=False).movedim(0, -1)
    noisy = (image + 0.2 * torch.randn(image.shape)).clamp(0, 1)
    of = lambda picture: detail.of_view(picture, mask, image, mask)["sharpness"]  # noqa: E731
    assert of(soft) < 0.5 < of(image) == 1 < of(noisy)


def test_an_outline_in_a_wrong_place_is_no_detail_inside_both(truth):
    _, image, mask = next(truth.views())
    moved, alpha = image.roll(20, 1), mask.roll(20, 1)
    found = detail.of_view(moved, alpha, image, mask)
    assert found["sharpness"] > 1.1 * found["sharpness_inside"]
    assert found["sharpness_inside"] == pytest.approx(1, abs=0.25)
    nowhere = detail.of_view(torch.ones_like(image), torch.zeros_like(mask), image, mask)
    assert nowhere["sharpness"] == 0 and nowhere["sharpness_inside"] != nowhere["sharpness_inside"]  # NaN


def test_coarse_sharpness_does_not_see_what_is_finer(truth):
    _, image, mask = next(truth.views())
    checks = 0.1 * (-1.0) ** (torch.arange(96)[:, None] + torch.arange(96)[None])[..., None]
    found = detail.of_view(image + checks, mask, image, mask)
    assert found["sharpness"] > 1.5 and found["sharpness_coarse"] == pytest.approx(1, abs=1e-3)


def test_ssim_over_white_is_that_of_the_whole_frame():
    torch.manual_seed(0)
    for rows, columns in (
        (slice(20, 40), slice(25, 50)),
        (slice(0, 12), slice(60, 64)),
        (slice(0, 80), slice(0, 64)),
    ):
        one, other = torch.ones(80, 64, 3), torch.ones(80, 64, 3)
        for picture in (one, other):
            picture[rows, columns] = torch.rand(picture[rows, columns].shape)
        whole = image_metrics.ssim(one, other).item()
        assert detail.ssim_over_white(one, other) == pytest.approx(whole, abs=1e-5)
    assert detail.ssim_over_white(one, one) == 1


def test_without_its_network_there_is_no_vgg_distance(gaussians, truth, monkeypatch):
    monkeypatch.setattr(vgg, "network", lambda: None)
    assert {figures["vgg"] for figures in detail.detail(gaussians, truth).values()} == {None}


def test_the_vgg_distance_looks_at_the_person_alone(truth):
    _, image, mask = next(truth.views())
    far = image.clone()
    far[:4, :4] = 0
    assert detail.MARGIN > 4  # the box leaves the corner out only when the ball is small
    small = torch.zeros_like(mask)
    small[60:90, 60:90] = 1
    assert detail.vgg_distance(far, image, small) == 0
    assert detail.vgg_distance(far, image, torch.zeros_like(mask)) is None


def test_the_final_stage_is_the_last_that_makes_gaussians():
    assert final({"coarse": 1, "fuse": 2, "mesh": 3}) == 2 and final({"fuse": 2, "detail": 4}) == 4
    assert last(["mesh", "fuse", "turntable"]) == "mesh" and last(["mesh", "detail", "texture"]) == "detail"


def test_a_fine_truth_is_kept_azimuth_by_azimuth(tmp_path):
    def seen_from(K, T_camera_world, size):
        grey = np.full((size, size, 3), int(100 + 100 * T_camera_world[0, 2]), np.uint8)
        return type("Picture", (), {"over_white": lambda self: grey, "alpha": grey[..., 0]})()

    FineTruth.make(Mock(spec=Figure, seen_from=seen_from), tmp_path / "a" / "p.npz", 16)
    kept = FineTruth(tmp_path / "a" / "p.npz")
    found = {azimuth: image.mean().item() for azimuth, image, _ in kept.views()}
    assert list(found) == list(AZIMUTHS)
    assert found[90] == pytest.approx(200 / 255, abs=0.01) and found[270] == pytest.approx(0, abs=0.01)
    assert [azimuth for azimuth, _, _ in kept.views((60, 180))] == [60, 180]


def test_the_report_has_it_for_each_person_and_ablation(person, model, truth, monkeypatch, tmp_path):
    stages = known_stages(person, model)
    fine = dataclasses.replace(person, fine=truth)
    asked = []
    monkeypatch.setattr(setting, "classes", lambda: stages)
    few = partial(measure.mesh_metrics.sample_surface, count=2000)
    monkeypatch.setattr(measure.mesh_metrics, "sample_surface", few)
    monkeypatch.setattr(people, "people", lambda *wanted: asked.append(wanted[-1]) or iter([fine]))
    monkeypatch.setattr("turnaround.flows.evaluation.evaluate.vgg_files.fetch_vgg", lambda: None)
    out = tmp_path / "out.json"
    how = {"size": SIZE, "detail": True, "ablations": ["no_refinement"]}
    report = evaluate(limit=1, json_path=out, work=tmp_path / "work", **how)
    assert asked == [True] and report["matting"] is None
    assert json.loads(out.read_text())["detail"] == report["detail"] == report["subjects"][0]["detail"]
    assert set(report["detail"]) == set(detail.GROUPS) and set(report["detail"]["back"]) == FIGURES
    assert set(report["ablations"]["no_refinement"]["detail"]) == set(detail.GROUPS)
    page = (tmp_path / "work" / "evaluation" / "index.html").read_text()
    picture = report["subjects"][0]["pictures"]["detail"]
    assert picture in page and "At 1,024 px" in page
    assert (tmp_path / "work" / "evaluation" / picture).is_file()


def test_scans_have_no_fine_truth(tmp_path):
    (tmp_path / "scans").mkdir()
    with pytest.raises(ValueError, match="--detail"):
        people.people(f"thuman2:{tmp_path}", 1, tmp_path, 64, True)
