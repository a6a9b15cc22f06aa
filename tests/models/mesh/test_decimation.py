"""Decimation keeps surfaces closed and where they are; sheets that touch are parted."""

import numpy as np
import pytest
import trimesh
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from turnaround.models.mesh.parting import part_sheets
from turnaround.models.mesh.surface import Surface, boundary, decimate, describe


@pytest.fixture(scope="module")
def folded() -> Surface:
    """A closed surface with thin folds and handles: where a smooth random field passes a level."""
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(40, 40, 40)), 2)
    vertices, faces, *_ = marching_cubes(np.pad(field / field.std(), 2, constant_values=-9), 0.4)
    return Surface(vertices.astype(np.float64), faces.astype(np.int64))


def fans(faces: np.ndarray) -> int:
    """Fans of faces around vertices, counted face by face: one a vertex where the surface is a manifold."""
    total = 0
    for vertex in np.unique(faces):
        spokes = [{v for v in face if v != vertex} for face in faces[(faces == vertex).any(1)].tolist()]
        while spokes:
            reached = spokes.pop()
            while near := [s for s in spokes if s & reached]:
                for spoke in near:
                    spokes.remove(spoke)
                    reached |= spoke
            total += 1
    return total


def test_a_ball_stays_closed():
    ball = trimesh.creation.icosphere(subdivisions=4)
    small = decimate(Surface(np.asarray(ball.vertices), np.asarray(ball.faces)), 1000)
    assert len(small.faces) <= 1000 and describe(small)["watertight"]


@pytest.mark.parametrize("faces", [10000, 5000, 2000, 500])
def test_folds_stay_closed(folded, faces):
    small = decimate(folded, faces)
    assert len(small.faces) <= faces and describe(small)["watertight"]
    if faces <= 2000:
        assert fans(small.faces) == len(small.vertices)


def test_without_parting_the_folds_would_be_open(folded, monkeypatch):
    """What the law above is for: the library's own result is not a manifold here."""
    monkeypatch.setattr("turnaround.models.mesh.surface.part_sheets", lambda *surface: surface)
    assert not describe(decimate(folded, 5000))["watertight"]


def test_the_surface_moves_by_less_than_its_edges(folded):
    small = decimate(folded, len(folded.faces) // 4)
    mesh = trimesh.Trimesh(small.vertices, small.faces, process=False)
    far = cKDTree(mesh.sample(200000, seed=0)).query(folded.vertices[::20])[0]
    edge = np.median(mesh.edges_unique_length)
    assert far.mean() < 0.1 * edge and np.quantile(far, 0.99) < 0.5 * edge


def two_boxes(shared: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Two boxes that share the corners `shared` of the first: the second is the first, mirrored in them."""
    box = trimesh.creation.box()
    vertices, faces = np.asarray(box.vertices), np.asarray(box.faces)
    centre = vertices[shared].mean(0)
    other = 2 * centre - vertices  # a point mirror turns faces inside out: they are flipped below
    index = np.arange(8) + 8
    for corner in shared:
        index[np.abs(other - vertices[corner]).sum(1).argmin()] = corner
    used, both = np.unique(np.concatenate([faces, index[faces][:, ::-1]]), return_inverse=True)
    return np.concatenate([vertices, other])[used], both.reshape(-1, 3)


@pytest.mark.parametrize("corners", [1, 2])
def test_boxes_that_touch_at_a_corner_or_an_edge_are_parted(corners):
    vertices, faces = two_boxes([0, 1][:corners])
    assert describe(Surface(vertices, faces))["components"] == 1
    places, parted = part_sheets(vertices, faces)
    found = describe(Surface(places, parted))
    assert found["watertight"] and found["components"] == 2 and len(places) == 16
    assert np.array_equal(places[parted], vertices[faces]), "no place changes"


def test_a_manifold_comes_back_as_it_is():
    ball = trimesh.creation.icosphere(subdivisions=2)
    places, faces = part_sheets(np.asarray(ball.vertices), np.asarray(ball.faces))
    assert len(places) == len(ball.vertices) and np.array_equal(places[faces], ball.vertices[ball.faces])


def test_an_open_surface_stays_open_and_whole():
    ball = trimesh.creation.icosphere(subdivisions=2)
    kept = np.asarray(ball.faces)[5:]
    places, faces = part_sheets(np.asarray(ball.vertices), kept)
    assert np.array_equal(places[faces], ball.vertices[kept])
    assert len(boundary(Surface(places, faces))) == len(boundary(Surface(np.asarray(ball.vertices), kept)))


def test_nothing_is_parted_into_nothing():
    places, faces = part_sheets(np.zeros((3, 3)), np.zeros((0, 3), np.int64))
    assert places.shape == (0, 3) and faces.shape == (0, 3)
