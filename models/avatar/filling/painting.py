"""Closed holes painted: each piece a flat picture whose unknown pixels are copied from the person at rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int8

from turnaround.models.avatar.filling.charts import Chart, axes_towards, charts
from turnaround.models.avatar.filling.pictures import Person, drawn, person_of, smoothed
from turnaround.models.avatar.filling.room import Room, room_beside
from turnaround.models.exemplar.analogy import synthesize
from turnaround.models.exemplar.guidance import nearest
from turnaround.models.exemplar.sheet import Sheet
from turnaround.pipeline.values.types import TexturedMesh

STEP = 0.003  # metres of a pixel
AROUND = 10  # pixels of the person about a piece, which it is joined to
EDGE = 2  # pixels about a piece that its texture has, too
DEEP = 0.06  # metres before and behind a piece within which faces are drawn
BEYOND = 0.02  # metres that a face's centre may lie beyond a picture
TOWARDS = 0.2  # cosine to its view that they have at least
SEED = 13  # of the search
WIDE = 1024  # pixels of the sheet of all pieces
GRID = 8  # pixels at whose multiples pieces lie on it, so that a coarse pixel is of one piece
SIDES = ((0, 0, -1), (0, 0, 1), (1, 0, 0), (-1, 0, 0))  # front, back, the person's left and right


class Piece(NamedTuple):
    """A chart's picture."""

    chart: Chart
    corner: Float[np.ndarray, "2"]  # of the picture along the chart's axes, metres
    sheet: Sheet


def painted(mesh: TexturedMesh, parts: Int8[np.ndarray, " v"], first: int, last: int) -> TexturedMesh:
    """The mesh with the faces from `first` to before `last`, which close holes, in the person's own texture.

    They get places of their own in the texture, where its charts leave room for them; small pieces, and what
    finds no room, keep their colour. The same mesh gives the same bytes.

    Args:
        mesh: at rest; those faces have vertices of their own, on the rims of the holes.
        parts: of the vertices, `exemplar.parts.PARTS`.
        first, last: numbers of the faces.
    """
    person = person_of(mesh, parts, first)
    found = charts(person.vertices[person.faces[first:last]].astype(np.float64))
    sources = [one for towards in SIDES if (one := _side(person, towards)).known.any()]
    if not found or not sources:
        return mesh
    pieces = [_piece(person, chart._replace(faces=first + chart.faces)) for chart in found]
    whole, corners = side_by_side([piece.sheet for piece in pieces])
    made = synthesize(sources, whole, seed=SEED)
    pictures = [
        made[top : top + piece.sheet.height, left : left + piece.sheet.width]
        for piece, (top, left) in zip(pieces, corners, strict=True)
    ]
    return _textured(mesh, person, first, pieces, pictures)


def _side(person: Person, towards: tuple[int, int, int]) -> Sheet:
    """The person from one side, as far as it has been seen."""
    axes = axes_towards(np.array(towards, np.float64)).astype(np.float32)
    places = person.vertices @ axes.T
    low, high = places[:, :2].min(0), places[:, :2].max(0)
    columns, rows = (np.ceil((high - low) / STEP).astype(int) + 1).tolist()
    return drawn(person, np.arange(len(person.faces)), axes, low, (rows, columns), STEP)


def _piece(person: Person, chart: Chart) -> Piece:
    """The picture of a chart with the person's surface about it, and what is not known of it in slow
    colours."""
    axes = chart.axes.astype(np.float32)
    own = person.vertices[person.faces[chart.faces]].reshape(-1, 3) @ axes.T
    margin = np.array([AROUND * STEP, AROUND * STEP, DEEP])
    low, high = own.min(0) - margin, own.max(0) + margin
    columns, rows = (GRID * np.ceil((high - low)[:2] / STEP / GRID).astype(int)).tolist()
    near = np.flatnonzero(person.directions @ axes[2] < -TOWARDS)
    for axis in range(3):
        along = person.centres[near] @ axes[axis]
        near = near[(along > low[axis] - BEYOND) & (along < high[axis] + BEYOND)]
    near = np.union1d(near, chart.faces)
    return Piece(chart, low[:2], smoothed(drawn(person, near, axes, low[:2], (rows, columns), STEP)))


def side_by_side(sheets: Sequence[Sheet]) -> tuple[Sheet, list[tuple[int, int]]]:
    """All pictures in rows on one, the highest first, with row and column where each begins."""
    places: dict[int, tuple[int, int]] = {}
    row, column, tall = 0, 0, 0
    for k in sorted(range(len(sheets)), key=lambda k: -sheets[k].height):
        if column and column + sheets[k].width > WIDE:
            row, column, tall = row + tall + GRID, 0, 0
        places[k] = (row, column)
        column, tall = column + sheets[k].width + GRID, max(tall, sheets[k].height)
    shape = tuple(max(places[k][axis] + sheets[k].mask.shape[axis] for k in places) for axis in (0, 1))
    arrays = {
        name: np.zeros((*shape, *array.shape[2:]), array.dtype) for name, array in vars(sheets[0]).items()
    }
    for k, (top, left) in places.items():
        for name, array in vars(sheets[k]).items():
            arrays[name][top : top + len(array), left : left + array.shape[1]] = array
    return Sheet(**arrays), [places[k] for k in range(len(sheets))]


def _textured(
    mesh: TexturedMesh,
    person: Person,
    first: int,
    pieces: Sequence[Piece],
    pictures: Sequence[Float32[np.ndarray, "_ _ 3"]],
) -> TexturedMesh:
    """The mesh with the pieces' pictures in its texture, the largest first."""
    uv, texture, colors = (array.clone() for array in (mesh.uv, mesh.texture, mesh.colors))
    size = len(texture)
    room = room_beside(person.uv, person.faces[:first], size)
    for piece, picture in zip(pieces, pictures, strict=True):
        picture = nearest(piece.sheet.mask, picture)[0]  # for corners between pixels
        own = person.faces[piece.chart.faces]
        at = (person.vertices[own] @ piece.chart.axes[:2].T - piece.corner) / STEP
        for some, box, (row, column) in _placed(room, at):
            part = texture[row : row + box.rows, column : column + box.columns]
            part[:] = torch.from_numpy(picture[box.top :, box.left :][: box.rows, : box.columns].copy())
            shift = np.array([column - box.left, row - box.top])
            uv[torch.from_numpy(own[some])] = torch.from_numpy((at[some] + shift) / size).float()
        x, y = np.moveaxis(np.floor(at).astype(int), -1, 0)
        colors[torch.from_numpy(own)] = torch.from_numpy(picture[y, x])
    return replace(mesh, uv=uv, texture=texture, colors=colors)


class Box(NamedTuple):
    """A part of a picture."""

    top: int
    left: int
    rows: int
    columns: int


def _placed(
    room: Room, at: Float[np.ndarray, "t 3 2"]
) -> list[tuple[Int[np.ndarray, " _"], Box, tuple[int, int]]]:
    """Triangles of a picture (pixels, x and y) with the part of it that holds them and its place in the
    texture: all together, or halves of them where there is no room, down to single ones."""
    found, todo = [], [np.arange(len(at))]
    while todo:
        some = todo.pop()
        low, high = np.floor(at[some].min((0, 1))).astype(int) - EDGE, np.ceil(at[some].max((0, 1))) + EDGE
        columns, rows = (high.astype(int) - low).tolist()
        place = room.take(rows, columns)
        if place is not None:
            found.append((some, Box(int(low[1]), int(low[0]), rows, columns), place))
        elif len(some) > 1:
            order = np.argsort(at[some].mean(1)[:, int(rows > columns)], kind="stable")
            todo += [some[order[len(some) // 2 :]], some[order[: len(some) // 2]]]
    return found
