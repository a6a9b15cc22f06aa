"""Closed holes get the person's own texture: pieces, room for them, and what is painted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy_avatar
from hypothesis import given
from hypothesis import strategies as st

from turnaround.models.avatar.binding.underlay import texture_at
from turnaround.models.avatar.filling.charts import LEAST, LEVEL, axes_towards, charts
from turnaround.models.avatar.filling.painting import painted, side_by_side
from turnaround.models.avatar.filling.pictures import person_of
from turnaround.models.avatar.filling.room import CELL, Room, room_beside
from turnaround.models.exemplar.parts import PARTS, vertex_labels
from turnaround.models.exemplar.sheet import Sheet

MODEL = toy_avatar.MODEL
TORSO = PARTS.index("torso")


def faces_across(corners: np.ndarray) -> np.ndarray:
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def test_pieces_are_apart_and_face_their_view():
    """The whole skin of the body: all of it but crumbs, each triangle once."""
    mesh = toy_avatar.avatar().mesh
    corners = mesh.vertices[mesh.faces].double().numpy()
    across = faces_across(corners)
    found = charts(corners)
    together = np.concatenate([chart.faces for chart in found])
    assert len(np.unique(together)) == len(together)
    area = np.linalg.norm(across, axis=1) / 2
    assert area[together].sum() > 0.8 * area.sum()
    for chart in found:
        assert area[chart.faces].sum() >= LEAST
        first = chart.faces[area[chart.faces].argmax()]
        unit = across[chart.faces] / (2 * area[chart.faces, None] + 1e-12)
        assert (unit @ across[first] / (2 * area[first]) > LEVEL - 1e-9).all()


@given(st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda n: np.linalg.norm(n) > 0.1))
def test_views_are_right_handed_and_upright(normal):
    axes = axes_towards(np.array(normal))
    assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-9) and np.linalg.det(axes) == pytest.approx(1)
    assert np.allclose(axes[2], -np.array(normal) / np.linalg.norm(normal))
    assert axes[1, 1] > 0 or abs(axes[2, 1]) > 0.8


@given(st.integers(0, 10_000))
def test_room_is_the_first_that_is_free(seed):
    rng = np.random.default_rng(seed)
    taken = rng.random((12, 12)) < 0.2
    room, slow = Room(taken), taken.copy()
    for height, width in rng.integers(1, 6 * CELL, (8, 2)):
        tall, wide = -(-height // CELL), -(-width // CELL)
        free = [
            (row, column)
            for row in range(13 - tall)
            for column in range(13 - wide)
            if not slow[row : row + tall, column : column + wide].any()
        ]
        place = room.take(int(height), int(width))
        assert place == ((CELL * free[0][0], CELL * free[0][1]) if free else None)
        if free:
            row, column = free[0]
            slow[max(row - 1, 0) : row + tall + 1, max(column - 1, 0) : column + wide + 1] = True


def test_what_is_larger_than_the_texture_has_no_room():
    assert Room(np.zeros((4, 4), bool)).take(17, 1) is None
    assert Room(np.zeros((4, 4), bool)).take(16, 16) == (0, 0)


def test_room_is_a_cell_from_charts():
    uv = np.array([[0.3, 0.3], [0.6, 0.3], [0.3, 0.6], [0.9, 0.9]], np.float32)
    room = room_beside(uv, np.array([[0, 1, 2]]), 64)
    row, column = room.take(56, 8)
    assert (row, column) == (0, 0)
    assert room.take(32, 32) is None


def holed(count: int = 60):
    """The body in its parts' colours, `count` faces of its flanks as a closed hole, grey; their number."""
    whole = toy_avatar.avatar().mesh
    large = torch.ones(512, 512, 3)
    size = whole.texture.shape[0]
    large[: 4 * size, : 4 * size] = whole.texture.repeat_interleave(4, 0).repeat_interleave(4, 1)
    mesh = replace(whole, texture=large, uv=whole.uv * 4 * size / 512)
    labels = vertex_labels(MODEL)[MODEL.skin_faces.unique().numpy()]
    faces = mesh.faces.numpy()
    centres = mesh.vertices.numpy()[faces].mean(1)
    flank = (labels[faces] == TORSO).all(1) & (np.abs(centres[:, 1]) < 0.25)
    chosen = np.argsort(np.where(flank, -centres[:, 0], np.inf), kind="stable")[:count]
    rest = np.setdiff1d(np.arange(len(faces)), chosen)
    own = faces[chosen].reshape(-1)
    grey = torch.full((3 * count, 3), 0.1)
    mesh = replace(
        mesh,
        vertices=torch.cat([mesh.vertices, mesh.vertices[own]]),
        faces=torch.cat([mesh.faces[rest], len(mesh.vertices) + torch.arange(3 * count).reshape(-1, 3)]),
        colors=torch.cat([mesh.colors, grey]),
        uv=torch.cat([mesh.uv, torch.full((3 * count, 2), 0.999)]),
    )
    return mesh, np.concatenate([labels, labels[own]]), len(rest)


def test_a_hole_in_the_torso_is_painted_as_the_torso():
    mesh, parts, first = holed()
    made = painted(mesh, parts, first, len(mesh.faces))
    faces = np.arange(first, len(mesh.faces))
    colors = texture_at(made, faces, np.full((len(faces), 3), 1 / 3))
    torso = toy_avatar.palette()[TORSO].numpy()
    off = np.abs(colors - torso).max(1)
    assert (off < 0.05).mean() > 0.9  # crumbs stay grey
    own = mesh.faces[:first].unique()
    assert torch.equal(made.uv[own], mesh.uv[own]) and torch.equal(made.faces, mesh.faces)
    before, after = (texture_at(each, np.arange(first), np.full((first, 3), 1 / 3)) for each in (mesh, made))
    assert np.array_equal(before, after)


def test_painting_gives_the_same_bytes_again():
    mesh, parts, first = holed()
    one, two = (painted(mesh, parts, first, len(mesh.faces)) for _ in range(2))
    assert torch.equal(one.texture, two.texture) and torch.equal(one.uv, two.uv)


def test_without_holes_or_without_anything_seen_the_mesh_stays():
    mesh, parts, _ = holed()
    assert painted(mesh, parts, len(mesh.faces), len(mesh.faces)) is mesh
    assert painted(mesh, parts, 0, 20) is mesh


def test_faces_that_were_added_are_not_known():
    mesh, parts, first = holed()
    person = person_of(mesh, parts, first)
    assert person.added.sum() == len(mesh.faces) - first
    assert np.allclose(np.linalg.norm(person.directions, axis=1), 1, atol=1e-4)


def test_pictures_lie_side_by_side_without_overlap():
    rng = np.random.default_rng(0)
    sheets = [blank(8 * h, 8 * w, k + 1) for k, (h, w) in enumerate(rng.integers(1, 40, (30, 2)))]
    whole, corners = side_by_side(sheets)
    for sheet, (row, column) in zip(sheets, corners, strict=True):
        part = whole.part[row : row + sheet.height, column : column + sheet.width]
        assert (part == sheet.part).all() and row % 8 == column % 8 == 0
    assert whole.mask.sum() == sum(sheet.mask.sum() for sheet in sheets)


def blank(height: int, width: int, part: int) -> Sheet:
    color = np.zeros((height, width, 3), np.float32)
    full = np.ones((height, width), bool)
    return Sheet(color, color, color, np.full((height, width), part, np.int8), color, full, full)
