"""Decoding of the landmark networks: made-up tensors against hand-computed values and slow readable twins."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landmark_pictures import ROOT, noise, shifted

from turnaround.models.landmarks import detector, face, hands, pose
from turnaround.models.landmarks.detector import FACE, PALM, POSE, Detector, anchors, overlap
from turnaround.models.landmarks.everybody import pose_mask, same_person, tiles
from turnaround.models.landmarks.names import (
    FACE_68,
    FACE_MIRROR,
    HAND_NAMES,
    LIMBS,
    POSE_INDEX,
    POSE_MIRROR,
    POSE_NAMES,
)
from turnaround.models.landmarks.pose import Pose, circle_region, refined
from turnaround.models.landmarks.region import Picture, Region, sigmoid

# detectors


def slow_anchors(size: int, strides: tuple[int, ...]) -> list[tuple[float, float]]:
    """The loops of Google's SsdAnchorsCalculator, for sizes of 1 and two anchors a stride."""
    result, layer = [], 0
    while layer < len(strides):
        last = layer
        while last < len(strides) and strides[last] == strides[layer]:
            last += 1
        cells = int(np.ceil(size / strides[layer]))
        for y in range(cells):
            for x in range(cells):
                for _ in range(2 * (last - layer)):
                    result.append(((x + 0.5) / cells, (y + 0.5) / cells))
        layer = last
    return result


@pytest.mark.parametrize(("which", "count"), [(POSE, 2254), (PALM, 2016), (FACE, 896)])
def test_anchors_are_those_of_the_reference(which, count):
    mine = anchors(which.size, which.strides)
    np.testing.assert_allclose(mine, slow_anchors(which.size, which.strides))
    assert len(mine) == count


def pretend(monkeypatch, outputs: dict[str, np.ndarray], module) -> list[np.ndarray]:
    """Put made-up outputs in the networks' place; what they are given is kept."""
    given_pixels: list[np.ndarray] = []

    def network(patch):
        given_pixels.append(patch)
        return outputs

    monkeypatch.setattr(module, "load_network", lambda name: network)
    return given_pixels


def test_a_detection_by_hand(monkeypatch):
    """One cell of two by two: the box is centred 8 px right of the anchor, 16 px wide and 32 high."""
    which = Detector("toy", 64, (32,), -1.0)
    boxes, scores = np.zeros((8, 8)), np.full((8, 1), -9.0)
    boxes[6] = (8, 0, 16, 32, 0, 0, 16, -16)  # the anchor at (0.75, 0.75)
    scores[6] = 2.0
    inputs = pretend(monkeypatch, {"boxes": boxes, "scores": scores}, detector)
    region = Region(100.0, 50.0, 128.0)  # its left upper corner is at (36, -14), twice as large as the input
    (found,) = which.find(Picture(np.full((100, 200, 3), 255, np.uint8)), region)
    assert found.score == pytest.approx(1 / (1 + np.exp(-2)))
    # centre: 48 + 8 of 64 -> 112 of 128, from 36
    assert found.box == pytest.approx((148 - 16, 82 - 32, 148 + 16, 82 + 32))
    assert found.side == pytest.approx(64)
    np.testing.assert_allclose(found.points, [[36 + 96, -14 + 96], [36 + 128, -14 + 64]])
    assert (inputs[0].min(), inputs[0].max(), inputs[0].dtype) == (-1, 1, np.float32)


def test_a_detection_turns_with_its_region(monkeypatch):
    which = Detector("toy", 64, (32,), 0.0)
    boxes, scores = np.zeros((8, 8)), np.full((8, 1), -9.0)
    boxes[0], scores[0] = (3, 4, 20, 10, 5, 6, 7, 8), 1.0
    pretend(monkeypatch, {"boxes": boxes, "scores": scores}, detector)
    picture = Picture(noise(10, 10))
    upright, turned = (which.find(picture, Region(0, 0, 64, angle))[0] for angle in (0.0, 1.0))
    axes = Region(0, 0, 1, 1.0).axes
    np.testing.assert_allclose(turned.points, upright.points @ axes.T)
    np.testing.assert_allclose(turned.corners, upright.corners @ axes.T)
    assert turned.side == pytest.approx(upright.side)


def slow_kept(boxes: list[tuple[float, ...]], scores: list[float]) -> list[int]:
    """The best stays, whatever overlaps it goes, and so on; areas are counted on a grid."""

    def cells(box):
        x, y = np.meshgrid(np.arange(400) / 4 + 0.125, np.arange(400) / 4 + 0.125)
        return (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])

    left, kept = sorted(range(len(boxes)), key=lambda k: -scores[k]), []
    while left:
        best, *left = left
        kept.append(best)
        mine = cells(boxes[best])
        left = [k for k in left if (mine & cells(boxes[k])).sum() < 0.3 * (mine | cells(boxes[k])).sum()]
    return kept


def test_of_boxes_that_overlap_the_best_stays(monkeypatch):
    rng = np.random.default_rng(3)
    which = Detector("toy", 64, (16,), 0.0)
    centres = anchors(64, (16,))
    boxes, scores = np.zeros((len(centres), 4)), rng.normal(0, 2, (len(centres), 1))
    boxes[:, 2:] = rng.integers(8, 30, (len(centres), 2))
    pretend(monkeypatch, {"b": boxes, "s": scores}, detector)
    found = which.find(Picture(noise(64, 64)), Region(32, 32, 64), least=0.4)
    likely = np.flatnonzero(sigmoid(scores[:, 0]) > 0.4)
    middles = centres[likely] * 64
    corners = [(*(m - b[2:] / 2), *(m + b[2:] / 2)) for m, b in zip(middles, boxes[likely], strict=True)]
    kept = slow_kept(corners, list(scores[likely, 0]))
    assert [one.score for one in found] == pytest.approx(
        [float(score) for score in sigmoid(scores[likely[kept], 0])]
    )
    assert 1 < len(found) < len(likely)


def test_overlap_by_hand():
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == pytest.approx(1)
    assert overlap((0, 0, 2, 2), (2, 0, 3, 2)) == 0


# landmarks


def slow_refined(points: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """As RefineLandmarksFromHeatmapCalculator: sums over a window of seven cells, cell by cell."""
    size, result = maps.shape[0], points.copy()
    for k, (x, y) in enumerate(points):
        column, row = int(np.floor(x * size)), int(np.floor(y * size))
        if not (0 <= column < size and 0 <= row < size):
            continue
        total = best = sum_x = sum_y = 0.0
        for r in range(max(0, row - 3), min(size, row + 4)):
            for c in range(max(0, column - 3), min(size, column + 4)):
                share = 1 / (1 + np.exp(-maps[r, c, k]))
                total, best = total + share, max(best, share)
                sum_x, sum_y = sum_x + share * c, sum_y + share * r
        if best >= 0.5:
            result[k] = sum_x / size / total, sum_y / size / total
    return result


def test_refinement_by_heat_maps_agrees_with_a_slow_twin():
    rng = np.random.default_rng(5)
    points = rng.uniform(-0.2, 1.2, (300, 2))  # some outside, some at the border
    maps = rng.normal(-4, 2, (16, 16, 300)).astype(np.float32)
    result = refined(points, maps)
    np.testing.assert_allclose(result, slow_refined(points, maps), atol=1e-6)
    moved = (result != points).any(1)
    assert 10 < moved.sum() < 290


def test_refinement_by_hand():
    maps = np.full((8, 8, 2), -60.0)
    maps[4, [5, 6], 0] = 0.0, np.log(3.0)  # shares .5 and .75: the centroid lies at 5.6
    maps[4, 5, 1] = -0.1  # no peak
    np.testing.assert_allclose(refined(np.full((2, 2), 0.5), maps), [[5.6 / 8, 0.5], [0.5, 0.5]], atol=1e-9)


def pose_outputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    table = np.concatenate([rng.uniform(60, 190, (39, 3)), rng.normal(size=(39, 2))], 1)
    return {
        "landmarks": table.reshape(195).astype(np.float32),
        "flag": np.array([0.75], np.float32),
        "mask": rng.normal(size=(256, 256, 1)).astype(np.float32),
        "maps": np.full((64, 64, 39), -60, np.float32),
        "world": rng.normal(size=117).astype(np.float32),
    }


def test_a_pose_by_hand(monkeypatch):
    outputs = pose_outputs()
    pretend(monkeypatch, outputs, pose)
    # up is right: the region's (x, y) goes to (-y, x), doubled
    region = Region(300.0, 200.0, 512.0, np.pi / 2)
    result = pose.look(Picture(noise(400, 600)), region)
    table = outputs["landmarks"].reshape(39, 5)
    expected = np.stack([300 - 2 * (table[:, 1] - 128), 200 + 2 * (table[:, 0] - 128)], 1)
    np.testing.assert_allclose(result.xy, expected[:33], atol=1e-3)
    np.testing.assert_allclose(result.circle, expected[33:35], atol=1e-3)
    np.testing.assert_allclose(result.z, 2 * table[:33, 2], rtol=1e-6)
    np.testing.assert_allclose(result.visibility, 1 / (1 + np.exp(-table[:33, 3])), rtol=1e-6)
    np.testing.assert_allclose(result.presence, 1 / (1 + np.exp(-table[:33, 4])), rtol=1e-6)
    world = outputs["world"].reshape(39, 3)[:33]
    np.testing.assert_allclose(result.world, np.stack([-world[:, 1], world[:, 0], world[:, 2]], 1), atol=1e-6)
    assert (result.flag, result.mask.dtype, result.region) == (0.75, np.float32, region)


def test_a_mirrored_run_is_brought_back(monkeypatch):
    """The same outputs for the mirrored patch: every point on the other side, with the other side's name."""
    outputs = pose_outputs()
    patches = pretend(monkeypatch, outputs, pose)
    picture, region = Picture(noise(256, 256)), Region(128.0, 128.0, 256.0)
    plain, mirrored = pose.look(picture, region), pose.look(picture, region, mirrored=True)
    np.testing.assert_array_equal(patches[1], patches[0][:, ::-1])
    for k, name in enumerate(POSE_NAMES):
        other = POSE_INDEX[name.replace("left", "R").replace("right", "left").replace("R", "right")]
        np.testing.assert_allclose(mirrored.xy[k], (256 - plain.xy[other, 0], plain.xy[other, 1]), atol=1e-6)
        np.testing.assert_allclose(mirrored.world[k], plain.world[other] * (-1, 1, 1), atol=1e-9)
        assert mirrored.visibility[k] == plain.visibility[other] and mirrored.z[k] == plain.z[other]
    np.testing.assert_array_equal(mirrored.mask, plain.mask[:, ::-1])
    np.testing.assert_allclose(mirrored.circle, plain.circle * (-1, 1) + (256, 0), atol=1e-6)


def test_the_region_of_a_person_by_hand():
    region = circle_region(np.array([10.0, 20.0]), np.array([14.0, 17.0]))
    assert (region.x, region.y, region.side) == (10, 20, 2 * 5 * 1.25)
    assert region.angle == pytest.approx(np.arctan2(4, 3))


def test_a_hand_by_hand(monkeypatch):
    rng = np.random.default_rng(2)
    points, world = rng.uniform(0, 224, (21, 3)), rng.normal(size=(21, 3))
    outputs = {"Identity": points.reshape(63), "Identity_3": world.reshape(63)}
    outputs |= {"Identity_1": np.array([0.9]), "Identity_2": np.array([0.2])}  # probability of a right hand
    pretend(monkeypatch, outputs, hands)
    picture, region = Picture(noise(50, 50)), Region(40.0, 30.0, 112.0, np.pi)
    left, right = (hands.look(picture, region, side) for side in hands.SIDES)
    np.testing.assert_allclose(left.xy, (40, 30) - (points[:, :2] / 2 - 56), atol=1e-9)
    np.testing.assert_allclose(left.world, world * (-1, -1, 1), atol=1e-9)
    assert (left.flag, left.side, right.side) == pytest.approx((0.9, 0.8, 0.2))


def test_the_regions_of_a_hand_by_hand():
    """A hand that points to the right: its first region is shifted to the fingers by half a palm."""
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
    palm = detector.Detection(1.0, corners, np.array([[0.0, 5.0], [9.0, 9.0], [10.0, 5.0]]))
    region = hands.palm_region(palm)
    assert (region.x, region.y, region.side, region.angle) == pytest.approx((10.0, 5.0, 26.0, np.pi / 2))
    xy = np.zeros((21, 2))
    xy[list(hands.KNUCKLES)] = np.linspace((0, 0), (20, 0), len(hands.KNUCKLES))
    xy[[0, 5, 9, 13]] = (0, 0), (10, -1), (20, 0), (10, 1)
    second = hands.hand_region(hands.Hand(xy, np.zeros((21, 3)), 1.0, 1.0, region))
    assert second.angle == pytest.approx(np.pi / 2)
    assert second.side == pytest.approx(2 * 20)
    assert (second.x, second.y) == pytest.approx((10 + 0.1 * 20, 0))


def test_a_face_by_hand(monkeypatch):
    points = np.random.default_rng(2).uniform(0, 192, (468, 3))
    pretend(monkeypatch, {"mesh": points.reshape(1404), "flag": np.array([[1.0]])}, face)
    found = face.look(Picture(noise(50, 50)), Region(20.0, 30.0, 96.0))
    np.testing.assert_allclose(found.points, points / 2 + (20 - 48, 30 - 48, 0), atol=1e-9)
    assert found.flag == pytest.approx(1 / (1 + np.exp(-1)))


def test_the_region_of_a_face_lies_along_the_eyes():
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
    eyes = np.array([[3.0, 4.0], [3.0, 8.0]])  # the left one is below: the head lies on its left
    region = face.face_region(detector.Detection(1.0, corners, eyes))
    assert (region.x, region.y, region.side, region.angle) == pytest.approx((5, 5, 15, np.pi / 2))


# a person's mask, tiles, one person or two


def made_up(xy: np.ndarray, region: Region, radius: float = 100.0) -> Pose:
    circle = np.array([xy[23], xy[23] + (0, -radius)])
    rows, columns = np.mgrid[:256, :256]
    mask = ((rows < 128) & (columns < 64)).astype(np.float32)  # the left half of the upper half
    zeros = np.zeros(33)
    return Pose(xy, zeros, zeros + 1, zeros + 1, np.zeros((33, 3)), circle, 1.0, mask, region)


@pytest.mark.parametrize("angle", [0.0, np.pi / 2, 2.0, -0.4])
def test_a_mask_lies_in_its_region(angle):
    region = Region(90.0, 70.0, 100.0, angle)
    mask = pose_mask(made_up(np.zeros((33, 2)), region), 140, 180)
    at = np.stack(np.meshgrid(np.arange(180) + 0.5, np.arange(140) + 0.5), -1)
    inside = region.from_picture(at)
    expected = (inside[..., 1] > 0) & (inside[..., 1] < 0.5) & (inside[..., 0] > 0) & (inside[..., 0] < 0.25)
    border = np.abs(inside[..., None] - [0.0, 0.25, 0.5]).min((-1, -2)) < 0.02
    assert mask.shape == (140, 180)
    np.testing.assert_allclose(mask[~border], expected[~border], atol=1e-6)


@given(st.integers(1, 4000), st.integers(1, 4000), st.floats(100, 2000))
def test_tiles_cover_the_photo_with_overlap(height, width, side):
    places = list(tiles(height, width, side))
    for full, centres in ((width, {tile.x for tile in places}), (height, {tile.y for tile in places})):
        ordered = sorted(centres)
        assert ordered[0] - side / 2 <= 1e-6 and ordered[-1] + side / 2 >= full - 1e-6
        assert all(step <= side / 2 + 1e-6 for step in np.diff(ordered))
    assert len(places) == len({(tile.x, tile.y) for tile in places})


def test_one_person_or_two():
    xy = np.random.default_rng(0).uniform(0, 200, (33, 2))
    region = Region(0.0, 0.0, 1.0)
    one = made_up(xy, region)
    assert same_person(one, made_up(xy + 5, region))
    same_head = np.concatenate([xy[:11], xy[11:] + 90])
    assert same_person(one, made_up(same_head, region, 250.0))
    assert not same_person(one, made_up(shifted(xy, 60, 0), region))


def test_who_is_seen_from_behind_however_they_lie():
    xy = np.zeros((33, 2))
    for name, place in {"left_shoulder": (0.6, 0.3), "right_shoulder": (0.4, 0.3)}.items():
        xy[POSE_INDEX[name]] = place
    xy[POSE_INDEX["left_hip"]], xy[POSE_INDEX["right_hip"]] = (0.55, 0.6), (0.45, 0.6)
    for angle in np.linspace(-np.pi, np.pi, 9):
        region = Region(300.0, 200.0, 500.0, float(angle))
        assert not face.seen_from_behind(made_up(region.to_picture(xy), region))
        assert face.seen_from_behind(made_up(region.to_picture(xy * (-1, 1) + (1, 0)), region))


# names


def test_counterparts_are_involutions_that_exchange_the_sides():
    for mirror in (POSE_MIRROR, FACE_MIRROR):
        assert [mirror[k] for k in mirror] == list(range(len(mirror)))
    for name, other in zip(POSE_NAMES, POSE_MIRROR, strict=True):
        assert ("left" in name) == ("right" in POSE_NAMES[other])
    assert (len(POSE_NAMES), len(HAND_NAMES)) == (33, 21)
    assert (len(FACE_68), len(set(FACE_68)), len(FACE_MIRROR)) == (68, 68, 68)
    assert set(LIMBS) <= set(POSE_NAMES) and len(LIMBS) == 12


# without the networks


def test_importing_loads_neither_the_runtime_nor_torch():
    names = ("detector", "everybody", "face", "hands", "interpreter", "names", "pose", "record", "region")
    code = f"import sys\nfor name in {names}: __import__('turnaround.models.landmarks.' + name)\n"
    code += "print(sorted({'ai_edge_litert', 'torch', 'scipy', 'skimage'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_a_network_that_was_not_fetched_is_named(tmp_path, monkeypatch):
    from turnaround.models import zoo
    from turnaround.models.landmarks.interpreter import load_network

    monkeypatch.setenv("TURNAROUND_CACHE", str(tmp_path))
    with pytest.raises(zoo.MissingWeight, match=r"hand_landmark.*turnaround fetch"):
        load_network("hand_landmark")
