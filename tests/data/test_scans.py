"""Readers of real datasets: the SMPL-X fit lies in the scan, whatever the layout's units, axes and
conventions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import KDTree
from toy_scans import person, write_custom_humans, write_humman, write_thuman2

from turnaround.data.scans.__main__ import main
from turnaround.data.scans.convert import ConvertOptions, convert
from turnaround.data.scans.fitting import fitted_body
from turnaround.data.scans.parameters import HandSpace, SourceBody
from turnaround.data.scans.scan import BodyFit
from turnaround.data.scans.splits import chosen
from turnaround.data.scans.subjects import is_scan_suite, people_from_views, scan_people
from turnaround.models.body.model import FREE_BODY, BodyModel
from turnaround.models.hgm.config import hgm_config
from turnaround.models.hgm.create import create_hgm
from turnaround.models.hgm.train import loss_fn
from turnaround.models.hgm.training.dataset import BACK, PeopleViews, turned_body
from turnaround.models.mesh.zbuffer import rasterize_views
from turnaround.pipeline.values.camera import orbit_cameras, project
from turnaround.pipeline.values.rotation import axis_angle_to_matrix

SIZE = 128
FREE = Path("free")


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def thuman(tmp_path_factory, model) -> Path:
    root = tmp_path_factory.mktemp("thuman")
    write_thuman2(root, model, "0000", person(0, hands=1.0))
    write_thuman2(root, model, "0526", person(1, (0.1, -2.0, 0.05), hands=1.0), mesh=True, axes=(1, 2, 0))
    return root


@pytest.fixture(scope="module")
def converted(thuman, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("views")
    report = convert("thuman2", thuman, out, ConvertOptions(split="all", size=SIZE, source_body=FREE))
    assert report["made"] == 2 and not report["failed"]
    return out


def iou(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.minimum(a, b).sum() / torch.maximum(a, b).sum())


def overlap(file: Path, model: BodyModel) -> float:
    """IoU of the fitted body's silhouettes with the scan's, over twelve views."""
    with np.load(file) as data:
        arrays = {name: data[name] for name in data.files}
    vertices = model(turned_body(arrays, 0, model)).vertices
    pixels, depth = project(vertices[None], orbit_cameras(range(0, 360, 30), SIZE))
    corners = torch.cat([pixels, depth[..., None]], -1).numpy()
    face_id, _, _ = rasterize_views(corners, model.faces.numpy().astype(np.int32), SIZE, SIZE)
    return iou(torch.from_numpy(face_id >= 0).float(), torch.from_numpy(arrays["mask"] > 127).float())


@pytest.mark.parametrize("name", ["0000", "0526"])
def test_thuman2_scan_and_fit_are_one_person(converted, model, name):
    """Scale, translation, y up, other axes of the second batch: all undone."""
    file = converted / f"{name}.npz"
    assert overlap(file, model) > 0.99
    with np.load(file) as data:
        assert set(data.files) >= {"K", "T_camera_world"} and set(data.files) >= {
            "rgb",
            "mask",
            "depth",
            "normal",
            "azimuths",
            "joints",
            "meta",
            "vertices",
            "faces",
            "photo",
        }
        joints, masks, vertices = torch.from_numpy(data["joints"]), data["mask"], data["vertices"]
        meta = json.loads(data["meta"].item())
        posed = model(turned_body({key: data[key] for key in data.files}, 0, model)).vertices.numpy()
    assert KDTree(vertices).query(posed)[0].max() < 1e-4  # metres: this scan is the body itself
    np.testing.assert_allclose(joints[0], 0, atol=1e-5)  # the pelvis is the origin
    assert joints[15, 1] < -0.3 and vertices[:, 1].max() > 0.6  # y down: head above, feet below
    pixels, _ = project(joints[None, :22], orbit_cameras(range(0, 360, 30), SIZE))
    inside = [masks[k, int(y), int(x)] > 0 for k, points in enumerate(pixels.numpy()) for x, y in points]
    assert np.mean(inside) > 0.97
    assert meta["body_from"] == "parameters" and meta["body_to_scan_mm"] < 1 and not meta["cut_off"]


def test_the_person_faces_the_input_camera(converted, model):
    for name in ("0000", "0526"):
        with np.load(converted / f"{name}.npz") as data:
            body = turned_body({key: data[key] for key in data.files}, 0, model)
            joints = data["joints"]
        forward = axis_angle_to_matrix(body.global_orient)[:, 2]
        assert forward[2] < -0.9 and abs(float(forward[0])) < 1e-4
        assert joints[16, 0] > joints[17, 0]  # the left shoulder is on the picture's right


def test_the_texture_is_on_the_person(converted):
    """Patches of the texture, not a lit or a mirrored one: photo and view 0 show the same picture."""
    (found, _) = people_from_views(converted)
    photo = torch.from_numpy(np.array(Image.open(found.photo))).float() / 255
    assert photo.shape == (512, 512, 4)
    alpha = photo[..., 3:]
    small = torch.nn.functional.adaptive_avg_pool2d(
        (photo[..., :3] * alpha + 1 - alpha).movedim(-1, 0), SIZE
    ).movedim(0, -1)
    assert (small - found.images[0]).abs().mean() < 0.01
    inside = found.images[0][found.masks[0] > 0.99]
    assert inside.std(0).min() > 0.1 and 0.3 < inside.mean() < 0.7


def test_scans_train_the_model(thuman, tmp_path, model):
    torch.manual_seed(0)
    network = create_hgm(hgm_config("tiny"), model)
    convert("thuman2", thuman, tmp_path, ConvertOptions(split="all", size=64, source_body=FREE))
    people = PeopleViews(tmp_path, model, network.surface)
    example = people.example(
        1, np.random.default_rng(0), turn=2, inputs=2, supervised=[0, BACK, 4], noise=0.3, with_body=True
    )
    loss, _ = loss_fn(network, [example])
    loss.backward()
    assert torch.isfinite(loss) and len(people) == 2


def test_evaluation_reads_converted_scans(converted, thuman, tmp_path, model):
    (person_, *_) = scan_people(str(converted), 1, tmp_path, SIZE)
    (same,) = scan_people(
        f"thuman2:{thuman}",
        1,
        tmp_path,
        SIZE,
        ConvertOptions("all", limit=1, size=SIZE, source_body=FREE, truth=True),
    )
    torch.testing.assert_close(person_.images, same.images)
    np.testing.assert_array_equal(person_.vertices, same.vertices)
    torch.testing.assert_close(model(same.body).joints, same.joints, atol=1e-5, rtol=0)
    assert same.photo.parent.parent == tmp_path / f"thuman2_{SIZE}"
    assert is_scan_suite("humman:x") and is_scan_suite(str(converted)) and not is_scan_suite("people-test")
    with pytest.raises(ValueError, match=r"no \.npz"):
        scan_people(str(tmp_path), 1, tmp_path, SIZE)


def test_a_second_call_keeps_what_is_there(thuman, converted):
    before = {file.name: file.stat().st_mtime_ns for file in converted.glob("*.npz")}
    report = convert("thuman2", thuman, converted, ConvertOptions(split="all", size=SIZE, source_body=FREE))
    assert (report["made"], report["kept"]) == (0, 2)
    assert before == {file.name: file.stat().st_mtime_ns for file in converted.glob("*.npz")}


def test_custom_humans(tmp_path, model):
    write_custom_humans(tmp_path, model, "0003_a", person(2))
    report = convert(
        "custom-humans", tmp_path, tmp_path / "out", ConvertOptions(split="test", size=SIZE, source_body=FREE)
    )
    assert report["made"] == 1, report
    assert overlap(tmp_path / "out" / "0003_a.npz", model) > 0.985


def test_without_the_source_body_the_trained_one_is_laid_into_the_body_mesh(
    thuman, tmp_path, model, converted
):
    report = convert(
        "thuman2",
        thuman,
        tmp_path,
        ConvertOptions(split="all", size=SIZE, listed=_list(tmp_path, "0526"), truth=False),
    )
    assert report["made"] == 1, report
    with np.load(tmp_path / "0526.npz") as data, np.load(converted / "0526.npz") as exact:
        assert json.loads(data["meta"].item())["body_from"] == "dataset's body mesh"
        assert np.linalg.norm(data["joints"] - exact["joints"], axis=-1)[:22].mean() < 0.015  # metres
        assert "vertices" not in data.files
    with pytest.raises(ValueError, match="--truth"):
        next(people_from_views(tmp_path))


@pytest.mark.parametrize("reordered", [False, True])
def test_parameters_of_another_body_model_are_carried_over(tmp_path, model, reordered):
    """As from the male SMPL-X to the body that is trained with; with the same vertices in order, or another
    mesh."""
    with np.load(FREE_BODY) as data:
        arrays = {name: data[name] for name in data.files}
    arrays["shapedirs"] = np.concatenate(
        [-arrays["shapedirs"][..., 9::-1], arrays["shapedirs"][..., 10:]], -1
    )
    np.savez(tmp_path / "SMPLX_MALE.npz", **arrays)
    source = SourceBody(BodyModel.load(tmp_path / "SMPLX_MALE.npz"), HandSpace.of(FREE_BODY))
    body = person(6)
    posed = source.model(body)
    vertices = posed.vertices.numpy()
    fit = BodyFit(tmp_path / "fit.pkl", body, "smplx", vertices=vertices[1:] if reordered else None)
    found = fitted_body(fit, vertices, model, None if reordered else source)
    assert found.how == ("dataset's body mesh" if reordered else "source body")
    error = (model(found.body).joints - posed.joints)[:22].norm(dim=-1).mean()
    assert error < (0.01 if reordered else 0.003)  # metres
    assert (found.body.betas - body.betas).norm() > 0.3


def test_humman_bodies_are_fitted_to_the_mesh(tmp_path, model):
    """SMPL's pose is taken, its shape and place are not: they mean something else."""
    write_humman(tmp_path, model, "p000001_a000002", "000006", person(3))
    report = convert("humman", tmp_path, tmp_path / "out", ConvertOptions(split="all", size=SIZE))
    assert report["made"] == 1, report
    file = tmp_path / "out" / "p000001_a000002_000006.npz"
    assert overlap(file, model) > 0.9
    with np.load(file) as data:
        assert json.loads(data["meta"].item())["body_from"] == "scan"
        head, ankles = data["joints"][15], data["joints"][[7, 8]].mean(0)
    leaning = np.degrees(np.arccos((ankles - head)[1] / np.linalg.norm(ankles - head)))
    assert leaning < 8  # the Kinect's pitch of 16 degrees is gone


def _list(folder: Path, *names: str) -> Path:
    file = folder / "names.txt"
    file.write_text("\n".join(names) + "\n")
    return file


def test_splits(tmp_path):
    names = [f"{k:04d}" for k in range(526)]
    parts = {
        split: chosen("thuman2", names, split, tmp_path, None)
        for split in ("train", "test", "val", "held-out")
    }
    assert parts["train"] == names[:500] and parts["test"] == names[500:505] and parts["val"] == names[505:]
    assert parts["held-out"] == parts["test"] + parts["val"]
    assert chosen(
        "humman", ["p1_a1_000000", "p1_a1_000006", "p2_a1_000000"], "all", tmp_path, _list(tmp_path, "p1_a1")
    ) == [
        "p1_a1_000000",
        "p1_a1_000006",
    ]
    with pytest.raises(ValueError, match=r"splits/test\.txt"):
        chosen("humman", ["p1_a1_000000"], "test", tmp_path, None)
    with pytest.raises(ValueError, match="--list"):
        chosen("custom-humans", names, "train", tmp_path, None)
    with pytest.raises(ValueError, match="not among"):
        chosen("thuman2", names, "train", tmp_path, _list(tmp_path, "9999"))


def test_the_command(thuman, tmp_path, caplog):
    common = [
        "--layout",
        "thuman2",
        "--root",
        str(thuman),
        "--out",
        str(tmp_path),
        "--size",
        "32",
        "--source-body",
        "free",
        "--no-truth",
    ]
    assert main([*common, "--split", "all", "--limit", "1"]) == 0
    assert [file.name for file in tmp_path.glob("*.npz")] == ["0000.npz"]
    assert main([*common, "--split", "test"]) == 2
    assert main(["--layout", "thuman2", "--root", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert "no such folder" in caplog.text
