"""Laws of what varies: extras, part ids, cameras of singles, things in hands, streams, meshes. No wardrobe is
needed."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from turnaround.data.clothes import base_mesh, closet, extras
from turnaround.data.clothes.parts import BODY_PARTS, ROLES, body_part, role
from turnaround.data.people import sample_person, varied_shape
from turnaround.data.sets import folders as sets
from turnaround.data.sets import singles
from turnaround.data.sets.held_things import held_layer
from turnaround.data.sets.meshes import encode_glb
from turnaround.data.sets.stream import PeopleStream
from turnaround.data.sets.views import ViewOptions, figure_for_views, seen
from turnaround.models.body.skeleton import JOINT_INDEX


@pytest.fixture(scope="module")
def bare():
    return closet.Closet(base_mesh.load(), "train", None)


@pytest.fixture(scope="module")
def figure(bare):
    return figure_for_views(31, "train", bare)


@pytest.fixture
def bare_cache(tmp_path, monkeypatch):
    """A user's cache without the wardrobe."""
    monkeypatch.setenv("TURNAROUND_CACHE", str(tmp_path))
    closet.Closet.open.cache_clear()
    yield tmp_path
    closet.Closet.open.cache_clear()


@pytest.fixture(scope="module")
def pictures(bare):
    """Singles of two people, ten poses each."""
    return [
        singles.single(person, index, 96)
        for person in (sample_person(k, "train", bare) for k in (3, 4))
        for index in range(10)
    ]


@pytest.mark.parametrize("name", sorted(extras._SHELLS))
def test_a_shell_lies_on_the_skin_where_it_is_worn(bare, name):
    garment, base = extras.shell(bare, name), bare.base
    points = garment.place(base.template)
    assert len(garment.faces) > 40
    distance = KDTree(base.template[base.surface]).query(points)[0]
    assert np.percentile(distance, 85) < 0.012  # all but a brim, and the middles of large faces
    head, wrist = (base.joint_template[JOINT_INDEX[joint]] for joint in ("head", "left_wrist"))
    centre = points.mean(0)
    if name == "gloves":
        assert np.abs(points[:, 0]).min() > wrist[0] - 0.05
    elif name == "stockings":
        assert centre[1] < -0.4
    else:
        assert np.linalg.norm(centre[:2] - head[:2]) < 0.15


def test_an_open_coat_is_open_in_front_and_closed_behind(bare):
    coat = extras.coat_top(bare, 5, 2, "hip").place(bare.base.template)
    low = coat[:, 1] < bare.base.joint_template[JOINT_INDEX["spine3"], 1] - 0.1
    trunk = low & (np.abs(coat[:, 0]) < 0.2)
    front, back = coat[trunk & (coat[:, 2] > 0.02)], coat[trunk & (coat[:, 2] < -0.03)]
    assert np.abs(front[:, 0]).min() > extras.OPENINGS[2] - 1e-3
    assert np.abs(back[:, 0]).min() < 0.02


def test_people_for_testing_wear_no_training_extras(bare):
    tests = closet.Closet(bare.base, "test", None)
    assert tests.allows_cut_outs  # only where nothing else is there
    with_wardrobe = closet.Closet.open("test")
    if with_wardrobe.wardrobe is None:
        pytest.skip("the wardrobe was not fetched: `turnaround data wardrobe`")
    for seed in range(900000, 900003):
        items = sample_person(seed, "test", with_wardrobe, variety="full").items
        assert not {item for item in items if item.startswith("cut_")} - {"cut_beard", "cut_cropped"}


def test_heights_go_from_child_to_tall(bare):
    base, heights = bare.base, []
    for seed in range(400):
        rng = np.random.default_rng([seed, 1])
        betas = np.clip(rng.normal(size=10), -2.2, 2.2).astype(np.float32)
        betas = varied_shape(np.random.default_rng([seed, 11]), betas)
        heights.append(np.ptp(base.shape(betas, np.zeros(10, np.float32))[base.surface, 1]))
    assert min(heights) < 1.42 and max(heights) > 1.9 and 1.6 < np.median(heights) < 1.75


# ---------------------------------------------------------------- parts and views


def test_part_ids_cover_the_mask_and_sit_at_their_joints(figure):
    arrays = seen(figure, ViewOptions(size=96, azimuths=2, elevations=(0.0, 30.0)), {"seed": 31})
    part = arrays["part"]
    np.testing.assert_array_equal(body_part(part) > 0, arrays["mask"] > 0)
    assert role(part).max() < len(ROLES)
    assert {"head", "chest", "hips", "left_thigh", "right_shin"} <= {
        BODY_PARTS[k] for k in np.unique(body_part(part))
    }
    p = figure.joints @ arrays["T_camera_world"][0, :3, :3].T + arrays["T_camera_world"][0, :3, 3]
    for joint, name in (("head", "head"), ("spine3", "chest")):
        x, y = (arrays["K"][0] @ p[JOINT_INDEX[joint]])[:2] / p[JOINT_INDEX[joint], 2]
        near = body_part(part[0, max(int(y) - 4, 0) : int(y) + 5, max(int(x) - 4, 0) : int(x) + 5])
        assert BODY_PARTS.index(name) in near
    meta = json.loads(str(arrays["meta"]))
    assert meta["seed"] == 31 and len(meta["outfit"]) >= 2 and meta["camera"]["elevations"] == [0.0, 30.0]
    assert 1.2 < meta["height"] < 2.1 and meta["light"]["directions"]


def test_impossible_cameras_are_refused():
    with pytest.raises(ValueError, match="elevations"):
        ViewOptions(elevations=(90.0,))


def test_the_mesh_file_has_the_figure_and_its_textures(figure):
    scene = trimesh.load_scene(io.BytesIO(encode_glb(figure)), file_type="glb")
    used = figure.vertices[np.unique(figure.person.dressed.surface.faces)] * [1, -1, -1]
    np.testing.assert_allclose(scene.bounds, [used.min(0), used.max(0)], atol=1e-4)
    assert sum(len(piece.faces) for piece in scene.geometry.values()) == len(
        figure.person.dressed.surface.faces
    )
    assert all(piece.visual.material.baseColorTexture is not None for piece in scene.geometry.values())


# ---------------------------------------------------------------- singles


def test_nothing_is_seen_beyond_the_photo(pictures):
    at = (np.arange(96) + 0.5) / 96
    for picture in pictures:
        left, top, right, bottom = picture["photo"]
        outside = ((at < top) | (at > bottom))[:, None] | ((at < left) | (at > right))
        assert not picture["rgba"][..., 3][outside].any()
        if picture["object_rgba"].size:
            assert not picture["object_rgba"][..., 3][outside].any()


def test_visible_joints_lie_on_the_person(pictures):
    hits = []
    for picture in pictures:
        uv = picture["joints_uv"][:22][picture["joint_visible"][:22]]
        x, y = np.clip((uv * 96).astype(int), 0, 95).T
        hits.append(picture["rgba"][y, x, 3] > 0)
    assert np.concatenate(hits).mean() > 0.95


def test_gravity_is_a_direction_about_upwards(pictures):
    for picture in pictures:
        assert np.linalg.norm(picture["up"]) == pytest.approx(1, abs=1e-4)
        assert picture["up"][1] < -0.85  # pitched by at most 25 degrees, rolled by at most 15
    assert max(abs(picture["up"][2]) for picture in pictures) > 0.1


def test_another_lens_sees_the_pelvis_at_the_same_place():
    pelvis = np.array([0.3, -0.2, 0.4])
    for seed in range(40):
        K, T = singles.lens(np.random.default_rng(seed), pelvis, 100)
        p = K @ (T[:3, :3] @ pelvis + T[:3, 3])
        canonical = np.array([80.0, 80.0]) * pelvis[:2] / (pelvis[2] + 2) + 50
        np.testing.assert_allclose(p[:2] / p[2], canonical, atol=1e-3)
        np.testing.assert_allclose(K[0, 0] / p[2], 80.0 / 2.4, rtol=1e-5)  # and as large


@pytest.mark.parametrize(
    "kind",
    [
        "bar",
        "bar_back",
        "dumbbells",
        "box",
        "ball_left",
        "ball_both",
        "bag_right",
        "phone_left",
        "club_left",
        "camera",
    ],
)
def test_things_in_the_hands_are_near_them_and_not_seen_through_the_person(figure, kind):
    size = 128
    K = np.array([[0.8 * size, 0, size / 2], [0, 0.8 * size, size / 2], [0, 0, 1]], np.float32)
    T = np.eye(4, dtype=np.float32)
    T[2, 3] = 2.0
    picture = figure.seen_from(K, T, size, samples=2)
    layer, again = (held_layer(np.random.default_rng(0), kind, figure, picture, K, T) for _ in range(2))
    np.testing.assert_array_equal(layer, again)
    assert layer.shape == (size, size, 4)
    seen_from_behind = layer[..., 3] > 0
    everything = held_layer(
        np.random.default_rng(0),
        kind,
        figure,
        type(picture)(*([np.zeros_like(a) for a in vars(picture).values()])),
        K,
        T,
    )
    assert everything[..., 3].any() and not (seen_from_behind & ~(everything[..., 3] > 0)).any()


def test_singles_sets_index_their_objects(bare_cache, monkeypatch):
    monkeypatch.setattr(sets, "CHUNK", 10)
    sets.generate(10, 40, bare_cache / "set", "train", workers=0, size=48, kind="singles", progress=False)
    folder = bare_cache / "set" / "chunk_000"
    index, things = np.load(folder / "object_index.npy"), np.load(folder / "object_rgba.npy")
    assert index.shape == (10,) and index.max(initial=-1) == len(things) - 1
    np.testing.assert_array_equal(index[index >= 0], np.arange(len(things)))
    assert things.shape[1:] == (48, 48, 4)


# ---------------------------------------------------------------- stream


def test_a_stream_is_the_same_every_time_and_ends_where_asked(bare_cache):
    first, second = (list(PeopleStream("singles", 50, size=32, workers=0, people=1)) for _ in range(2))
    assert len(first) == len(second) == 5
    for a, b in zip(first, second, strict=True):
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    views = list(PeopleStream("views", 50, size=32, workers=0, people=1))
    assert views[0]["rgb"].shape == (12, 32, 32, 3)


@pytest.mark.slow
def test_worker_processes_give_the_same_people_in_order(bare_cache):
    alone = list(PeopleStream("views", 60, size=24, workers=0, people=2))
    together = list(PeopleStream("views", 60, size=24, workers=2, people=2))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a["rgb"], b["rgb"])


def test_a_stream_keeps_to_its_split():
    with pytest.raises(ValueError, match="900000"):
        PeopleStream("views", 5, "test")
