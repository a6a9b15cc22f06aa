"""A surface bound to the skeleton: weights of its vertices, its rest pose, and the faces that only join limbs
which touched."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from turnaround.models.avatar.binding.cuts import apart
from turnaround.models.avatar.binding.diffusion import diffuse, one_limb
from turnaround.models.avatar.binding.transfer import BodySkin, carry, feet, strongest
from turnaround.models.avatar.binding.unposing import unpose
from turnaround.models.avatar.bones import BONE_NAMES, Bones
from turnaround.models.avatar.skinning import firm
from turnaround.models.mesh.silhouette.normals import vertex_normals
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.types import TexturedMesh

THREAD, LONG = 4.0, 0.02  # so many times its length and metres: an edge at rest that is no skin any more
ISLAND = 60  # faces of the smallest piece that stays


class Bound(NamedTuple):
    """A mesh without the seams of its texture, bound to a skeleton."""

    vertices: Float[np.ndarray, "w 3"]  # in the photo's pose
    resting: Float[Tensor, "w 3"]  # the same at rest
    skin: SkinWeights
    faces: Int[np.ndarray, "f 3"]  # of all these vertices, those that are cut too
    kept: Bool[np.ndarray, " f"]  # faces that stay
    of: Int[np.ndarray, " v"]  # vertex here of each vertex of the mesh
    first: Int[np.ndarray, " w"]  # one vertex of the mesh for each here


def bind(skin: BodySkin, bones: Bones, mesh: TexturedMesh, reach: float) -> Bound:
    """Bind a mesh to the body in it.

    Args:
        skin: the body, in the mesh's pose.
        bones: of the same pose.
        mesh: world frame; copies of a vertex on both sides of a seam lie on one another.
        reach: metres over which the weights are smoothed along the surface.
    """
    vertices, first, of = np.unique(mesh.vertices.numpy(), axis=0, return_index=True, return_inverse=True)
    vertices, of = vertices.astype(np.float64), of.reshape(-1)
    faces = of[mesh.faces.numpy()]
    normals = vertex_normals(torch.from_numpy(vertices).float(), torch.from_numpy(faces)).double().numpy()
    carried = carry(skin, vertices, normals)
    edges, lengths = _edges(vertices, faces)
    cut = apart(carried, edges, lengths)
    smooth = one_limb(diffuse(carried, edges[~cut], lengths[~cut], reach=reach))
    weights = firm(strongest_skin(smooth), bones)
    foot, rest_foot = (torch.from_numpy(p).float() for p in feet(skin, vertices, dense(weights), carried))
    resting, weights = unpose(torch.from_numpy(vertices).float(), weights, bones, foot, rest_foot, skin)
    gone = _torn(faces, edges[cut], len(vertices)) | _drawn(vertices, resting.double().numpy(), faces)
    return Bound(vertices, resting, weights, faces, _large(faces, ~gone, len(vertices)), of, first)


def strongest_skin(weights: Float[np.ndarray, "n j"]) -> SkinWeights:
    """The four strongest bones of each point."""
    ids, kept = strongest(weights)
    return SkinWeights(torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(kept).float())


def dense(skin: SkinWeights) -> Float[np.ndarray, "n j"]:
    """Weights of all bones."""
    full = np.zeros((len(skin), len(BONE_NAMES)))
    np.add.at(full, (np.arange(len(skin))[:, None], skin.bones.numpy()), skin.weights.double().numpy())
    return full


def _edges(
    vertices: Float[np.ndarray, "w 3"], faces: Int[np.ndarray, "f 3"]
) -> tuple[Int[np.ndarray, "e 2"], Float[np.ndarray, " e"]]:
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    edges = np.unique(pairs, axis=0)
    return edges, np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)


def _torn(faces: Int[np.ndarray, "f 3"], cut: Int[np.ndarray, "c 2"], count: int) -> Bool[np.ndarray, " f"]:
    """Faces that have one of the edges."""
    keys = cut[:, 0].astype(np.int64) * count + cut[:, 1]
    gone = np.zeros(len(faces), bool)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        pair = np.sort(faces[:, [a, b]], 1).astype(np.int64)
        gone |= np.isin(pair[:, 0] * count + pair[:, 1], keys)
    return gone


def _drawn(
    vertices: Float[np.ndarray, "w 3"], resting: Float[np.ndarray, "w 3"], faces: Int[np.ndarray, "f 3"]
) -> Bool[np.ndarray, " f"]:
    """Faces that the way to rest draws out to what no skin does: threads between limbs that have touched."""
    before, after = (
        np.linalg.norm(places[faces] - places[np.roll(faces, -1, 1)], axis=-1)
        for places in (vertices, resting)
    )
    return (after > LONG + THREAD * before).any(1)


def _large(faces: Int[np.ndarray, "f 3"], kept: Bool[np.ndarray, " f"], count: int) -> Bool[np.ndarray, " f"]:
    """The kept faces without pieces that hang together with hardly any other; the largest piece always
    stays."""
    rows = faces[kept]
    graph = sparse.coo_matrix(
        (np.ones(2 * len(rows)), (np.r_[rows[:, 0], rows[:, 1]], np.r_[rows[:, 1], rows[:, 2]])),
        (count, count),
    )
    piece = connected_components(graph, directed=False)[1][rows[:, 0]]
    sizes = np.bincount(piece, minlength=1)
    stays = kept.copy()
    stays[kept] = sizes[piece] >= min(ISLAND, sizes.max())
    return stays
