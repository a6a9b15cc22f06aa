"""Repair and simplification of triangle surfaces: components, smoothing, decimation, and the report of what
they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from turnaround.models.mesh.parting import part_sheets


@dataclass(frozen=True)
class Surface:
    """Vertices in metres, faces counter-clockwise seen from outside."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]

    @cached_property
    def normals(self) -> Float[np.ndarray, "v 3"]:
        """Unit normals of the vertices, out of the surface, weighted by their faces' areas; computed once."""
        import torch

        from turnaround.models.mesh.silhouette.normals import vertex_normals

        return vertex_normals(
            torch.from_numpy(self.vertices).float(),
            torch.from_numpy(np.ascontiguousarray(self.faces, np.int64)),
        ).numpy()


def components(surface: Surface) -> Int[np.ndarray, " v"]:
    """Number of the connected component of each vertex."""
    return sparse.csgraph.connected_components(adjacency(surface), directed=False)[1]


def largest_component(surface: Surface) -> Surface:
    """The component with most faces, without unused vertices."""
    label = components(surface)[surface.faces[:, 0]]
    return _used(Surface(surface.vertices, surface.faces[label == np.bincount(label).argmax()]))


def boundary(surface: Surface) -> Int[np.ndarray, "e 2"]:
    """Directed edges that belong to one face only, in the direction of that face."""
    edges = _directed_edges(surface.faces)
    keys = _undirected_keys(edges, len(surface.vertices))
    ordered = np.sort(keys)
    once = np.ones(len(ordered), bool)
    once[1:] &= ordered[1:] != ordered[:-1]
    once[:-1] &= ordered[:-1] != ordered[1:]
    single = ordered[once]
    if len(single) == 0:
        return edges[:0]
    place = np.minimum(np.searchsorted(single, keys), len(single) - 1)
    return edges[single[place] == keys]


def _undirected_keys(edges: Int[np.ndarray, "e 2"], vertices: int) -> Int[np.ndarray, " e"]:
    """A number for each edge, the same in both directions."""
    return np.minimum(edges[:, 0], edges[:, 1]).astype(np.int64) * vertices + np.maximum(
        edges[:, 0], edges[:, 1]
    )


def smooth(surface: Surface, iterations: int) -> Surface:
    """Taubin smoothing (1995): a step of +0.5 and one of -0.53 of the Laplacian an iteration, which does not
    shrink."""
    mean = mean_of_neighbours(surface)
    vertices = surface.vertices
    for factor in (0.5, -0.53) * iterations:
        vertices = vertices + factor * (mean @ vertices - vertices)
    return Surface(vertices, surface.faces)


def decimate(surface: Surface, faces: int) -> Surface:
    """Quadric decimation (Garland and Heckbert 1997) to at most `faces` faces.

    A closed surface stays closed; where its sheets met they are parted, so that it may have more components.
    """
    if len(surface.faces) <= faces:
        return surface
    import fast_simplification

    old = np.ascontiguousarray(surface.vertices, np.float64), np.ascontiguousarray(surface.faces, np.int32)
    for eagerness in (5, 7, 10):  # 3 orders the collapses best, and does not reach a few hundred faces
        vertices, triangles, *_ = fast_simplification.simplify(*old, target_count=faces, agg=eagerness)
        if len(triangles) <= faces:
            break
    # collapses are made without a test of the link: faces may lie back to back, and edges have four faces
    return Surface(*part_sheets(vertices, _without_flaps(triangles.astype(np.int64))))


def _without_flaps(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "g 3"]:
    """Without faces of no area and pairs of faces with the same vertices: their edges close up again."""
    kept, count = faces, -1
    while count != len(kept):
        count = len(kept)
        kept = _proper(kept)
        _, place, often = np.unique(np.sort(kept, 1), axis=0, return_inverse=True, return_counts=True)
        kept = kept[often[place.reshape(-1)] == 1]
    return kept


def describe(surface: Surface) -> dict[str, Any]:
    """Counts a user asks of a mesh: vertices, faces, components, holes, watertight, volume in litres, area in
    square metres."""
    edges = _directed_edges(surface.faces)
    _, counts = np.unique(_undirected_keys(edges, len(surface.vertices)), return_counts=True)
    # watertight: every edge has two faces, which pass it in opposite directions
    directions = np.sort(edges[:, 0].astype(np.int64) * len(surface.vertices) + edges[:, 1])
    watertight = bool((counts == 2).all() and (directions[1:] != directions[:-1]).all())
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    return {
        "vertices": len(surface.vertices),
        "faces": len(surface.faces),
        "components": int(components(surface).max()) + 1,
        "holes": _hole_count(boundary(surface)),
        "watertight": watertight,
        "edges_with_many_faces": int((counts > 2).sum()),
        "volume_litres": float((a * across).sum() / 6 * 1000),
        "area_m2": float(np.linalg.norm(across, axis=1).sum() / 2),
    }


def _hole_count(edges: Int[np.ndarray, "e 2"]) -> int:
    if len(edges) == 0:
        return 0
    names, index = np.unique(edges, return_inverse=True)
    index = index.reshape(edges.shape)
    graph = sparse.coo_matrix((np.ones(len(edges)), index.T), shape=(len(names),) * 2)
    return int(sparse.csgraph.connected_components(graph, directed=False)[0])


def _directed_edges(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "e 2"]:
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def adjacency(surface: Surface) -> sparse.csr_array:
    """Symmetric (v, v) matrix with 1 where two vertices share an edge."""
    edges = _directed_edges(surface.faces)
    n = len(surface.vertices)
    both = np.concatenate([edges, edges[:, ::-1]])
    matrix = sparse.coo_array((np.ones(len(both), np.float64), both.T), shape=(n, n)).tocsr()
    matrix.data[:] = 1
    return matrix


def mean_of_neighbours(surface: Surface) -> sparse.csr_matrix:
    """Row-normalised `adjacency`: times values of the vertices it gives the mean of each one's neighbours."""
    matrix = adjacency(surface)
    return sparse.diags(1 / np.maximum(matrix.sum(1), 1)) @ matrix


def _used(surface: Surface) -> Surface:
    """Without vertices that no face uses, and without faces that use a vertex twice."""
    faces = _proper(surface.faces)
    kept = np.zeros(len(surface.vertices), bool)
    kept[faces] = True
    index = np.cumsum(kept) - 1
    return Surface(surface.vertices[kept], index[faces])


def _proper(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "g 3"]:
    """Without faces that use a vertex twice."""
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (c != a)]
