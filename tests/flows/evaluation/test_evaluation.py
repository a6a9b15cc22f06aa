"""Evaluation: what is measured on a known answer, and the whole command over stages whose outcome is
known."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from turnaround.data.sets.archive import save_npz
from turnaround.flows.evaluation import memory, setting, subject, summary
from turnaround.flows.evaluation import suite as people
from turnaround.flows.evaluation.evaluate import evaluate
from turnaround.flows.evaluation.measures import backs, baselines, measure
from turnaround.models.body.model import BodyModel
from turnaround.models.refinement.config import RefinementConfig
from turnaround.pipeline.photos.photo import decode
from turnaround.pipeline.stage import Stage, StageConfig, StageError
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.types import Gaussians, Mesh, View

SIZE = 64


@pytest.fixture(scope="module")
def person(tmp_path_factory) -> people.TestPerson:
    # not `people.people`, which wants the wardrobe: any clothes will do here
    return people.synthetic_person(
        people.SYNTHETIC["people-test"], 900000, tmp_path_factory.mktemp("people"), SIZE
    )


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


def view_of(person: people.TestPerson, size: int = 128) -> View:
    pixels, alpha = decode(person.photo.read_bytes(), "photo")
    image, mask = torch.as_tensor(pixels), torch.as_tensor(alpha)
    white = image * mask[..., None] + 1 - mask[..., None]
    small = measure.resized(torch.cat([white, mask[..., None].expand(-1, -1, 3)], -1), size)
    return View(small[..., :3], small[..., 3], canonical_camera(size))


def splats(mesh: Mesh) -> Gaussians:
    n = len(mesh.vertices)
    return Gaussians(
        mesh.vertices,
        torch.tensor([[1.0, 0, 0, 0]]).expand(n, 4),
        torch.full((n, 3), 0.006),
        torch.full((n,), 0.95),
        mesh.colors,
    )


def test_the_truth_measures_as_perfect(person):
    novel: dict[str, Any] = measure.novel_views((person.images, person.masks), person)
    for split in measure.SPLITS:
        assert (
            novel[split]["psnr"] > 90
            and novel[split]["ssim"] == pytest.approx(1)
            and novel[split]["iou"] == 1
        )
    back: Any = backs.back_view(person.images[measure.BACK], person)
    assert back["psnr"] > 90 and back["sharpness_ratio"] == pytest.approx(1)
    protocol: Any = measure.hgm_protocol((person.images, person.masks), person)
    assert protocol["psnr"] > 90 and protocol["ms_ssim_range2"] is None  # too small for five scales
    errors = measure.body_errors(person.joints, person.joints + torch.tensor([0.03, 0, 0]), person)
    assert errors["pelvis_refined_mm"] == pytest.approx(30, abs=1e-3) and errors[
        "mpjpe_refined_mm"
    ] == pytest.approx(0, abs=1e-3)


def test_the_photo_is_the_view_at_azimuth_zero(person):
    small = measure.resized(view_of(person, 512).image, SIZE)
    assert (small - person.images[0]).abs().mean() < 0.01


def test_the_body_of_the_format_is_the_body_in_the_picture(person, model):
    torch.testing.assert_close(model(person.body).joints, person.joints, atol=1e-4, rtol=0)


def test_a_folder_of_converted_scans_is_a_suite(person, tmp_path):
    arrays = {
        "rgb": (person.images * 255).byte().numpy(),
        "mask": (person.masks * 255).byte().numpy(),
        "joints": person.joints.numpy(),
    }
    arrays |= {
        "vertices": person.vertices,
        "faces": person.faces,
        "photo": np.asarray(Image.open(person.photo)),
    }
    arrays |= {f"body_{name}": value.numpy() for name, value in vars(person.body).items()}
    save_npz(tmp_path / "0525.npz", arrays)
    (scan,) = people.people(str(tmp_path), 3, tmp_path / "work", SIZE)
    assert isinstance(scan, people.TestPerson) and scan.name == "0525" and scan.photo.is_file()
    assert measure.novel_views((scan.images, scan.masks), person)["all"]["iou"] == 1
    assert (
        scan.digest()
        == person.digest()
        != dataclasses.replace(person, vertices=person.vertices + 0.001).digest()
    )


def test_people_of_two_suites_have_names_of_their_own(tmp_path):
    varied = people.synthetic_person(people.SYNTHETIC["people-varied"], 900000, tmp_path, SIZE)
    train = people.synthetic_person(people.SYNTHETIC["people-train"], 7, tmp_path, SIZE)
    assert (varied.name, train.name) == ("varied-900000", "train-7") and varied.photo != train.photo
    again = people.synthetic_person(people.SYNTHETIC["people-varied"], 900000, tmp_path, SIZE)
    assert again.digest() == varied.digest() != train.digest()


def test_splits_cover_the_views_once():
    parts = [a for name in ("input", "front", "side", "back") for a in measure.SPLITS[name]]
    assert sorted(parts) == sorted([0, *measure.SPLITS["all"]]) == list(range(0, 360, 30))


def test_a_painted_body_beats_white_and_a_turned_one(person, model):
    mesh = baselines.painted_body(model, person.body, view_of(person))
    painted: Any = measure.novel_views(baselines.render_mesh(mesh, SIZE), person)["all"]
    empty: Any = measure.novel_views(baselines.white(SIZE), person)["all"]
    turned = dataclasses.replace(mesh, vertices=mesh.vertices * torch.tensor([-1.0, 1, -1]))
    behind: Any = measure.novel_views(baselines.render_mesh(turned, SIZE), person)["all"]
    assert painted["psnr"] > empty["psnr"] + 2 and painted["iou"] > 0.4 > empty["iou"]
    assert painted["iou"] > behind["iou"]


def test_a_body_elsewhere_cannot_be_painted(person, model):
    elsewhere = dataclasses.replace(person.body, transl=person.body.transl + torch.tensor([5.0, 0, 0]))
    with pytest.raises(ValueError, match="not where the person is"):
        baselines.painted_body(model, elsewhere, view_of(person))


def test_means_leave_out_what_is_not_known():
    trees = [{"a": {"x": 1.0, "y": None}, "b": 2}, {"a": {"x": 3.0, "y": float("nan")}, "b": None}, None]
    assert summary.means(trees) == {"a": {"x": 2.0, "y": None}, "b": 2.0}
    assert summary.rounded({"x": float("inf"), "y": [0.123456]}) == {"x": None, "y": [0.1235]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"suite": "thuman"}, "people-test"),
        ({"suite": "people-train:x"}, "first person's seed"),
        ({"ablations": ["no_head"]}, "no_head"),
        ({"protocol": "ours"}, "headline"),
        ({"overrides": ["stages.fuse.wrong=1"]}, "wrong"),
    ],
)
def test_wrong_calls_are_named(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        evaluate(work=tmp_path, limit=1, **arguments)


# ---------------------------------------------------------------- the command over known stages


def known_stages(person: people.TestPerson, model: BodyModel) -> tuple[type[Stage], ...]:
    """Eight stages that paint the true body; the estimate is 50 mm of bent arm off, `refine.enabled` mends
    it."""
    bent = dataclasses.replace(person.body, body_pose=person.body.body_pose + 0.15)

    def stage(stage_name, needs, makes, work, **settings):
        config = type(
            "Config",
            (StageConfig,),
            {"__annotations__": {k: type(v) for k, v in settings.items()}, **settings},
        )
        names = ", ".join(needs)
        scope: dict = {"work": work, "Outputs": NamedTuple("Outputs", list(makes.items()))}  # type: ignore[misc]
        signature = f"def run(self, *, device, {names}) -> Outputs"
        exec(f"{signature}: return Outputs(**work(self.config, {names}))", scope)
        body = {
            "name": stage_name,
            "version": 1,
            "needs": needs,
            "Config": config,
            "run": scope["run"],
        }
        return type(stage_name.title(), (Stage,), {**body, "device": "cpu", "weights": lambda self: ()})

    def painted(view, body):
        return baselines.painted_body(model, body, view)

    def prepare(config, image, mask):
        if config.fail == "all" or (config.fail == "small" and decode(image, "photo")[0].shape[0] == 96):
            raise StageError("no person was found")
        return {"view": view_of(person)}

    white = torch.ones(32, 32, 3)
    backs = {"coarse": white, "refined": white}
    return (
        stage(
            "prepare",
            {"image": "photo.image", "mask": "photo.mask"},
            {"view": "View"},
            prepare,
            framing="auto",
            fail="",
        ),
        stage("estimate", {"view": "prepare.view"}, {"body": "Body"}, lambda c, v: {"body": bent}),
        stage(
            "coarse",
            {"view": "prepare.view", "body": "estimate.body"},
            {"gaussians": "Gaussians"},
            lambda c, v, b: {"gaussians": splats(painted(v, b))},
            use_body=True,
        ),
        stage(
            "refine",
            {"body": "estimate.body"},
            {"body": "Body"},
            lambda c, b: {"body": person.body if c.enabled else b},
            enabled=True,
            fit=RefinementConfig(),
        ),
        stage(
            "back_view", {"view": "prepare.view"}, {"coarse": "Image", "refined": "Image"}, lambda c, v: backs
        ),
        stage(
            "fuse",
            {"view": "prepare.view", "body": "refine.body"},
            {"gaussians": "Gaussians"},
            lambda c, v, b: {"gaussians": splats(painted(v, b))},
        ),
        stage(
            "mesh",
            {"view": "prepare.view", "body": "refine.body"},
            {"mesh": "Mesh"},
            lambda c, v, b: {"mesh": painted(v, b)},
        ),
    )


@pytest.fixture
def known(person, model, monkeypatch):
    stages = known_stages(person, model)
    monkeypatch.setattr(setting, "classes", lambda: stages)
    monkeypatch.setattr(
        measure.mesh_metrics, "sample_surface", partial(measure.mesh_metrics.sample_surface, count=4000)
    )
    monkeypatch.setattr(people, "people", lambda suite, limit, folder, size, fine: iter([person]))
    return person


def test_the_command_measures_and_writes_everything(known, tmp_path):
    work = tmp_path / "work"
    report = evaluate(
        limit=1,
        json_path=tmp_path / "out.json",
        work=work,
        size=SIZE,
        ablations=["no_refinement"],
        protocol="hgm",
    )
    assert report == json.loads((tmp_path / "out.json").read_text())
    wanted = {
        "suite",
        "count",
        "resolution",
        "config",
        "commit",
        "device",
        "novel",
        "geometry",
        "body",
        "back_view",
        "seconds",
    }
    assert wanted | {
        "peak_memory_gb",
        "ablations",
        "subjects",
        "baselines",
        "matting",
        "hgm_protocol",
        "seconds_median",
    } <= set(report)
    assert set(report["novel"]) == {"all", "input", "front", "side", "back"}
    assert set(report["novel"]["all"]) == {"psnr", "ssim", "lpips", "iou", "psnr_person"}
    assert set(report["geometry"]["raw"]) == {
        "chamfer_cm",
        "p2s_cm",
        "s2p_cm",
        "normal_consistency",
        "fscore_1cm",
    }
    assert (
        report["count"] == 1 and report["body"]["mpjpe_refined_mm"] < 0.1 < report["body"]["mpjpe_initial_mm"]
    )
    assert (
        report["body"]["mpjpe_no_side_views_mm"] == report["body"]["mpjpe_refined_mm"]
        and report["body"]["mpjpe_side_views_mm"] is None
    )
    joints = report["body"]["per_joint_mm"]["initial"]
    assert len(joints) == 22 and sum(joints.values()) / 22 == pytest.approx(
        report["body"]["mpjpe_initial_mm"], abs=1e-3
    )
    rows = report["back_view"]
    assert (
        set(rows) == {"coarse", "refined", "fused"}
        and rows["coarse"]["kid"] is None
        and rows["coarse"]["sharpness_ratio"] == 0
    )
    assert rows["fused"]["psnr"] > rows["coarse"]["psnr"] and report["matting"]["count"] == 3


def test_ablations_and_baselines_stand_beside_the_full_model(known, tmp_path):
    report = evaluate(limit=1, work=tmp_path, size=SIZE, ablations=["no_refinement"], matting=False)
    assert report["matting"] is None and "hgm_protocol" not in report
    ablated, full = report["ablations"]["no_refinement"], report["ablations"]["full"]
    assert full["novel"] == report["novel"] and full["count"] == ablated["count"] == 1
    assert ablated["body"]["mpjpe_refined_mm"] == pytest.approx(report["body"]["mpjpe_initial_mm"], abs=1e-3)
    assert ablated["geometry"]["raw"]["chamfer_cm"] > report["geometry"]["raw"]["chamfer_cm"]
    assert set(report["baselines"]) == {"coarse", "image_branch", "painted_body", "white"}
    assert report["baselines"]["white"]["novel"]["all"]["psnr"] < report["novel"]["all"]["psnr"]
    page = (tmp_path / "evaluation" / "index.html").read_text()
    for file in report["subjects"][0]["pictures"].values():
        assert (tmp_path / "evaluation" / file).is_file() and file in page


def test_what_was_measured_is_not_measured_again(known, tmp_path, monkeypatch):
    first = evaluate(limit=1, work=tmp_path, size=SIZE)

    def never(*_, **__):
        raise AssertionError("measured again")

    for module, name in (
        (measure, "novel_views"),
        (measure, "geometry"),
        (measure, "body_errors"),
        (subject.pictures, "draw"),
    ):
        monkeypatch.setattr(module, name, never)
    again = evaluate(limit=1, work=tmp_path, size=SIZE)
    assert again["subjects"] == first["subjects"]
    (tmp_path / "evaluation" / first["subjects"][0]["pictures"]["mesh"]).unlink()
    with pytest.raises(StageError, match="measured again"):  # a picture that is gone is drawn again
        evaluate(limit=1, work=tmp_path, size=SIZE)


def test_figures_are_forgotten_with_the_truth_or_the_code_that_measures(tmp_path, monkeypatch):
    calls: list[str] = []
    file = tmp_path / "p.json"

    def measured(truth: str, key: str) -> int:
        return memory.Measured(file, truth)("part", [key], lambda: calls.append(key) or len(calls))

    assert [measured("t", "a"), measured("t", "a"), measured("t", "b"), measured("t", "a")] == [1, 1, 2, 1]
    assert measured("other", "a") == 3 and measured("t", "a") == 4  # another truth in between
    monkeypatch.setattr(memory, "sources_digest", lambda: "edited")
    assert measured("t", "a") == 5
    file.write_text("{broken")
    assert measured("t", "a") == 6
    assert all((memory._ROOT / pattern).is_file() for pattern in memory.MATTING)


def test_one_failure_is_recorded_and_the_others_go_on(known, tmp_path, monkeypatch):
    small = dataclasses.replace(known, name="small", photo=tmp_path / "small.png")
    Image.new("RGBA", (96, 96), (20, 20, 20, 255)).save(small.photo)
    hollow = dataclasses.replace(known, name="hollow", faces=known.faces[:0])
    monkeypatch.setattr(
        people, "people", lambda suite, limit, folder, size, fine: iter([small, hollow, known])
    )
    seen: list[str] = []
    report = evaluate(
        limit=3,
        work=tmp_path / "work",
        size=SIZE,
        overrides=["stages.prepare.fail=small"],
        matting=False,
        progress=lambda done, total, line: seen.append(line),
    )
    assert report["count"] == 1 and report["failed"] == 2 and len(seen) == 3
    first, second, third = report["subjects"]
    assert first["failed"] == "prepare" and "no person was found" in first["message"]
    assert second["failed"] == "measuring" and "without area" in second["message"]
    assert third["name"] == known.name and "novel" in third
    page = (tmp_path / "work" / "evaluation" / "index.html").read_text()
    assert "no person was found" in page


def test_when_nobody_can_be_reconstructed_the_cause_is_told(known, tmp_path):
    with pytest.raises(StageError, match=r"failed in prepare.*no person was found"):
        evaluate(limit=1, work=tmp_path, size=SIZE, overrides=["stages.prepare.fail=all"])


def test_every_ablation_names_settings_that_exist():
    plain = setting.Setting("default", (), Path("work"), "cpu")
    for overrides in (*setting.ABLATIONS.values(), setting.IMAGE_BRANCH):
        assert plain.stages(overrides) != plain.stages() or "side_weight" in overrides[0]
