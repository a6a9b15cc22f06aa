"""Real photos without a truth: laws of the figures, mirrored copies, and the whole command."""

from __future__ import annotations

import copy
import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from toy_body_stages import body_stages, lopsided, rgba, silhouette, splats, write_photo
from typer.testing import CliRunner

from turnaround.data.sets.archive import save_npz
from turnaround.flows.cli.app import app
from turnaround.flows.evaluation import compare, photos, setting
from turnaround.flows.evaluation.measures import photo_figures
from turnaround.flows.evaluation.measures.mirrored import mirrored_body, mirrored_photo
from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.given.body_file import read_body
from turnaround.models.metrics import body as metrics
from turnaround.pipeline.photos.photo import decode, decode_mask
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.values.camera import canonical_camera, project
from turnaround.pipeline.values.types import View

FIGURES = set(photos.MEASURED)
SHARPNESS = {"front", "side", "back"}


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture
def stages(monkeypatch):
    known = body_stages(lopsided())
    monkeypatch.setattr(setting, "classes", lambda: known)
    monkeypatch.setattr(photo_figures, "SIZE", 128)
    monkeypatch.setattr(photos, "SHARP", ("stages.prepare.size=128",))


# ---------------------------------------------------------------- laws


def test_the_mirror_metric_of_a_mirrored_body_is_zero(model):
    body = lopsided()
    joints, mirrored = (model(b).joints for b in (body, mirrored_body(body)))
    assert metrics.mirror_mm(joints, mirrored) < 0.1  # so symmetric is the free body
    assert metrics.mirror_mm(joints, metrics.mirrored_joints(joints)) == pytest.approx(0, abs=1e-3)
    assert metrics.mirror_mm(joints, joints) > 50  # the same body in both photos is wrong in one of them
    moved = mirrored + torch.tensor([0.3, -0.1, 0.2])
    assert metrics.mirror_mm(joints, moved) < 0.1  # where it is does not count


def test_a_body_mirrored_twice_is_itself():
    body = lopsided()
    again = mirrored_body(mirrored_body(body))
    for ours, theirs in zip(vars(body).values(), vars(again).values(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_sharpness_of_a_picture_with_itself_is_one():
    generator = torch.Generator().manual_seed(0)
    picture, mask = torch.rand(64, 64, 3, generator=generator), torch.zeros(64, 64)
    mask[10:50, 20:60] = 1
    assert photo_figures.sharpness_ratio(picture, mask, picture, mask) == pytest.approx(1)
    assert photo_figures.sharpness_ratio(picture / 2, mask, picture, mask) == pytest.approx(0.25)  # squares
    assert photo_figures.sharpness_ratio(torch.ones(64, 64, 3), mask, picture, mask) == 0
    outline = picture * mask[..., None] + 1 - mask[..., None]
    assert photo_figures.sharpness_ratio(outline, mask, picture, mask) == pytest.approx(1)  # no texture


def test_landmarks_come_from_the_heavy_network_and_its_visibility():
    keypoints = {name: [10.0 * k, 5.0, 0.1] for k, name in enumerate(photo_figures.LIMBS)}
    alone = photo_figures.LimbLandmarks.of(keypoints, None)
    assert alone.source == "estimate" and len(alone.points) == 12
    assert photo_figures.LimbLandmarks.of(keypoints, {"source": "none", "pose": []}) == alone
    pose = [[1.0 * k, 2.0, 0.0, 0.9, 0.9] for k in range(33)]
    pose[photo_figures.LIMBS["left_wrist"]][3] = 0.4
    del keypoints["right_knee"]
    both = photo_figures.LimbLandmarks.of(keypoints, {"source": "blazepose", "pose": pose})
    assert both.source == "blazepose" and set(both.points) == set(photo_figures.LIMBS) - {"left_wrist"}
    assert both.points["right_knee"] == (26.0, 2.0) and both.points["right_hip"] == (70.0, 5.0)
    own = photo_figures.LimbLandmarks.of(keypoints, {"source": "blazepose", "pose": pose}, heard=False)
    assert own.points["right_hip"] == (24.0, 2.0) and set(own.points) == set(both.points)


def test_landmark_px_is_told_in_a_view_of_256(model):
    joints = model(lopsided()).joints.detach()
    for size in (256, 512):
        pixels, _ = project(joints, canonical_camera(size))
        off = pixels[5] + torch.tensor([0, 0.01 * size])
        points = {"left_knee": tuple(pixels[4].tolist()), "right_knee": tuple(off.tolist())}
        error = photo_figures.landmark_px(joints, canonical_camera(size), points)
        assert error == pytest.approx(1.28, abs=1e-2)
    assert photo_figures.landmark_px(joints, canonical_camera(64), {}) is None


def test_silhouettes_of_the_truth_cover_the_mask(model):
    body, camera = lopsided(), canonical_camera(256)
    view = View(torch.ones(256, 256, 3), silhouette(model, body, camera), camera)
    assert photo_figures.body_iou(model, body, view) == 1
    assert photo_figures.body_iou(model, mirrored_body(body), view) < 0.8
    ours, theirs = (photo_figures.gaussians_iou(splats(model, b), view) for b in (body, mirrored_body(body)))
    assert ours > 0.75 and ours > theirs + 0.1


# ---------------------------------------------------------------- mirrored copies


def test_a_mirrored_photo_has_mirrored_files_beside_it(model, tmp_path):
    pixels = rgba(model, lopsided(), 96)
    Image.fromarray(pixels[..., :3]).save(tmp_path / "a.png")
    Image.fromarray(pixels[..., 3]).save(tmp_path / "a.mask.png")
    arrays = {name: value.numpy() for name, value in vars(lopsided()).items()}
    arrays["transl"] = arrays["transl"] + np.array([0, 0, 2], np.float32)  # in camera space
    save_npz(tmp_path / "a.smplx.npz", arrays)
    copied = mirrored_photo(Photo.at(tmp_path / "a.png"), tmp_path / "variants")
    assert copied == Photo.at(copied.image) and copied.image.parent == tmp_path / "variants"
    assert copied.mask is not None and copied.body is not None
    np.testing.assert_array_equal(np.asarray(Image.open(copied.image)), pixels[:, ::-1, :3])
    mask = decode_mask(copied.mask.read_bytes(), "mask", None)
    np.testing.assert_allclose(mask, pixels[:, ::-1, 3] / 255, atol=1e-6)
    body, placed = read_body(copied.body.read_bytes())
    assert placed
    for ours, wanted in zip(vars(body).values(), vars(mirrored_body(lopsided())).values(), strict=True):
        torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=0)


def test_a_mirrored_cut_out_keeps_its_alpha_and_no_file_of_before(model, tmp_path):
    photo = Photo.at(write_photo(tmp_path / "a.png", model, lopsided(), 96))
    folder = tmp_path / "variants"
    folder.mkdir()
    (folder / "a_mirrored.mask.png").write_bytes(b"of a mask that is gone")
    copied = mirrored_photo(photo, folder)
    assert copied.mask is None and copied.body is None
    colors, alpha = decode(copied.image.read_bytes(), "copy")
    before, before_alpha = decode(photo.image.read_bytes(), "photo")
    assert alpha is not None and before_alpha is not None
    np.testing.assert_array_equal(alpha, before_alpha[:, ::-1])
    np.testing.assert_array_equal(colors, before[:, ::-1])


# ---------------------------------------------------------------- the command


def test_the_command_measures_photos_and_writes_everything(stages, model, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    write_photo(folder / "a.png", model, lopsided())
    pixels = rgba(model, lopsided(), 128)
    Image.fromarray(pixels[..., :3]).save(folder / "b.jpg")
    Image.fromarray(pixels[..., 3]).save(folder / "b.mask.png")
    Image.new("RGB", (128, 128), (90, 90, 90)).save(folder / "nobody.png")
    seen: list[str] = []
    told = lambda done, total, line: seen.append(f"{done}/{total} {line}")  # noqa: E731
    report = photos.evaluate_photos(folder, tmp_path / "out.json", work=tmp_path / "work", progress=told)
    assert report == json.loads((tmp_path / "out.json").read_text())
    assert report["count"] == 2 and report["failed"] == 1 and len(seen) == 3
    by_name = {photo["name"]: photo for photo in report["photos"]}
    assert set(by_name["nobody"]) == {"name", "error"} and "no person was found" in by_name["nobody"]["error"]
    for name in "ab":
        figures = by_name[name]
        assert set(figures) >= FIGURES | {"poor"} and set(figures["sharpness"]) == SHARPNESS
        assert figures["landmark_px"] < 0.1 and figures["mirror_mm"] < 0.2 and figures["poor"] is False
        assert figures["body_iou"] > 0.85 and figures["gaussians_iou"] > 0.6
        assert figures["landmarks"] == {"source": "estimate", "visible": 12}
    middle = (by_name["a"]["front_psnr"] + by_name["b"]["front_psnr"]) / 2
    assert set(report["median"]) == FIGURES
    assert report["median"]["front_psnr"] == pytest.approx(middle, abs=1e-3)
    page = (tmp_path / "work" / "evaluation" / "index.html").read_text()
    assert "no person was found" in page
    for file in by_name["a"]["pictures"].values():
        assert file in page and (tmp_path / "work" / "evaluation" / file).is_file()
    assert not (tmp_path / "work" / "subjects" / "a_mirrored").exists()  # a variant is no subject


def test_what_is_known_is_not_measured_again(stages, model, tmp_path, monkeypatch):
    photo = write_photo(tmp_path / "a.png", model, lopsided())
    first = photos.evaluate_photos(photo, work=tmp_path / "work", mirror=False)
    assert first["photos"][0]["mirror_mm"] is None and first["median"]["mirror_mm"] is None
    assert not (tmp_path / "work" / "evaluation" / "variants").exists()

    def never(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(photo_figures, "likeness", never)
    monkeypatch.setattr(photo_figures, "body_iou", never)
    again = photos.evaluate_photos(photo, work=tmp_path / "work", mirror=False)
    assert again["photos"] == first["photos"]


def test_reports_of_photos_are_compared(stages, model, tmp_path):
    photo, file = write_photo(tmp_path / "a.png", model, lopsided()), tmp_path / "out.json"
    report = photos.evaluate_photos(photo, file, work=tmp_path / "work")
    old = compare.load(tmp_path / "out.json")
    old["photos"] = [{**old["photos"][0], "name": f"p{k}"} for k in range(8)]
    new = copy.deepcopy(old)
    for photo in new["photos"]:
        photo["landmark_px"] += 3
        photo["front_psnr"] += 2
        photo["mirror_mm"] -= 1
        photo["sharpness"]["back"] += 0.2
    rows = {row.figure: row for row in compare.compare(old, new)}
    assert rows["landmark_px"].verdict == "worse" and rows["front_psnr"].verdict == "better"
    assert rows["mirror_mm"].verdict == "better" and rows["sharpness.back"].verdict == ""
    assert math.isclose(rows["body_iou"].difference, 0) and rows["seconds"].people == 8
    with pytest.raises(ValueError, match="suite"):
        compare.compare({**report, "suite": "people-test"}, report)


@pytest.mark.parametrize("more", [["--suite", "people-sides"], ["--ablations"], ["--protocol", "hgm"]])
def test_photos_have_no_truth(more, tmp_path):
    result = CliRunner().invoke(app, ["evaluate", "--photos", str(tmp_path), *more])
    assert isinstance(result.exception, ValueError) and "no truth" in str(result.exception)


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(ValueError, match=tmp_path.name):
        photos.evaluate_photos(tmp_path, work=tmp_path / "work")


def test_a_body_file_of_the_photo_is_used_in_the_mirror_too(stages, model, tmp_path):
    """The given body is another one than the picture shows, and both runs are told of it."""
    write_photo(tmp_path / "a.png", model, lopsided())
    given = dataclasses.replace(lopsided(), body_pose=torch.zeros(21, 3))
    given = dataclasses.replace(given, left_hand_pose=torch.full((15, 3), 0.3))
    arrays = {name: value.numpy() for name, value in vars(given).items()}
    save_npz(tmp_path / "a.smplx.npz", arrays)
    (photo,) = photos.evaluate_photos(tmp_path / "a.png", work=tmp_path / "work")["photos"]
    assert photo["mirror_mm"] < 0.2 and photo["body_iou"] < 0.9
