"""The layouts of published datasets give the same set as ours; what could run code is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_rig import NAMES, UP, before_a_wall, entries, save, toy_pictures, write_rig
from toy_scans import ROOM, person, write_humman

from turnaround.data.rigs.convert import RigOptions, convert
from turnaround.data.rigs.easymocap import WITHOUT_PICKLE
from turnaround.data.rigs.labels import label_arrays
from turnaround.data.rigs.moment import KnownBody
from turnaround.data.scans import fitting
from turnaround.models.body.model import BodyModel

SIZE = 64


def arrays_of(root: Path, out: Path, layout: str) -> dict[str, np.ndarray]:
    report = convert(root, out, RigOptions(size=SIZE))
    assert report["layout"] == layout and report["failed"] == {} and report["made"] == 1, report
    with np.load(next(out.glob("*.npz")), allow_pickle=False) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> dict[str, np.ndarray]:
    """Our layout, cameras turned no more than they must be, hard masks."""
    folder = tmp_path_factory.mktemp("ours")
    write_rig(folder / "ann", up=None)
    for name, picture in toy_pictures().items():
        save(folder / "ann" / "masks" / name / "000000.png", hard(picture.alpha))
    return arrays_of(folder / "ann", folder / "set", "rig")


def hard(alpha: np.ndarray, value: int = 255) -> np.ndarray:
    return np.where(alpha > 0, value, 0).astype(np.uint8)


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert np.allclose(a["K"], b["K"], rtol=1e-5)
    assert np.allclose(a["T_camera_world"], b["T_camera_world"], atol=1e-5)
    assert np.abs(a["rgb"].astype(int) - b["rgb"]).max() <= 1
    assert np.abs(a["mask"].astype(int) - b["mask"]).max() <= 1


def write_zju(folder: Path, way: str = "npy", **other: object) -> Path:
    """T in millimetres, D as columns, masks of classes."""
    cams: dict[str, list] = {"K": [], "R": [], "T": [], "D": []}
    for name, entry in entries(0.001).items():
        cams["K"].append(np.array(entry["K"]))
        cams["R"].append(np.array(entry["R"]))
        cams["T"].append(np.array(entry["t"]).reshape(3, 1))
        cams["D"].append(np.array(entry["distortion"]).reshape(5, 1))
        save(folder / name / "000000.png", before_a_wall(toy_pictures()[name]))
        save(folder / "mask_cihp" / name / "000000.png", hard(toy_pictures()[name].alpha, 13))
    ims = [{"ims": [f"{name}/000000.png" for name in NAMES], "kpts2d": [np.zeros((25, 3))] * 4}]
    content = {"cams": cams, "ims": ims} | other
    if way == "npy":
        np.save(folder / "annots.npy", content)  # type: ignore[arg-type]
    else:
        plain = {
            "cams": {k: np.asarray(v).tolist() for k, v in cams.items()},
            "ims": [{"ims": ims[0]["ims"]}],
        }
        (folder / "annots.json").write_text(json.dumps(plain))
    return folder


@pytest.mark.parametrize("way", ["npy", "json"])
def test_zju_mocap(way, ours, tmp_path):
    same(arrays_of(write_zju(tmp_path / "CoreView_1", way), tmp_path / "set", "zju"), ours)


def test_easymocap(ours, tmp_path):
    folder = tmp_path / "seq"
    inner, outer = (["%YAML:1.0", "---", "names:", *(f'  - "{name}"' for name in NAMES)] for _ in range(2))
    for name, entry in entries().items():
        inner += matrix(f"K_{name}", entry["K"]) + matrix(f"dist_{name}", [entry["distortion"]])
        outer += matrix(f"Rot_{name}", entry["R"]) + matrix(f"T_{name}", np.reshape(entry["t"], (3, 1)))
        save(folder / "images" / name / "000000.png", before_a_wall(toy_pictures()[name]))
        save(folder / "mask" / name / "000000.png", hard(toy_pictures()[name].alpha, 1))
    (folder / "intri.yml").write_text("\n".join(inner))
    (folder / "extri.yml").write_text("\n".join(outer))
    same(arrays_of(folder, tmp_path / "set", "easymocap"), ours)
    (folder / "extri.yml").write_text("\n".join(outer[:6]))
    failed = convert(folder, tmp_path / "set2", RigOptions(size=SIZE))["failed"]
    assert "no matrix Rot_door" in failed["seq"]


def matrix(name: str, values: object) -> list[str]:
    """As cv2.FileStorage writes it."""
    m = np.array(values, float)
    data = ", ".join(f"{value:.17g}" for value in m.ravel())
    sizes = [f"   rows: {m.shape[0]}", f"   cols: {m.shape[1]}"]
    return [f"{name}: !!opencv-matrix", *sizes, "   dt: d", f"   data: [ {data} ]"]


def write_published(folder: Path, layout: str) -> Path:
    humman = layout == "humman"
    cameras = {}
    for k, (name, entry) in enumerate(entries().items()):
        key = f"kinect_color_{k:03d}" if humman else f"camera{k:04d}"
        cameras[key] = {"K": entry["K"], "R": entry["R"], "T": entry["t"]}
        if humman:
            cameras[f"kinect_depth_{k:03d}"] = {"K": [], "R": [], "T": []}
        colour, place = ("kinect_color", f"kinect_{k:03d}") if humman else ("img", key)
        picture = toy_pictures()[name]
        save(folder / colour / place / "000006.png", before_a_wall(picture))
        save(folder / ("kinect_mask" if humman else "mask") / place / "000006.png", hard(picture.alpha))
    (folder / "cameras.json").write_text(json.dumps(cameras))
    return folder


@pytest.mark.parametrize("layout", ["humman", "renderpeople"])
def test_humman_and_renderpeople(layout, tmp_path):
    """Their files have no lens: the same as ours without."""
    cameras = entries(sizes=False)
    for entry in cameras.values():
        del entry["distortion"]
    write_rig(tmp_path / "ann", cameras=cameras, up=None)
    for name, picture in toy_pictures().items():
        save(tmp_path / "ann" / "masks" / name / "000000.png", hard(picture.alpha))
    plain = arrays_of(tmp_path / "ann", tmp_path / "plain", "rig")
    write_published(tmp_path / layout / "p000001_a000002", layout)
    found = arrays_of(tmp_path / layout, tmp_path / "set", layout)  # the sequence is found in the folder
    same(found, plain)
    meta = json.loads(found["meta"].item())
    assert (meta["person"], meta["frame"], meta["source"]) == ("p000001_a000002", "000006", layout)


def test_humman_s_body_is_laid_into_its_mesh_in_the_world_of_the_cameras(tmp_path, monkeypatch):
    """The fit begins at the true pose, so that a few steps find the place; tests of scans fit to the end."""
    monkeypatch.setattr(fitting, "fit_to_points", partial(fitting.fit_to_points, steps=(30, 4)))
    model = BodyModel.load()
    body = person(3)
    write_humman(tmp_path, model, "p1_a1", "000006", body)
    known = KnownBody("humman", tmp_path / "p1_a1" / "smpl_params" / "000006.npz", "p1_a1_000006")
    found = label_arrays(known, None)
    with torch.no_grad():
        true = model(body).joints.double().numpy() @ ROOM.T + (0.1, 0.4, 2.5)
    off = np.linalg.norm(found["joints"][:22] - true[:22], axis=1)
    assert off.mean() < 0.03, off


def test_an_annotation_file_that_would_run_code_is_refused_with_a_way_out(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "evil",))

    folder = write_zju(tmp_path / "seq", cams=Evil())
    failed = convert(folder, tmp_path / "set", RigOptions(size=SIZE))["failed"]
    assert not (tmp_path / "evil").exists()
    assert "annots.npy" in failed["seq"] and "write annots.json beside it" in failed["seq"]


def test_the_way_out_works(ours, tmp_path):
    """The command that a message gives, for files that the restricted reader does not take."""
    folder = write_zju(tmp_path / "seq")
    command = WITHOUT_PICKLE.split('python -c "', 1)[1].removesuffix('"')
    subprocess.run([sys.executable, "-c", command], cwd=folder, check=True, timeout=60)
    (folder / "annots.npy").unlink()
    same(arrays_of(folder, tmp_path / "set", "zju"), ours)


@pytest.mark.parametrize("name", ["../secret/000000.png", "/etc/passwd.png", "C:\\x\\1.png", "door"])
def test_annotations_cannot_name_pictures_elsewhere(name, tmp_path):
    folder = write_zju(tmp_path / "seq", "json")
    content = json.loads((folder / "annots.json").read_text())
    content["ims"][0]["ims"][1] = name
    (folder / "annots.json").write_text(json.dumps(content))
    failed = convert(folder, tmp_path / "set", RigOptions(size=SIZE))["failed"]
    assert "is not within the folder" in failed["seq"]


def test_a_missing_picture_of_zju_concerns_its_moment_alone(tmp_path):
    folder = write_zju(tmp_path / "seq", "json")
    content = json.loads((folder / "annots.json").read_text())
    content["ims"].append({"ims": [f"{name}/000001.png" for name in NAMES]})
    (folder / "annots.json").write_text(json.dumps(content))
    report = convert(folder, tmp_path / "set", RigOptions(size=SIZE))
    assert report["made"] == 1 and "000001.png is missing" in report["failed"]["seq_000001"]


def test_what_zju_s_annotations_lack_is_told(tmp_path):
    folder = write_zju(tmp_path / "seq", "json")
    whole = json.loads((folder / "annots.json").read_text())
    fewer = {key: value[:3] for key, value in whole["cams"].items()}
    turned = [whole["ims"][0], {"ims": whole["ims"][0]["ims"][::-1]}]
    for changes, expected in (
        ({"cams": {"K": []}}, "expected 'cams' with K, R, T and D"),
        ({"cams": fewer}, "4 pictures a frame, and of cameras {'K': 3"),
        ({"cams": whole["cams"] | {"D": []}}, "'D': 0"),
        ({"cams": whole["cams"] | {"K": 3}}, "TypeError"),
        ({"ims": []}, "expected 'cams' and 'ims'"),
        ({"ims": [{}]}, "frame 0 has no 'ims'"),
        ({"ims": turned}, "frame 000001 has other cameras than the first"),
    ):
        (folder / "annots.json").write_text(json.dumps(whole | changes))
        failed = convert(folder, tmp_path / "set", RigOptions(size=SIZE))["failed"]
        assert len(failed) == 1 and expected in next(iter(failed.values())), failed


def test_processes_give_the_same_bytes(tmp_path):
    root = write_rig(tmp_path / "ann", ("1", "2"))
    for workers in (1, 2):
        convert(root, tmp_path / str(workers), RigOptions(size=SIZE, workers=workers))
    first, second = ({f.name: f.read_bytes() for f in (tmp_path / n).iterdir()} for n in ("1", "2"))
    assert first == second and len(first) == 2


def test_training_reads_what_was_made(tmp_path):
    """What GST asks of a moment: square cameras whose principal point is the middle, from two views on."""
    moments = pytest.importorskip("turnaround.models.gst.training.moments")
    write_rig(tmp_path / "ann", up=UP)
    convert(tmp_path / "ann", tmp_path / "set", RigOptions(size=SIZE))
    moments.check_moment(next((tmp_path / "set").glob("*.npz")))
