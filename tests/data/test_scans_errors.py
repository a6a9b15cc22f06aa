"""What is wrong with a scan is said with its file and a remedy; the other scans are converted
nevertheless."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_scans import person, smplx_fields, write_custom_humans, write_obj, write_pickle, write_thuman2

from turnaround.data.scans.convert import ConvertOptions, convert
from turnaround.data.scans.meshes import read_textured_obj
from turnaround.data.scans.parameters import HandSpace, body_of, read_fields
from turnaround.data.scans.scan import ScanError, check_height
from turnaround.models.body.model import FREE_BODY, BodyModel

FREE = Path("free")


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def original(tmp_path_factory, model) -> Path:
    root = tmp_path_factory.mktemp("thuman")
    write_thuman2(root, model, "0001", person(0, hands=1.0))
    return root


def broken(root: Path, how: str, name: str) -> None:
    """Spoil one scan."""
    folder, fit = root / name, root / "smplx" / name / "smplx_param.pkl"
    fields = pickle.loads(fit.read_bytes())
    match how:
        case "no fit":
            fit.unlink()
        case "no texture":
            (folder / "material0.jpeg").unlink()
        case "damaged texture":
            (folder / "material0.jpeg").write_bytes(b"\xff\xd8\xff no picture")
        case "empty mesh":
            (folder / f"{name}.obj").write_text("# nothing\n")
        case "no mesh":
            (folder / f"{name}.obj").unlink()
        case "torn fit":
            fit.write_bytes(fit.read_bytes()[:100])
        case "no scale":
            write_pickle(fit, fields | {"scale": np.zeros(1, np.float32)})
        case "a giant":
            write_pickle(fit, fields | {"scale": np.array([0.01], np.float32)})
        case "another's fit":
            write_pickle(fit, fields | {"translation": fields["translation"] + 0.3})
        case "SMPL":
            write_pickle(fit, fields | {"body_pose": np.zeros((1, 72), np.float32)})


CASES = {
    "no fit": r"smplx_param\.pkl is missing.*SMPL-X archive",
    "no texture": r"texture is missing \(expected material0\.jpeg",
    "damaged texture": r"texture cannot be read",
    "empty mesh": r"0002\.obj: (the mesh has no faces|not a readable)",
    "no mesh": r"0002\.obj is missing",
    "torn fit": r"cannot be read",
    "no scale": r"'scale' is 0",
    "a giant": r"m high, expected 0\.5 to 2\.6 m",
    "another's fit": r"does not lie on the scan.*--source-body",
    "SMPL": r"'body_pose' has shape \(1, 72\)",
}


@pytest.mark.parametrize("how", CASES)
def test_one_broken_scan_is_named_and_the_rest_goes_on(original, tmp_path, how):
    root = tmp_path / "data"
    shutil.copytree(original, root)
    for tree in (root, root / "smplx"):
        shutil.copytree(tree / "0001", tree / "0002")
    (root / "0002" / "0001.obj").rename(root / "0002" / "0002.obj")
    broken(root, how, "0002")
    report = convert(
        "thuman2", root, tmp_path / "out", ConvertOptions(split="all", size=32, source_body=FREE)
    )
    assert report["made"] == 1 and list(report["failed"]) == ["0002"]
    with pytest.raises(AssertionError, match=CASES[how]):
        raise AssertionError(report["failed"]["0002"])
    assert [file.name for file in (tmp_path / "out").glob("*.npz")] == ["0001.npz"]


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_no_pickle_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pickle(tmp_path / "smplx_param.pkl", {"betas": Evil()})
    with pytest.raises(ScanError, match=r"asks for posix\.mkdir"):
        read_fields(tmp_path / "smplx_param.pkl")
    buffer = io.BytesIO()
    torch.save({"betas": torch.zeros(10)}, buffer)
    (tmp_path / "smplx_param.pkl").write_bytes(buffer.getvalue())
    with pytest.raises(ScanError, match="PyTorch"):
        read_fields(tmp_path / "smplx_param.pkl")
    (tmp_path / "values.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(ScanError, match="cannot be read"):
        read_fields(tmp_path / "values.npz")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname.png", "sub/../../secret.png"])
def test_a_mesh_takes_no_texture_from_elsewhere(tmp_path, model, name):
    write_obj(tmp_path / "scan" / "scan.obj", model, model.v_template.numpy(), name)
    with pytest.raises(ScanError, match="outside of its own folder"):
        read_textured_obj(tmp_path / "scan" / "scan.obj")


def test_wrong_calls(tmp_path):
    for layout in ("thuman2", "custom-humans", "humman", "gps-gaussian"):
        with pytest.raises(ValueError, match="expected"):
            convert(layout, tmp_path, tmp_path / "out", ConvertOptions(split="all"))
    with pytest.raises(ValueError, match="--layout cape"):
        convert("cape", tmp_path, tmp_path / "out", ConvertOptions())
    with pytest.raises(ValueError, match="--unit inch"):
        convert("thuman2", tmp_path, tmp_path / "out", ConvertOptions(unit="inch"))
    with pytest.raises(ValueError, match=r"SMPLX_MALE\.npz does not exist"):
        convert(
            "thuman2", tmp_path, tmp_path / "out", ConvertOptions(source_body=tmp_path / "SMPLX_MALE.npz")
        )
    assert not (tmp_path / "out").exists()


def test_units(tmp_path, model):
    """Millimetres are suspected, named, and read when said."""
    write_custom_humans(tmp_path, model, "0007", person(0), unit=1000.0)
    options = ConvertOptions(split="all", size=32, source_body=FREE)
    report = convert("custom-humans", tmp_path, tmp_path / "out", options)
    assert "pass --unit mm" in report["failed"]["0007"]
    report = convert("custom-humans", tmp_path, tmp_path / "out", dataclasses.replace(options, unit="mm"))
    assert report["made"] == 1, report


def test_heights():
    up = np.array([0, 1, 0], np.float32)
    for low, fails in ((0.55, False), (2.5, False), (0.4, True), (2.7, True)):
        points = np.array([[0, 0, 0], [0, low, 0]], np.float32)
        if fails:
            with pytest.raises(ScanError, match="m high"):
                check_height(Path("x"), points, up)
        else:
            check_height(Path("x"), points, up)


def test_hands_in_principal_components():
    """smplx's rule: fewer than 45 numbers are coefficients; the mean is added unless the hands are flat."""
    space = HandSpace.of(FREE_BODY)
    coefficients = np.random.default_rng(0).normal(size=(1, 12)).astype(np.float32)
    fields = {name: value for name, value in smplx_fields(person(0)).items()} | {
        "left_hand_pose": coefficients
    }
    expected = coefficients[0] @ space.components[0, :12]
    curled = body_of(Path("x"), fields, space, flat_hand=False)
    flat = body_of(Path("x"), fields, space, flat_hand=True)
    np.testing.assert_allclose(curled.left_hand_pose.numpy().reshape(-1), expected + space.mean[0], atol=1e-6)
    np.testing.assert_allclose(flat.left_hand_pose.numpy().reshape(-1), expected, atol=1e-6)
    assert not body_of(
        Path("x"), fields, None, flat_hand=False
    ).left_hand_pose.any()  # unreadable without the file: flat
    rotations = np.random.default_rng(1).normal(size=(15, 3)).astype(np.float32)
    full = body_of(Path("x"), fields | {"left_hand_pose": rotations}, space, flat_hand=True)
    np.testing.assert_allclose(full.left_hand_pose.numpy(), rotations)
