"""The render layout of GPS-Gaussian and HGM: a ring of cameras is our orbit, whatever its pitch and
intrinsics."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import KDTree
from toy_scans import person, write_pickle, write_thuman2

from turnaround.data.scans.convert import ConvertOptions, convert
from turnaround.data.scans.ring import NotARing, ring_of
from turnaround.data.scans.scan import TexturedMesh
from turnaround.data.scans.subjects import people_from_views
from turnaround.data.scans.thuman2 import THuman2
from turnaround.data.scans.views import see
from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.config import hgm_config
from turnaround.models.hgm.create import create_hgm
from turnaround.models.hgm.training.dataset import PeopleViews
from turnaround.pipeline.values.camera import intrinsics, orbit_cameras, rays
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Camera

SIZE, SOURCE = 128, 256
FLIP = np.diag([1.0, -1.0, -1.0])  # y up -> y down


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def scan(tmp_path_factory, model):
    """A scan as the renderer prepares it: 1.8 m high, feet at 0, y up; and the folder of the fits."""
    root = tmp_path_factory.mktemp("thuman")
    write_thuman2(root, model, "0003", person(0, (0.0, 0.5, 0.0)))
    mesh = THuman2(root).read("0003").mesh
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    middle = (low + high) / 2
    return mesh.moved(
        np.eye(3), np.array([-middle[0], -low[1], -middle[2]]), 1.8 / float(high[1] - low[1])
    ), root / "smplx"


def ring_cameras(
    count: int = 12, pitch: float = 8.0, shift: float = 25 / 1024, base: float = 28.0, size: int = SOURCE
) -> Camera:
    """The published renderer's: 2 m from (0, 0.85, 0), looking down by `pitch`, the principal point
    lowered."""
    orbit = orbit_cameras([base + 360 / count * k for k in range(count)], size, elevation=pitch)
    T_world_scan = np.eye(4)
    T_world_scan[:3, :3], T_world_scan[:3, 3] = FLIP, -FLIP @ [0, 0.85, 0]
    K = intrinsics(size).expand(count, 3, 3).clone()
    K[:, 1, 2] += shift * size
    return Camera(K, orbit.T_camera_world @ torch.from_numpy(T_world_scan).float(), size, size)


def write_renders(root: Path, name: str, mesh: TexturedMesh, cameras: Camera) -> None:
    for k, picture in enumerate(see(mesh, cameras)):
        folders = {kind: root / kind / f"{name}_{k:03d}" for kind in ("img", "mask", "parm", "depth")}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        solid = picture.alpha > 127
        Image.fromarray(picture.color * solid[..., None]).save(
            folders["img"] / "0.jpg", quality=97, subsampling=0
        )
        Image.fromarray((solid * 255).astype(np.uint8)[..., None].repeat(3, -1)).save(
            folders["mask"] / "0.png"
        )
        inverse = np.where(picture.depth > 0, 2.0**15 / np.maximum(picture.depth, 0.5), 0).astype(np.uint16)
        Image.fromarray(inverse).save(folders["depth"] / "0.75.png")
        np.save(folders["parm"] / "0_intrinsic.npy", cameras.K[k].numpy())
        np.save(folders["parm"] / "0_extrinsic.npy", cameras.T_camera_world[k, :3].numpy())


@pytest.fixture(scope="module")
def rendered(scan, tmp_path_factory):
    """Renders of a pitched ring, converted."""
    mesh, fits = scan
    root, out = tmp_path_factory.mktemp("renders"), tmp_path_factory.mktemp("views")
    write_renders(root, "0003", mesh, ring_cameras())
    report = convert("gps-gaussian", root, out, ConvertOptions(size=SIZE, fits=fits, truth=True))
    assert report["made"] == 1, report
    return root, out


def test_the_canonical_orbit_comes_back_as_it_was(scan, tmp_path):
    """Same cameras, same size: same pictures (but for JPEG), same depth."""
    mesh, fits = scan
    cameras = ring_cameras(pitch=0.0, shift=0.0, base=0.0, size=SIZE)
    write_renders(tmp_path / "r", "0003", mesh, cameras)
    ring = ring_of(cameras.T_camera_world.numpy())
    np.testing.assert_allclose(ring.centre, [0, 0.85, 0], atol=1e-6)
    np.testing.assert_allclose(ring.R_world_scan, FLIP, atol=1e-6)
    assert ring.scale == pytest.approx(1) and ring.order == tuple(range(12))
    report = convert("gps-gaussian", tmp_path / "r", tmp_path / "out", ConvertOptions(size=SIZE, fits=fits))
    assert report["made"] == 1, report
    views = see(mesh, cameras)
    with np.load(tmp_path / "out" / "0003.npz") as data:
        for k, view in enumerate(views):
            solid = view.alpha > 127
            np.testing.assert_array_equal(data["mask"][k], solid * 255)
            white = np.where(solid[..., None], view.color, 255)
            assert np.abs(data["rgb"][k].astype(int) - white).mean() < 1.0  # of 255
            np.testing.assert_allclose(
                data["depth"][k][solid], view.depth[solid], atol=2e-3
            )  # half precision


def test_a_pitched_ring_becomes_the_level_orbit(scan, rendered, model):
    """As if the scan had been rendered by our own cameras in the first place."""
    mesh, _ = scan
    ring = ring_of(ring_cameras().T_camera_world.numpy())
    placed = mesh.moved(ring.R_world_scan, -ring.centre, ring.scale)
    with np.load(rendered[1] / "0003.npz") as data:
        arrays = {name: data[name] for name in data.files}
    views = see(placed, orbit_cameras(range(0, 360, 30), SIZE))
    for k, view in enumerate(views):
        a, b = arrays["mask"][k] > 127, view.alpha > 127
        assert (a & b).sum() / (a | b).sum() > 0.96
        both = a & b
        assert np.abs(arrays["rgb"][k][both].astype(int) - view.color[both]).mean() < 12
        inner = both & (arrays["normal"][k] != 0).any(-1)
        assert np.abs(arrays["depth"][k][inner] - view.depth[inner]).mean() < 0.01
        agree = (arrays["normal"][k][inner] / 127 * view.normal[inner]).sum(-1)
        assert inner.sum() > 0.5 * both.sum() and np.median(agree) > 0.9


def test_normals_look_at_the_camera(rendered):
    with np.load(rendered[1] / "0003.npz") as data:
        normal = torch.from_numpy(data["normal"].astype(np.float32))
    towards = (normal * rays(orbit_cameras(range(0, 360, 30), SIZE))).sum(-1)
    assert (towards[(normal != 0).any(-1)] < 0).float().mean() > 0.99


def test_the_body_is_laid_into_the_renders(scan, rendered, model):
    mesh, _ = scan
    ring = ring_of(ring_cameras().T_camera_world.numpy())
    points = mesh.moved(ring.R_world_scan, -ring.centre, ring.scale).vertices
    (found,) = people_from_views(rendered[1])
    posed = model(found.body)
    off = KDTree(points).query(posed.vertices.numpy())[0]
    assert np.mean(off) < 0.015  # metres
    assert found.joints[15, 1] < found.joints[0, 1] < found.joints[7, 1]  # head above pelvis above ankle
    forward = axis_angle_to_matrix(found.body.global_orient)[:, 2]
    assert forward[2] < -0.8  # the ring's first camera is nearly before the person here
    assert np.mean(KDTree(points).query(found.vertices)[0]) < 0.01  # the surface fused from the depth
    assert len(found.faces) > 1000 and found.photo.is_file()


def test_renders_train_the_model(rendered, model, scan, tmp_path):
    convert("gps-gaussian", rendered[0], tmp_path, ConvertOptions(size=64, fits=scan[1]))
    people = PeopleViews(tmp_path, model, create_hgm(hgm_config("tiny"), model).surface)
    example = people.example(
        0, np.random.default_rng(0), turn=1, inputs=2, supervised=[0, 6], noise=0.0, with_body=True
    )
    assert example.inputs.visible[0, 0].mean() > 0.2
    torch.testing.assert_close(example.inputs.mask[0, :, 0], example.mask)


def test_other_rings_are_refused():
    with pytest.raises(NotARing, match="16 cameras, expected 12"):
        ring_of(ring_cameras(count=16).T_camera_world.numpy())
    uneven = orbit_cameras([0, 30, 60, 95, 120, 150, 180, 210, 240, 270, 300, 330], 8).T_camera_world.numpy()
    with pytest.raises(NotARing, match=r"expected steps of 30|not on one circle"):
        ring_of(uneven)
    wavy = orbit_cameras(range(0, 360, 30), 8, elevation=[5.0, -5.0] * 6).T_camera_world.numpy()
    with pytest.raises(NotARing, match="expected a level ring"):
        ring_of(wavy)


def test_what_is_missing_is_named(rendered, scan, tmp_path):
    root = tmp_path / "renders"
    shutil.copytree(rendered[0], root)
    options = ConvertOptions(size=32, fits=scan[1])

    def message() -> str:
        return convert("gps-gaussian", root, tmp_path / "out", options)["failed"]["0003"]

    shutil.rmtree(root / "parm" / "0003_011")
    assert "0_intrinsic.npy: cannot be read" in message()
    shutil.rmtree(root / "img" / "0003_011")
    assert "11 cameras, expected 12" in message() and "--layout thuman2" in message()
    with pytest.raises(ValueError, match="needs --fits"):
        convert("gps-gaussian", root, tmp_path / "out", ConvertOptions())
    shutil.rmtree(root / "depth")
    with pytest.raises(ValueError, match="no depth folder"):
        convert("gps-gaussian", root, tmp_path / "out2", options)


def test_a_fit_of_somebody_else_is_refused(rendered, tmp_path, model):
    fields = {
        "body_pose": np.zeros((1, 63), np.float32),
        "global_orient": np.array([[0, 0, 1.5]], np.float32),
    }
    write_pickle(tmp_path / "fits" / "0003.pkl", fields)
    report = convert(
        "gps-gaussian", rendered[0], tmp_path / "out", ConvertOptions(size=64, fits=tmp_path / "fits")
    )
    assert json.dumps(report["failed"]).count("does not lie on the scan") == 1
