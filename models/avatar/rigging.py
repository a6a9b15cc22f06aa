"""A person bound to the skeleton: weights of mesh and Gaussians, both brought from the photo's pose into a T
pose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.bones import Bones, pose_bones, rest_bones
from turnaround.models.avatar.closing import Caps, caps_of, with_caps
from turnaround.models.avatar.cuts import apart, rims
from turnaround.models.avatar.diffusion import diffuse, one_limb
from turnaround.models.avatar.discs import discs, spread
from turnaround.models.avatar.previews import rig_previews
from turnaround.models.avatar.skinning import firm, unskin_gaussians
from turnaround.models.avatar.transfer import BodySkin, Carried, body_skin, carry, feet, strongest
from turnaround.models.avatar.unposing import unpose
from turnaround.models.body.model import BodyModel
from turnaround.models.body.named import named_body
from turnaround.models.mesh.silhouette.normals import vertex_normals
from turnaround.pipeline.values.rig import Rig, SkinWeights
from turnaround.pipeline.values.types import Body, Gaussians, TexturedMesh

NEIGHBOURS = 6  # vertices of the mesh that a Gaussian takes its weights from
FALL = 0.005  # metres over which a farther one counts less
THREAD, LONG = 4.0, 0.02  # so many times its length and metres: an edge at rest that is no skin any more
STEP = 0.004  # metres between the Gaussians that close a hole
ALIKE = 0.4  # share of its weights that one must have in common with the nearest


class Rigged(NamedTuple):
    """A rig with what it moves, in the rest pose, with pictures of it and a report of what was cut and
    closed."""

    rig: Rig
    mesh: TexturedMesh
    gaussians: Gaussians
    previews: dict[str, Tensor]
    report: dict[str, Any]


class _Welded(NamedTuple):
    """The mesh without the seams of its texture."""

    vertices: Float[np.ndarray, "w 3"]
    faces: Int[np.ndarray, "f 3"]
    of: Int[np.ndarray, " v"]  # welded vertex of each vertex of the mesh
    first: Int[np.ndarray, " w"]  # one vertex of the mesh for each welded one


def rigged(
    mesh: TexturedMesh, gaussians: Gaussians, body: Body, name: str, reach: float, size: int
) -> Rigged:
    """As `make_rig`, with the body model of that name and previews of `size` pixels."""
    avatar, report = make_rig(named_body(name), body, mesh, gaussians, reach=reach)
    return Rigged(avatar.rig, avatar.mesh, avatar.gaussians, rig_previews(avatar, size), report)


def make_rig(
    model: BodyModel, body: Body, mesh: TexturedMesh, gaussians: Gaussians, *, reach: float = 0.01
) -> tuple[Avatar, dict[str, Any]]:
    """Bind a person to the skeleton of their body.

    Args:
        model: the body model.
        body: the person's, as they stand in mesh and Gaussians.
        mesh, gaussians: in the photo's pose, world frame.
        reach: metres over which the weights are smoothed on the surface where it is sure of them.
    """
    rest = rest_body(body)
    joints = rest_bones(model, rest)
    bones = pose_bones(model, body, joints)
    welded = weld(mesh)
    body_of = body_skin(model, body)
    dense, carried, cut = surface_weights(body_of, welded, reach)
    gone = torn(welded, cut)
    skin = firm(_strongest(dense), bones)
    dense = _dense(skin, dense.shape[1])
    near = (torch.from_numpy(p).float() for p in feet(body_of, welded.vertices, dense, carried))
    resting = unpose(torch.from_numpy(welded.vertices).float(), skin, bones, *near)
    gone |= stretched(welded.vertices, resting.double().numpy(), welded.faces)
    kept = ~gone
    found = rims(welded.faces, kept)
    caps = caps_of(found, resting.double().numpy(), dense)
    bare = replace(
        mesh, vertices=resting[torch.from_numpy(welded.of)], faces=mesh.faces[torch.from_numpy(kept)]
    )
    caps = caps._replace(like=welded.first[caps.like])
    of_mesh = _together(
        SkinWeights(*(t[torch.from_numpy(welded.of)] for t in (skin.bones, skin.weights))),
        _strongest(caps.weights.reshape(-1, dense.shape[1])),
    )
    made, of_gaussians = _gaussians(gaussians, welded, resting, dense, caps, mesh, bones)
    report = {"cut_faces": int(gone.sum()), "caps": len(found), "cap_gaussians": len(made) - len(gaussians)}
    rig = Rig(rest, body, joints, of_mesh, of_gaussians)
    return Avatar(model, rig, with_caps(bare, caps), made), report


def rest_body(body: Body) -> Body:
    """A body's shape and face in the rest pose; where it stands is up to `rest_bones`."""
    return replace(Body.neutral(), betas=body.betas, expression=torch.zeros_like(body.expression))


def weld(mesh: TexturedMesh) -> _Welded:
    """Copies of a vertex on both sides of a seam made one again: their positions are equal."""
    vertices, first, of = np.unique(mesh.vertices.numpy(), axis=0, return_index=True, return_inverse=True)
    of = of.reshape(-1)
    return _Welded(vertices.astype(np.float64), of[mesh.faces.numpy()], of, first)


def surface_weights(
    skin: BodySkin, welded: _Welded, reach: float
) -> tuple[Float[np.ndarray, "w j"], Carried, Int[np.ndarray, "c 2"]]:
    """Weights of the welded vertices, smooth on the surface, and the edges across which limbs only touch."""
    normals = vertex_normals(
        torch.from_numpy(welded.vertices).float(), torch.from_numpy(welded.faces)
    ).numpy()
    carried = carry(skin, welded.vertices, normals.astype(np.float64))
    pairs = np.sort(
        np.concatenate([welded.faces[:, [0, 1]], welded.faces[:, [1, 2]], welded.faces[:, [2, 0]]]), 1
    )
    edges = np.unique(pairs, axis=0)
    lengths = np.linalg.norm(welded.vertices[edges[:, 0]] - welded.vertices[edges[:, 1]], axis=1)
    cut = apart(carried, edges, lengths)
    return one_limb(diffuse(carried, edges[~cut], lengths[~cut], reach=reach)), carried, edges[cut]


def torn(welded: _Welded, cut: Int[np.ndarray, "c 2"]) -> Bool[np.ndarray, " f"]:
    """Faces that have one of the edges."""
    count = len(welded.vertices)
    keys = cut[:, 0].astype(np.int64) * count + cut[:, 1]
    gone = np.zeros(len(welded.faces), bool)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        pair = np.sort(welded.faces[:, [a, b]], 1).astype(np.int64)
        gone |= np.isin(pair[:, 0] * count + pair[:, 1], keys)
    return gone


def stretched(
    vertices: Float[np.ndarray, "w 3"], resting: Float[np.ndarray, "w 3"], faces: Int[np.ndarray, "f 3"]
) -> Bool[np.ndarray, " f"]:
    """Faces that the way to rest draws out to what no skin does: threads between limbs that have touched."""
    before, after = (
        np.linalg.norm(places[faces] - places[np.roll(faces, -1, 1)], axis=-1)
        for places in (vertices, resting)
    )
    return (after > LONG + THREAD * before).any(1)


def _gaussians(
    gaussians: Gaussians,
    welded: _Welded,
    resting_mesh: Float[Tensor, "w 3"],
    dense: Float[np.ndarray, "w j"],
    caps: Caps,
    mesh: TexturedMesh,
    bones: Bones,
) -> tuple[Gaussians, SkinWeights]:
    """The Gaussians in the rest pose, those of the caps after them, and the weights of all."""
    distance, index = KDTree(welded.vertices).query(gaussians.means.numpy(), NEIGHBOURS)
    share = np.exp(-(distance - distance[:, :1]) / FALL)
    common = np.minimum(dense[index], dense[index[:, :1]]).sum(-1)
    share[common < ALIKE] = 0  # of a limb that only touches
    share /= share.sum(1, keepdims=True)
    skin = firm(_strongest(np.einsum("nk,nkj->nj", share, dense[index])), bones)
    nearest = torch.from_numpy(index[:, 0])
    foot = torch.from_numpy(welded.vertices).float()[nearest]
    means = unpose(gaussians.means, skin, bones, foot, resting_mesh[nearest])
    resting = replace(unskin_gaussians(gaussians, skin, bones), means=means)
    places = spread(caps.vertices, STEP)
    colors = mesh.colors.double().numpy()[caps.like[places.face]]
    closing = discs(caps.vertices, places, colors, STEP)
    weights = (places.bary[..., None] * caps.weights[places.face]).sum(1)
    return Gaussians.cat([resting, closing]), _together(skin, _strongest(weights))


def _strongest(weights: Float[np.ndarray, "n j"]) -> SkinWeights:
    ids, kept = strongest(weights)
    return SkinWeights(torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(kept).float())


def _dense(skin: SkinWeights, count: int) -> Float[np.ndarray, "n j"]:
    dense = np.zeros((len(skin), count))
    np.add.at(dense, (np.arange(len(skin))[:, None], skin.bones.numpy()), skin.weights.double().numpy())
    return dense


def _together(*parts: SkinWeights) -> SkinWeights:
    return SkinWeights(torch.cat([p.bones for p in parts]), torch.cat([p.weights for p in parts]))
