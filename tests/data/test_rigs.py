"""Pictures of calibrated cameras become a training set: where things lie, what is seen, the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_rig import (
    NAMES,
    UP,
    before_a_wall,
    entries,
    save,
    toy_cameras,
    toy_figure,
    toy_pictures,
    write_cameras,
    write_rig,
)

from turnaround.data.rigs import masks
from turnaround.data.rigs.__main__ import main
from turnaround.data.rigs.convert import RigOptions, convert
from turnaround.data.rigs.distortion import Lens
from turnaround.data.rigs.masks import Seen, see
from turnaround.data.rigs.moment import RigCamera, RigView
from turnaround.data.rigs.virtual import resampled
from turnaround.models.matting.cutout import HEIGHT, limited, person_square
from turnaround.models.matting.pieces import find_people

SIZE = 256


def converted(root: Path, out: Path, **options: object) -> dict[str, np.ndarray]:
    """The arrays of the one moment of a folder."""
    report = convert(root, out, RigOptions(**options))  # type: ignore[arg-type]
    assert report["failed"] == {} and report["made"] == 1, report
    with np.load(next(out.glob("*.npz")), allow_pickle=False) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_rig(tmp_path_factory.mktemp("rig") / "ann")


@pytest.fixture(scope="module")
def small(folder, tmp_path_factory) -> dict[str, np.ndarray]:
    """The same with fewer pixels, for what compares sets alone."""
    return converted(folder, tmp_path_factory.mktemp("small"), size=64)


@pytest.fixture(scope="module")
def arrays(folder, tmp_path_factory) -> dict[str, np.ndarray]:
    return converted(folder, tmp_path_factory.mktemp("set"))


def decibel(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b).mean()))


def projected(points: np.ndarray, K: np.ndarray, T: np.ndarray) -> np.ndarray:
    p = (points @ T[:3, :3].T + T[:3, 3]) @ K.T
    return p[:, :2] / p[:, 2:]


def test_the_arrays_are_those_of_a_views_set(arrays):
    assert arrays["rgb"].shape == (4, SIZE, SIZE, 3) and arrays["mask"].shape == (4, SIZE, SIZE)
    assert arrays["rgb"].dtype == arrays["mask"].dtype == np.uint8
    assert arrays["K"].dtype == arrays["T_camera_world"].dtype == np.float32
    meta = json.loads(arrays["meta"].item())
    assert meta["kind"] == "rig" and meta["cameras"] == list(NAMES) and meta["person"] == "ann"
    assert meta["frame"] == "000000" and meta["masks"] == ["file"] and not any(meta["cut_off"])
    assert 1.5 < meta["extent"] < 2.0
    assert not [name for name in arrays if name.startswith("body_") or name == "joints"]


def test_a_virtual_picture_is_what_the_virtual_camera_sees(arrays):
    """41 to 44 dB were measured; the real pictures have 1.3 to 2 pixels for one and are sampled once."""
    figure = toy_figure()
    for k in range(4):
        direct = figure.seen_from(arrays["K"][k], arrays["T_camera_world"][k], SIZE, samples=4)
        assert decibel(direct.over_white(), arrays["rgb"][k]) > 38, NAMES[k]
        assert decibel(direct.alpha, arrays["mask"][k]) > 40, NAMES[k]


def test_joints_fall_where_the_virtual_cameras_have_them(arrays):
    """A dot that a real camera sees at a joint is found where the set's cameras put the joint."""
    joints = toy_figure().joints[[0, 15, 20, 21, 7, 8]].astype(np.float64)
    v, u = np.mgrid[:480, :640] + 0.5
    for k, (name, camera) in enumerate(toy_cameras().items()):
        real = RigCamera(name, camera.K, camera.T_camera_world, camera.lens)
        p = joints @ camera.T_camera_world[:3, :3].T + camera.T_camera_world[:3, 3]
        at = camera.lens.distorted(p[:, :2] / p[:, 2:]) @ camera.K[:2, :2].T + camera.K[:2, 2]
        turn = arrays["T_camera_world"][k][:3, :3].astype(np.float64) @ camera.T_camera_world[:3, :3].T
        expected = projected(joints, arrays["K"][k], arrays["T_camera_world"][k])
        for x, wanted in zip(at, expected, strict=True):
            dot = np.exp(-((u - x[0]) ** 2 + (v - x[1]) ** 2) / 18).astype(np.float32)
            seen = Seen(np.zeros((480, 640, 3), np.float32), dot, "file", True)
            weight = resampled(seen, real, arrays["K"][k].astype(np.float64), turn, SIZE)[1].astype(float)
            rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
            found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
            assert np.abs(found - wanted).max() < 0.1, (name, found, wanted)


def test_a_virtual_camera_stands_where_the_real_one_does_and_looks_at_the_person(arrays):
    for k, camera in enumerate(toy_cameras().values()):
        K, T = arrays["K"][k].astype(np.float64), arrays["T_camera_world"][k].astype(np.float64)
        real = -camera.T_camera_world[:3, :3].T @ camera.T_camera_world[:3, 3]
        assert np.allclose(-T[:3, :3].T @ T[:3, 3], real, atol=1e-5)
        assert np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-6)
        assert K[0, 0] == K[1, 1] and np.array_equal(K[:2, 2], [SIZE / 2, SIZE / 2])
        assert abs(T[0, :3] @ UP) < 1e-6 and T[1, :3] @ UP < 0  # level, and not upside down
        pelvis = projected(toy_figure().joints[:1], K, T)[0]
        assert np.abs(pelvis - SIZE / 2).max() < 0.06 * SIZE


def test_a_person_is_framed_as_prepare_frames_a_photo(arrays):
    """The square that `prepare` would cut of a virtual picture is the picture."""
    for mask in arrays["mask"]:
        soft = mask.astype(np.float32) / 255
        person = find_people(soft)[0]
        square = np.array(person_square(soft, person))
        assert np.abs(square - (0, 0, SIZE)).max() < 0.012 * SIZE
        assert abs(person.box[2] - person.box[0] - HEIGHT) < 0.01


def test_without_a_vertical_a_camera_is_turned_no_more_than_it_must_be(folder, arrays, tmp_path):
    write_rig(tmp_path / "ann", up=None)
    free = converted(tmp_path / "ann", tmp_path / "set")
    for k, camera in enumerate(toy_cameras().values()):
        turn = free["T_camera_world"][k][:3, :3] @ camera.T_camera_world[:3, :3].T
        axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        assert abs(axis[2]) < 1e-5  # nothing about the line of sight
    direct = toy_figure().seen_from(free["K"][3], free["T_camera_world"][3], SIZE, samples=4)
    assert decibel(direct.over_white(), free["rgb"][3]) > 38


def inverse(entry: dict) -> np.ndarray:
    return np.linalg.inv(matrix(entry))


def matrix(entry: dict) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = entry["R"], entry["t"]
    return T


GL = np.diag([1.0, -1.0, -1.0, 1.0])
WAYS = {
    "millimetres": lambda: ({"units": "mm"}, entries(0.001)),
    "centimetres": lambda: ({"units": "cm"}, entries(0.01)),
    "one matrix": lambda: ({}, placed(lambda e: {"T_camera_world": matrix(e).tolist()})),
    "its inverse": lambda: ({}, placed(lambda e: {"T_world_camera": inverse(e).tolist()})),
    "OpenGL": lambda: (
        {"convention": "opengl", "pixel_center": 0},
        placed(lambda e: {"T_camera_world": (GL @ matrix(e)).tolist()}),
    ),
    "OpenGL, inverse": lambda: (
        {"convention": "opengl", "pixel_center": 0},
        placed(lambda e: {"T_world_camera": np.linalg.inv(GL @ matrix(e)).tolist()}),
    ),
    "pixels from their middle": lambda: ({"pixel_center": 0.5}, shifted()),
    "no sizes": lambda: ({}, entries(sizes=False)),
    "a longer up": lambda: ({"up": [0, -3, 0]}, entries()),
}


def placed(how) -> dict[str, dict]:
    return {
        name: {k: v for k, v in entry.items() if k not in "Rt"} | how(entry)
        for name, entry in entries().items()
    }


def shifted() -> dict[str, dict]:
    result = entries()
    for entry in result.values():
        K = np.array(entry["K"])
        K[:2, 2] += 0.5
        entry["K"] = K.tolist()
    return result


@pytest.mark.parametrize("way", WAYS)
def test_units_and_conventions_say_the_same(way, folder, small, tmp_path):
    other, cameras = WAYS[way]()
    write_rig_like(folder, tmp_path / "ann", cameras, other)
    again = converted(tmp_path / "ann", tmp_path / "set", size=64)
    assert np.allclose(again["K"], small["K"], rtol=1e-5)
    assert np.allclose(again["T_camera_world"], small["T_camera_world"], atol=1e-5)
    assert np.abs(again["rgb"].astype(int) - small["rgb"]).max() <= 1


def write_rig_like(folder: Path, other: Path, cameras: dict[str, dict], keys: dict) -> None:
    """The pictures of a folder with other words for its cameras."""
    write_cameras(other, cameras, **keys)
    for name in ("images", "masks"):
        (other / name).symlink_to(folder / name)


def test_frames_may_be_folders_and_a_single_moment_needs_none(folder, small, tmp_path):
    for way, place in {"by_frame": "000000/{camera}.png", "flat": "{camera}.png"}.items():
        root = tmp_path / way / "ann"
        for kind in ("images", "masks"):
            for camera in NAMES:
                file = root / kind / place.format(camera=camera)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.symlink_to(folder / kind / camera / "000000.png")
        (root / "cameras.json").symlink_to(folder / "cameras.json")
        again = converted(root, tmp_path / way / "set", size=64)
        assert np.array_equal(again["rgb"], small["rgb"]) and np.array_equal(again["K"], small["K"])


def test_the_same_bytes_and_only_what_is_missing(folder, tmp_path):
    root = tmp_path / "people"
    (root / "ann").mkdir(parents=True)
    (root / "bob").symlink_to(folder)
    write_rig(root / "ann", ("2", "10", "30"))
    (root / "ann" / "cameras.json").rename(root / "cameras.json")  # shared by all
    out = tmp_path / "set"
    report = convert(root, out, RigOptions(every=2, size=64))
    assert sorted(file.name for file in out.glob("*.npz")) == ["ann_2.npz", "ann_30.npz", "bob_000000.npz"]
    assert report["layout"] == "rig" and report["made"] == 3 and report["kept"] == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    (out / "ann_30.npz").unlink()
    report = convert(root, out, RigOptions(every=2, size=64))
    assert report["made"] == 1 and report["kept"] == 2
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert convert(root, tmp_path / "one", RigOptions(limit=1, size=64))["made"] == 1


def test_two_moments_of_one_file_are_not_written_over_each_other(folder, tmp_path):
    root = tmp_path / "people"
    for name in ("a b", "a_b"):
        (root / name).mkdir(parents=True)
        for part in ("images", "masks", "cameras.json"):
            (root / name / part).symlink_to(folder / part)
    report = convert(root, tmp_path / "set", RigOptions(size=64))
    assert report["made"] == 1 and "its file would be that of person 'a b'" in report["failed"]["a_b_000000"]


def test_one_bad_moment_does_not_stop_the_others(folder, tmp_path, caplog):
    root = write_rig(tmp_path / "ann", ("1", "2"))
    (root / "images" / "left" / "1.png").write_bytes(b"no picture")
    assert main([str(root), "--out", str(tmp_path / "set"), "--size", "64"]) == 1
    assert [file.name for file in (tmp_path / "set").iterdir()] == ["ann_2.npz"]
    assert "left/1.png" in caplog.text
    assert main([str(folder), "--out", str(tmp_path / "set2"), "--size", "64"]) == 0
    assert main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "set3")]) == 2
    assert main([str(folder), "--out", str(tmp_path / "set2"), "--size", "128"]) == 2  # another size


def test_a_body_that_is_told_comes_along(folder, tmp_path):
    figure = toy_figure()
    root = tmp_path / "ann"
    write_rig_like(folder, root, entries(), {})
    (root / "bodies").mkdir()
    np.savez(root / "bodies" / "000000.npz", **figure.body)  # type: ignore[arg-type]
    again = converted(root, tmp_path / "set", size=64)
    assert np.abs(again["joints"] - figure.joints).max() < 1e-4
    assert np.allclose(again["body_body_pose"], figure.body["body_pose"])
    assert np.allclose(again["body_transl"], figure.body["transl"])


def test_a_cut_out_is_its_own_mask_and_other_pictures_go_through_the_networks(tmp_path, monkeypatch):
    camera = toy_cameras()["door"]
    picture = toy_pictures()["door"]
    rig = RigCamera("door", camera.K, camera.T_camera_world, camera.lens)
    save(tmp_path / "cut.png", np.concatenate([picture.color, picture.alpha[..., None]], -1))
    seen = see(RigView(rig, tmp_path / "cut.png", None))
    assert seen.mask_from == "alpha" and np.abs(seen.mask * 255 - picture.alpha).max() < 1

    class Found:
        soft, quarters = np.rot90(picture.alpha / 255.0, 1), 1

    class Stub:
        def locate(self, image, mask):
            return Found()

    monkeypatch.setattr(masks, "_locator", Stub)
    save(tmp_path / "plain.png", before_a_wall(picture))
    seen = see(RigView(rig, tmp_path / "plain.png", None))
    assert seen.mask_from == "network" and np.abs(seen.mask * 255 - picture.alpha).max() < 1


@pytest.mark.parametrize("shape", [(100, 640), (90, 4096), (4097, 100), (101, 6200)])
def test_a_network_s_mask_of_a_large_picture_is_laid_over_it(shape):
    """The networks see at most 2,048 pixels, of whole blocks each."""
    v, u = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    blob = np.exp(-np.square((v / shape[0] - 0.4) * 3) - np.square((u / shape[1] - 0.6) * 3))
    soft = limited(np.zeros((*shape, 3), np.float32), blob)[1]
    assert soft is not None and max(soft.shape) <= 2048
    again = masks.enlarged(soft.astype(np.float32), shape)
    inner = (slice(8, -8), slice(8, -8))
    assert again.shape == shape and np.abs(again - blob)[inner].max() < 0.02


def test_fine_patterns_become_their_mean_and_not_others():
    """Stripes of a pixel, seen with a tenth of the pixels: grey everywhere, no moire."""
    camera = RigCamera("a", np.array([[2000.0, 0, 640], [0, 2000, 480], [0, 0, 1]]), np.eye(4), Lens())
    stripes = np.broadcast_to((np.arange(1280) % 2).astype(np.float32)[None, :, None], (960, 1280, 3))
    seen = Seen(np.ascontiguousarray(stripes), np.ones((960, 1280), np.float32), "file", True)
    K = np.array([[203.0, 0, 32], [0, 203, 32], [0, 0, 1]])
    rgb, mask = resampled(seen, camera, K, np.eye(3), 64)
    assert mask.min() == 255 and np.abs(rgb.astype(float) - 127.5).max() < 16


@settings(max_examples=30)
@given(
    st.tuples(*(st.floats(-0.3, 0.3) for _ in range(2)), *(st.floats(-0.003, 0.003) for _ in range(3))),
    st.floats(0, 0.6),
    st.floats(0, 6.3),
)
def test_a_lens_is_undone_where_it_can_be(values, radius, angle):
    k1, k2, p1, p2, k3 = values
    lens = Lens(k1, k2, p1, p2, k3)
    point = radius * np.array([[np.cos(angle), np.sin(angle)]])
    back = lens.straightened(lens.distorted(point))
    if radius < 0.9 * lens.reach():
        assert np.abs(back - point).max() < 1e-5
    assert np.isnan(lens.straightened(np.array([[9.0, 9.0]]))).all() or lens.reach() > 9


def test_a_lens_bends_as_opencv_says():
    """A point worked out by hand from the formulas of OpenCV's calib3d page."""
    lens = Lens(0.1, 0.01, 0.002, 0.003, 0.001)
    x, y = 0.3, -0.4
    r2 = 0.25
    radial = 1 + 0.1 * r2 + 0.01 * r2**2 + 0.001 * r2**3
    expected = (
        x * radial + 2 * 0.002 * x * y + 0.003 * (r2 + 2 * x * x),
        y * radial + 0.002 * (r2 + 2 * y * y) + 2 * 0.003 * x * y,
    )
    assert np.allclose(lens.distorted(np.array([x, y])), expected, rtol=1e-12)
