"""The parts of the binding beside slow twins: rims, fillings, diffusion, mixing, discs."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from turnaround.models.avatar.binding.cuts import rims
from turnaround.models.avatar.binding.diffusion import LEAST_TRUST, diffuse, one_limb
from turnaround.models.avatar.binding.discs import discs, spread
from turnaround.models.avatar.binding.mixing import mix
from turnaround.models.avatar.binding.transfer import Carried, strongest
from turnaround.models.avatar.binding.triangulation import MOST, fill
from turnaround.models.avatar.bones import BONE_NAMES
from turnaround.pipeline.values.rig import SkinWeights

J = len(BONE_NAMES)


def grid(size: int) -> np.ndarray:
    """Faces of a square of size x size vertices."""
    faces = []
    for r, c in itertools.product(range(size - 1), repeat=2):
        a = r * size + c
        faces += [[a, a + 1, a + size], [a + 1, a + size + 1, a + size]]
    return np.array(faces)


def area(points, triangles):
    a, b, c = points[np.asarray(triangles)].transpose(1, 0, 2)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def test_the_rim_of_a_hole_runs_as_the_faces_that_were_there():
    faces = grid(6)
    gone = np.isin(faces, [14, 15]).any(1)
    (rim,) = rims(faces, ~gone)
    directed = {(int(a), int(b)) for f in faces[gone] for a, b in zip(f, np.roll(f, -1), strict=True)}
    edges = list(zip(rim, np.roll(rim, -1), strict=True))
    assert all((a, b) in directed and (b, a) not in directed for a, b in edges)
    assert len(edges) == len(directed - {(b, a) for a, b in directed})


def test_two_holes_have_two_rims_and_an_open_edge_none():
    faces = grid(8)
    gone = (faces == 9).any(1) | (faces == 45).any(1)
    assert sorted(len(rim) for rim in rims(faces, ~gone)) == [6, 6]
    assert rims(faces, np.ones(len(faces), bool)) == []


def slow_fill(points) -> float:
    """The least area over all triangulations, by trying them."""
    count = len(points)

    def best(i, k):
        if k - i < 2:
            return 0.0
        return min(best(i, m) + best(m, k) + area(points, [[i, m, k]]) for m in range(i + 1, k))

    return best(0, count - 1)


@given(st.integers(3, 8), st.integers(0, 1000))
def test_a_filling_has_the_least_area(count, seed):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    triangles = fill(points)
    assert len(triangles) == count - 2
    assert area(points, triangles) == pytest.approx(slow_fill(points), rel=1e-9)
    edges = [(int(a), int(b)) for t in triangles for a, b in zip(t, np.roll(t, -1), strict=True)]
    assert len(set(edges)) == len(edges)  # every edge once in a direction: one side out
    assert {(k, (k + 1) % count) for k in range(count)} <= set(edges)


def test_a_rim_along_two_limbs_is_sewn_along_both():
    """An open book: from its back along one page and back, then along the other."""
    along = np.linspace(0, 1, 12)[:, None]
    pages = [np.array([1, 0.5 * side, 0]) for side in (-1, 1)]
    width = np.array([0, 0, 0.04])
    first = np.concatenate([along * pages[0], along[::-1] * pages[0] + width])
    second = np.concatenate([along[1:] * pages[1] + width, along[:0:-1] * pages[1]])
    rim = np.concatenate([first, second])
    strips = 2 * 0.04 * np.linalg.norm(pages[0])
    assert area(rim, fill(rim)) < 1.2 * strips


@pytest.mark.parametrize("count", [2, MOST + 1])
def test_a_rim_of_no_face_or_too_many_vertices_is_refused(count):
    with pytest.raises(ValueError, match="can be filled"):
        fill(np.zeros((count, 3)))


def carried(weights, trust) -> Carried:
    return Carried(weights, trust, np.zeros((len(trust), 3)), np.zeros((len(trust), 3)))


def test_diffusion_is_its_dense_twin():
    rng = np.random.default_rng(0)
    weights, trust = rng.dirichlet(np.ones(J), 25), rng.random(25)
    edges = np.array([(a, a + 1) for a in range(24) if a % 5 != 4] + [(a, a + 5) for a in range(20)])
    lengths = rng.uniform(0.005, 0.02, len(edges))
    matrix = np.diag(np.maximum(trust, LEAST_TRUST))
    for (a, b), length in zip(edges, lengths, strict=True):
        stiff = 0.01**2 / length**2
        matrix[[a, b], [a, b]] += stiff
        matrix[[a, b], [b, a]] -= stiff
    slow = np.linalg.solve(matrix, np.maximum(trust, LEAST_TRUST)[:, None] * weights)
    slow /= slow.sum(1, keepdims=True)
    assert np.allclose(diffuse(carried(weights, trust), edges, lengths, reach=0.01), slow, atol=1e-9)


def test_what_is_not_sure_takes_its_neighbours_weights_and_what_is_alone_keeps_its_own():
    weights = np.eye(J)[[3, 3, 7, 5]]
    made = diffuse(
        carried(weights, np.array([1, 1, 0.0, 0.0])), np.array([[0, 2], [1, 2]]), np.full(2, 0.01), reach=0.05
    )
    assert made[2, 3] > 0.95 and made[3, 5] == pytest.approx(1)


def test_no_point_moves_with_limbs_that_are_far_in_the_skeleton():
    weights = np.zeros((2, J))
    hand, chest, shins = BONE_NAMES.index("left_index1"), BONE_NAMES.index("spine3"), [4, 5]
    weights[0, [hand, chest]] = 0.6, 0.4
    weights[1, shins] = 0.5
    made = one_limb(weights)
    assert made[0, hand] == 1 and made[0, chest] == 0
    assert (made[1, shins] == 0.5).all()  # a skirt's hem


def test_mixing_is_its_slow_twin():
    rng = np.random.default_rng(1)
    skin = SkinWeights(*(torch.from_numpy(a) for a in strongest(rng.dirichlet(np.full(J, 0.05), 40))))
    full = np.zeros((40, J))
    np.add.at(full, (np.arange(40)[:, None], skin.bones.numpy()), skin.weights.numpy())
    index, share = rng.integers(0, 40, (30, 5)), rng.random((30, 5))
    made = mix(skin, index, share, bones=J, alike=0.1)
    for row in range(30):
        total = np.zeros(J)
        for k in range(5):
            if np.minimum(full[index[row, 0]], full[index[row, k]]).sum() >= 0.1:
                total += share[row, k] * full[index[row, k]]
        ids, kept = strongest(total[None])
        assert made.weights[row].numpy() == pytest.approx(kept[0], abs=1e-4)
        assert (made.bones[row].numpy() == ids[0])[kept[0] > 1e-3].all()


def test_points_are_spread_by_area():
    corners = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]]], float)
    places = spread(corners, 0.02)
    assert len(places.face) == pytest.approx(0.505 / 0.02**2, abs=1)
    assert (places.face == 1).mean() == pytest.approx(0.01 / 1.01, abs=0.002)
    points = (places.bary[..., None] * corners[places.face]).sum(1)[places.face == 0]
    assert places.bary.min() >= 0 and np.allclose(places.bary.sum(1), 1)
    assert points.mean(0) == pytest.approx([1 / 3, 1 / 3, 0], abs=0.01)
    assert len(spread(corners, 0.02, density=np.array([1.0, 4.0])).face) > len(places.face)
    tiny = np.repeat(corners[1:], 1000, 0)
    assert len(spread(tiny, 0.5).face) == pytest.approx(5 / 0.25, abs=1)


def test_discs_lie_below_their_triangles():
    corners = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]]], float)
    places = spread(corners, 0.1)
    made = discs(corners, places, np.full((len(places.face), 3), 0.5), 0.1, sink=0.01)
    assert torch.allclose(made.means[:, 2], torch.tensor(-0.01)) and (made.opacities > 0.9).all()
    assert made.scales.min(1).values.max() < made.scales.max(1).values.min() / 2
