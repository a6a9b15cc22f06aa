"""Bodies from all sides: laws of the figures, the suite's pictures, and the command over known stages."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from toy_body_stages import body_stages, lopsided, write_photo

from turnaround.data.people import rotation_vector, upright
from turnaround.flows.evaluation import compare, setting
from turnaround.flows.evaluation.evaluate import evaluate
from turnaround.flows.evaluation.measures import measure, sides
from turnaround.flows.evaluation.pictures import sides as side_pictures
from turnaround.flows.evaluation.pictures.sides import SidePicture, side_picture
from turnaround.models.body.model import BodyModel
from turnaround.models.metrics import body as metrics
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.types import Body

HEADLINE = {"mpjpe_initial_mm", "mpjpe_refined_mm", "hands_initial_mm", "hands_mm", "angle_deg"}


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[SidePicture, ...]:
    # not `side_pictures`, which wants the wardrobe: any clothes will do here
    folder = tmp_path_factory.mktemp("sides")
    return tuple(side_picture(900000, index, folder, 160) for index in range(2))


def picture_of(
    body: Body, joints: Tensor, name: str = "", file: Path = Path(), kind: str = ""
) -> SidePicture:
    return SidePicture(name, file, torch.ones(128, 128), joints, body, kind, "room")


# ---------------------------------------------------------------- laws


def test_the_angle_of_equal_poses_is_zero_and_one_turned_joint_counts_a_21st():
    generator = torch.Generator().manual_seed(0)
    pose = 0.5 * torch.randn(21, 3, generator=generator)
    assert metrics.angle_deg(pose, pose) == pytest.approx(0, abs=1e-4)
    straight = torch.zeros(21, 3)
    for angle in (0.01, 0.7, 3.0):
        turned = straight.clone()
        turned[7, 1] = angle
        assert metrics.angle_deg(turned, straight) == pytest.approx(np.degrees(angle) / 21, rel=1e-5)
    assert metrics.angle_deg(pose, straight) == pytest.approx(metrics.angle_deg(straight, pose), rel=1e-6)


def test_a_whole_turn_more_is_the_same_pose():
    pose = torch.zeros(21, 3)
    pose[3] = torch.tensor([0.3, 0.4, 0.0])
    more = pose.clone()
    more[3] *= 1 + 2 * np.pi / 0.5
    assert metrics.angle_deg(pose, more) == pytest.approx(0, abs=1e-3)


def test_hands_ignore_the_motion_of_their_wrists(model):
    joints = model(lopsided()).joints.detach()
    moved = joints.clone()
    moved[[20, *range(25, 40)]] += torch.tensor([0.2, 0.0, -0.1])
    moved[[21, *range(40, 55)]] -= 0.3
    assert metrics.hands_mm(moved, joints) == pytest.approx(0, abs=1e-3)
    finger = joints.clone()
    finger[30] += torch.tensor([0.03, 0, 0])
    assert metrics.hands_mm(finger, joints) == pytest.approx(1, rel=1e-4)  # 30 mm of one joint of 30


def test_errors_of_the_truth_are_zero_and_the_headline_is_refined(model):
    body = lopsided()
    truth = picture_of(body, model(body).joints.detach())
    bent = dataclasses.replace(body, body_pose=body.body_pose + 0.2, left_hand_pose=body.left_hand_pose + 0.3)
    errors = measure.posed_errors(model, bent, body, truth)
    assert set(errors) >= HEADLINE
    for figure, unit in (("hands", "mm"), ("angle", "deg")):
        headline = errors[f"{figure}_{unit}"]
        assert headline == errors[f"{figure}_refined_{unit}"] == pytest.approx(0, abs=1e-3)
        assert errors[f"{figure}_initial_{unit}"] > 5


def test_the_side_is_where_the_pelvis_faces():
    yaws = {0: "front", 59: "front", -61: "side", 90: "side", -119: "side", 121: "back", 180: "back"}
    for yaw, side in yaws.items():
        orient = torch.from_numpy(rotation_vector(upright(np.radians(yaw))))
        picture = picture_of(dataclasses.replace(Body.neutral(), global_orient=orient), torch.zeros(55, 3))
        assert abs((picture.yaw - yaw + 180) % 360 - 180) < 0.01 and picture.side == side


# ---------------------------------------------------------------- pictures


def test_pictures_are_photos_whose_labels_are_the_body_s(made, model):
    for picture in made:
        with Image.open(picture.photo) as photo:
            assert photo.mode == "RGB" and photo.size == (160, 160) and photo.format == "JPEG"
        torch.testing.assert_close(model(picture.body).joints, picture.joints, atol=1e-4, rtol=0)
        assert 0.01 < picture.mask.mean() < 0.6 and picture.kind and "/" not in picture.kind
        assert picture.background in side_pictures.KINDS and picture.side in side_pictures.SIDES
    assert made[0].digest() != made[1].digest()


def test_a_picture_is_the_same_whenever_it_is_made(made, tmp_path):
    again = side_picture(900000, 1, tmp_path, 160)
    assert again.photo.read_bytes() == made[1].photo.read_bytes() and again.digest() == made[1].digest()


def test_beyond_the_photo_s_border_the_square_is_white():
    inside = side_pictures._inside(np.array([0.0, 0.1, 0.5, 1.0], np.float32), 10)
    assert inside[1:, :5].all() and not inside[0].any() and not inside[:, 5:].any()


def test_what_is_held_covers_the_person():
    shot = {"rgba": np.full((4, 4, 4), 255, np.uint8), "object_rgba": np.zeros((4, 4, 4), np.uint8)}
    shot["object_rgba"][:2] = (0, 0, 0, 255)
    image, mask = side_pictures._composed(shot, np.full((4, 4, 3), 0.5, np.float32))
    assert (image[:2] == 0).all() and (image[2:] == 1).all()
    assert (mask[:2] == 0).all() and (mask[2:] == 1).all()
    shot["object_rgba"] = np.zeros((0, 0, 4), np.uint8)
    assert side_pictures._composed(shot, np.zeros((4, 4, 3), np.float32))[1].all()


def test_the_suite_s_order_does_not_depend_on_the_limit(tmp_path, monkeypatch):
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(side_pictures, "side_picture", lambda *which: asked.append(which[:2]))
    monkeypatch.setattr(side_pictures.Closet, "open", lambda split: SimpleNamespace(wardrobe=True))
    list(side_pictures.side_pictures(5, tmp_path))
    assert asked == [(900000, 0), (900000, 1), (900001, 0), (900001, 1), (900002, 0)]
    monkeypatch.setattr(side_pictures.Closet, "open", lambda split: SimpleNamespace(wardrobe=None))
    with pytest.raises(ValueError, match="turnaround data wardrobe"):
        list(side_pictures.side_pictures(1, tmp_path))


# ---------------------------------------------------------------- the command


@pytest.fixture
def known(model, tmp_path, monkeypatch) -> list[SidePicture]:
    """Two pictures of a known body, and one of nobody."""
    truth, stages = lopsided(), body_stages(lopsided())
    monkeypatch.setattr(setting, "classes", lambda: stages)
    joints = model(truth).joints.detach()
    pictures = []
    for name in ("a", "b", "nobody"):
        file = tmp_path / f"{name}.png"
        if name == "nobody":
            Image.new("RGB", (128, 128), (90, 90, 90)).save(file)
        else:
            write_photo(file, model, truth)
        pictures.append(picture_of(truth, joints, name, file, "stand" if name == "a" else "sit"))
    monkeypatch.setattr(sides, "side_pictures", lambda limit, folder: iter(pictures[:limit]))
    return pictures


def test_the_command_measures_bodies_and_counts_failures(known, tmp_path):
    seen: list[str] = []
    told = lambda done, total, line: seen.append(line)  # noqa: E731
    report = evaluate("people-sides", 3, tmp_path / "out.json", work=tmp_path / "work", progress=told)
    assert report["count"] == 2 and report["failed"] == 1 and len(seen) == 3 and report["resolution"] == 768
    for part in ("body", "body_median"):
        body = report[part]
        assert set(body) >= HEADLINE and body["mpjpe_refined_mm"] < 0.1 < body["mpjpe_initial_mm"]
        assert body["hands_mm"] < 0.1 and body["angle_deg"] < 0.1 < body["angle_initial_deg"]
    assert report["by_side"]["front"]["count"] == 2 and report["by_side"]["front"]["failed"] == 1
    assert report["by_side"]["back"] == {"count": 0, "failed": 0}
    assert report["by_kind"]["sit"]["failed"] == 1 and report["by_kind"]["stand"]["angle_deg"] < 0.1
    first, _, last = report["subjects"]
    assert (last["failed"], last["side"]) == ("prepare", "front") and "no person was found" in last["message"]
    assert set(first["seconds"]) == {"prepare", "estimate", "refine", "total"}  # no stage behind refine
    page = (tmp_path / "work" / "evaluation" / "index.html").read_text()
    assert "no person was found" in page and first["pictures"]["body"] in page
    assert (tmp_path / "work" / "evaluation" / first["pictures"]["body"]).is_file()
    loaded = compare.load(tmp_path / "out.json")
    rows = {row.figure for row in compare.compare(loaded, json.loads(json.dumps(report)))}
    assert {"body.hands_mm", "body.angle_deg", "mask_iou"} <= rows


def test_no_body_at_all_is_an_error_with_its_cause(known, tmp_path, monkeypatch):
    monkeypatch.setattr(sides, "side_pictures", lambda limit, folder: iter(known[2:]))
    with pytest.raises(StageError, match="no person was found"):
        evaluate("people-sides", 1, work=tmp_path / "work")


@pytest.mark.parametrize("wrong", [{"ablations": ["no_refinement"]}, {"protocol": "hgm"}])
def test_the_suite_has_no_ablations(wrong, tmp_path):
    with pytest.raises(ValueError, match="the body alone"):
        evaluate("people-sides", 1, work=tmp_path, **wrong)
