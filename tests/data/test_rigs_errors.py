"""What is wrong with a rig is said with its file and a remedy."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_rig import NAMES, entries, save, write_cameras, write_rig

from turnaround.data.rigs.__main__ import main
from turnaround.data.rigs.cameras import read_cameras
from turnaround.data.rigs.consistency import meeting_point, person_extent
from turnaround.data.rigs.convert import RigOptions, convert
from turnaround.data.rigs.distortion import Lens
from turnaround.data.rigs.moment import RigCamera, RigError
from turnaround.data.rigs.virtual import VirtualView
from turnaround.pipeline.errors import CallError


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return write_rig(tmp_path_factory.mktemp("original") / "ann")


@pytest.fixture
def rig(original, tmp_path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(original, tmp_path / "ann"))


def said(rig: Path, **options: object) -> str:
    """The one failure of a folder."""
    report = convert(rig, rig.parent / "set", RigOptions(size=32, **options))  # type: ignore[arg-type]
    assert report["made"] == 0 and len(report["failed"]) == 1, report
    assert not list((rig.parent / "set").iterdir())
    return next(iter(report["failed"].values()))


def door(**changes: object) -> dict[str, dict]:
    """All cameras, one of them with other keys; None takes one away."""
    cameras = entries()
    cameras["door"] = {k: v for k, v in (cameras["door"] | changes).items() if v is not None}
    return cameras


CAMERAS: dict[str, tuple[Callable[[], dict[str, object]], str]] = {
    "singular K": (
        lambda: {"cameras": door(K=np.zeros((3, 3)).tolist())},
        r"'door': \"K\" cannot be inverted.*0 and 0 px",
    ),
    "no focal length": (
        lambda: {"cameras": door(K=[[0, 0, 320], [0, 500, 240], [0, 0, 1]])},
        r"\"K\" cannot be inverted.*0 and 500 px",
    ),
    "K of two rows": (lambda: {"cameras": door(K=[[500, 0, 320], [0, 500, 240]])}, r"expected 3 x 3"),
    "K in words": (lambda: {"cameras": door(K="wide")}, r"\"K\": expected numbers"),
    "no K": (lambda: {"cameras": door(K=None)}, r"\"K\".*expected"),
    "singular R": (lambda: {"cameras": door(R=np.diag([1, 1, 0]).tolist())}, r"\"R\" is singular"),
    "scaled R": (lambda: {"cameras": door(R=(1.5 * np.eye(3)).tolist())}, r"\"R\" is no rotation.*1\.5"),
    "mirrored R": (lambda: {"cameras": door(R=np.diag([1, 1, -1]).tolist())}, r"mirrors"),
    "R that is not finite": (lambda: {"cameras": door(R=[[np.nan] * 3] * 3)}, r"not finite"),
    "no place": (lambda: {"cameras": door(R=None, t=None)}, r"where it stands once.*\"T_camera_world\""),
    "two places": (lambda: {"cameras": door(T_camera_world=np.eye(4).tolist())}, r"where it stands once"),
    "R without t": (lambda: {"cameras": door(t=None)}, r"where it stands once"),
    "a wrong last row": (
        lambda: {"cameras": door(R=None, t=None, T_camera_world=np.ones((4, 4)).tolist())},
        r"last row",
    ),
    "another lens model": (lambda: {"cameras": door(distortion=[0.1] * 8)}, r"has 8 numbers.*fisheye"),
    "a lens that folds": (lambda: {"cameras": door(distortion=[-3, 0, 0, 0])}, r"folds within the picture"),
    "a misspelt key": (lambda: {"cameras": door(distorsion=[0, 0])}, r"unknown distorsion; known are"),
    "a width alone": (lambda: {"cameras": door(height=None)}, r"expected both"),
    "another size": (lambda: {"cameras": door(width=1920, height=1080)}, r"calibrated for 1920 x 1080"),
    "K of another size": (
        lambda: {"cameras": door(K=[[1500, 0, 960], [0, 1500, 540], [0, 0, 1]], width=None, height=None)},
        r"640 x 480 px, but K of camera 'door' has its principal point at \(960, 540\).*scale K",
    ),
    "no units": (lambda: {"units": None}, r"\"units\" is missing, expected one of m, cm, mm"),
    "inches": (lambda: {"units": "in"}, r"\"units\" is 'in'"),
    "no convention": (lambda: {"convention": None}, r"\"convention\" is missing"),
    "no cameras": (lambda: {"cameras": {}, "note": "x"}, r"expected \"cameras\""),
    "a misspelt key of all": (lambda: {"unit": "m"}, r"unknown unit; known are"),
    "no direction up": (lambda: {"up": [0, 0, 0]}, r"\"up\" is zero"),
    "a third of a pixel": (lambda: {"pixel_center": 0.3}, r"\"pixel_center\" is 0\.3"),
    "one camera": (lambda: {"cameras": {"door": entries()["door"]}}, r"left, shelf, window is no camera"),
    "a camera without pictures": (
        lambda: {"cameras": entries() | {"roof": entries()["door"]}},
        r"no pictures of roof, which cameras\.json names",
    ),
    "millimetres taken for metres": (
        lambda: {"cameras": entries(0.001)},
        r"is 1\.79e\+03 m large.*check \"units\" \(mm taken for m\?\)",
    ),
    "metres taken for millimetres": (lambda: {"units": "mm"}, r"0\.00179 m large.*m taken for mm"),
    "another convention": (lambda: {"convention": "opengl"}, r"do not belong together.*\"convention\""),
    "the inverse": (
        lambda: {"cameras": {name: turned_round(entry) for name, entry in entries().items()}},
        r"do not belong together",
    ),
}  # fmt: skip


def turned_round(entry: dict) -> dict:
    """R and t from camera to world: the commonest mistake."""
    R = np.array(entry["R"]).T
    return entry | {"R": R.tolist(), "t": (-R @ entry["t"]).tolist()}


@pytest.mark.parametrize("how", CAMERAS)
def test_a_wrong_cameras_json_is_refused(how, rig):
    changes, expected = CAMERAS[how]
    content = changes()
    write_cameras(rig, content.pop("cameras", None) or (entries() if how != "no cameras" else {}), **content)
    if how == "no cameras":
        (rig / "cameras.json").write_text(json.dumps({"units": "m", "convention": "opencv", "cameras": {}}))
    message = said(rig)
    assert re.search(expected, message, re.S), message
    assert "cameras.json" in message or str(rig) in message or "ann" in message


ODD = [
    None,
    "x",
    "",
    [],
    {},
    True,
    -1,
    0,
    1e308,
    [[]],
    [1, 2, 3],
    [[1, 2], [3]],
    {"a": 1},
    [None],
    [1e400] * 9,
]


@pytest.mark.parametrize("value", ODD, ids=map(repr, range(len(ODD))))
def test_any_value_of_a_key_is_read_or_refused(value, tmp_path):
    for key in ("units", "convention", "cameras", "pixel_center", "up"):
        check_reads_or_refuses(tmp_path, entries(), {key: value})
    for key in ("K", "R", "t", "T_camera_world", "T_world_camera", "width", "height", "distortion"):
        check_reads_or_refuses(tmp_path, entries() | {"door": entries()["door"] | {key: value}}, {})
    check_reads_or_refuses(tmp_path, entries() | {"door": value}, {})


def check_reads_or_refuses(folder: Path, cameras: dict, changes: dict) -> None:
    file = folder / "cameras.json"
    file.write_text(json.dumps({"units": "m", "convention": "opencv", "cameras": cameras} | changes))
    try:
        found = read_cameras(file)
    except RigError as error:
        assert "cameras.json" in str(error) and len(str(error)) < 600
        return
    for camera in found.cameras.values():
        assert np.isfinite(camera.K).all() and np.isfinite(camera.T_camera_world).all()


def spoil(rig: Path, how: str) -> None:
    images, masks = rig / "images", rig / "masks"
    black = np.zeros((480, 640), np.uint8)
    match how:
        case "torn json":
            (rig / "cameras.json").write_text((rig / "cameras.json").read_text()[:100])
        case "a list":
            (rig / "cameras.json").write_text("[]")
        case "a deep json":
            (rig / "cameras.json").write_text("[" * 100_000)
        case "no pictures":
            shutil.rmtree(images / "left")
        case "empty folder":
            (images / "left" / "000000.png").unlink()
        case "an unknown camera":
            (images / "left").rename(images / "lft")
        case "frames that do not match":
            (images / "left" / "000000.png").rename(images / "left" / "000001.png")
        case "two files of one name":
            (images / "left" / "000000.jpg").write_bytes(b"")
        case "no mask":
            (masks / "left" / "000000.png").unlink()
        case "an empty mask":
            save(masks / "left" / "000000.png", black)
        case "a mask of another shape":
            save(masks / "left" / "000000.png", np.full((640, 480), 255, np.uint8))
        case "two people":
            black[100:400, 100:200] = black[100:400, 400:500] = 255
            save(masks / "left" / "000000.png", black)
        case "a tiny person":
            black[240:252, 320:325] = 255
            save(masks / "left" / "000000.png", black)
        case "a damaged picture":
            (images / "left" / "000000.png").write_bytes(b"\x89PNG")
        case "another moment":
            black[100:400, 520:620] = 255
            save(masks / "left" / "000000.png", black)
            save(masks / "shelf" / "000000.png", black)
        case "one camera":
            write_cameras(rig, {"left": entries()["left"]})
            for kind in (images, masks):
                for name in set(NAMES) - {"left"}:
                    shutil.rmtree(kind / name)
        case "cameras at one place":
            write_cameras(rig, {name: entries()["left"] for name in NAMES})
            for kind in (images, masks):
                for name in set(NAMES) - {"left"}:
                    shutil.copy(kind / "left" / "000000.png", kind / name / "000000.png")


FILES = {
    "torn json": r"cameras\.json: cannot be read as json",
    "a list": r"expected an object of cameras, got list",
    "a deep json": r"nested too deeply",
    "no pictures": r"images: no pictures of left, which cameras\.json names",
    "empty folder": r"no pictures of left",
    "an unknown camera": r"lft is no camera of cameras\.json",
    "frames that do not match": r"no frame is there from all 4 cameras.*left: 1 frames, 000001",
    "two files of one name": r"000000\.jpg and 000000\.png have one name",
    "no mask": r"no mask of frame 000000, camera left; add it, or move the folder away",
    "an empty mask": r"left.000000\.png: the mask is black everywhere",
    "a mask of another shape": r"the mask is 480 x 640 px, the photo 640 x 480",
    "two people": r"shows 2 people of comparable size.*own folder",
    "a tiny person": r"(the mask is empty|px large, expected at least 24)",
    "a damaged picture": r"left.000000\.png: .*(damaged|not a picture)",
    "another moment": r"do not belong together.*miss each other",
    "one camera": r"one camera only",
    "cameras at one place": r"along one line, to within 0\.\d degrees.*several sides",
}


@pytest.mark.parametrize("how", FILES)
def test_wrong_files_are_refused(how, rig):
    spoil(rig, how)
    message = said(rig)
    assert re.search(FILES[how], message, re.S), message


def test_a_frame_that_one_camera_lacks_is_named_and_the_others_are_made(tmp_path):
    rig = write_rig(tmp_path / "ann", ("1", "2"))
    (rig / "images" / "shelf" / "2.png").unlink()
    report = convert(rig, tmp_path / "set", RigOptions(size=32))
    assert report["made"] == 1 and list(report["failed"]) == ["ann_2"]
    assert "frame 2 has no picture of shelf" in report["failed"]["ann_2"]


def test_a_wrong_folder_is_a_wrong_call(rig, tmp_path):
    for root, layout, expected in (
        (tmp_path / "nowhere", "auto", "no such folder"),
        (rig / "images", "zju", "no pictures of a rig.*annots.npy"),
        (rig / "images" / "left", "auto", "expected in it, or in each person's folder.*docs/multiview.md"),
        (rig, "panoptic", "expected one of auto, rig"),
    ):
        with pytest.raises(CallError, match=expected):
            convert(root, tmp_path / "set", RigOptions(layout=layout))
    (rig / "annots.json").write_text("{}")
    with pytest.raises(CallError, match="rig and zju; say which is meant with --layout"):
        convert(rig, tmp_path / "set", RigOptions())
    for options in ({"every": 0}, {"size": 8}, {"limit": 0}):
        with pytest.raises(CallError, match="expected"):
            RigOptions(**options)  # type: ignore[arg-type]


def test_two_cameras_that_face_each_other_see_no_depth():
    centres = np.array([[0.0, 0, -3], [0, 0, 3]])
    rays = np.array([[0.0, 0, 1], [0, 0, -1]])
    cameras, views = [], []
    for centre, ray in zip(centres, rays, strict=True):
        T = np.eye(4)
        T[:3, :3] = np.diag([ray[2], 1, ray[2]])
        T[:3, 3] = -T[:3, :3] @ centre
        cameras.append(RigCamera("a", np.eye(3), T, Lens()))
        black = np.zeros((2, 2), np.uint8)
        views.append(VirtualView(np.zeros((2, 2, 3), np.uint8), black, np.eye(3), T, 0.5, False))
    with pytest.raises(RigError, match="along one line"):
        person_extent("ann", cameras, views)


def test_lines_meet_where_they_cross():
    rng = np.random.default_rng(0)
    centres, point = rng.normal(size=(5, 3)) * 3, np.array([0.3, -0.2, 1.0])
    rays = (point - centres) / np.linalg.norm(point - centres, axis=1, keepdims=True)
    assert np.allclose(meeting_point(centres, rays), point, atol=1e-9)


def test_a_call_leaves_the_logs_of_the_process_as_they_were(tmp_path):
    levels = {
        name: logging.getLogger(name).level for name in ("turnaround.models.location", "turnaround.data.rigs")
    }
    assert main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    assert levels == {name: logging.getLogger(name).level for name in levels}
