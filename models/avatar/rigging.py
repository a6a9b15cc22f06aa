"""A person bound to the skeleton: weights of mesh and Gaussians, both brought from the photo's pose into a T
pose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.binding.closing import Caps, caps_of, together, with_caps
from turnaround.models.avatar.binding.cuts import rims
from turnaround.models.avatar.binding.discs import discs, spread
from turnaround.models.avatar.binding.hands import (
    CUFFS,
    HANDS,
    body_cuffs,
    body_hands,
    face_vertex,
    hidden_hands,
    without_hands,
)
from turnaround.models.avatar.binding.hull import within
from turnaround.models.avatar.binding.mixing import mix
from turnaround.models.avatar.binding.surface import Bound, bind, dense, strongest_skin
from turnaround.models.avatar.binding.transfer import BodySkin, body_skin
from turnaround.models.avatar.binding.underlay import areas, texture_at, underlay
from turnaround.models.avatar.binding.unposing import unpose
from turnaround.models.avatar.bones import BONE_NAMES, Bones, pose_bones, rest_bones
from turnaround.models.avatar.fading import bones_about
from turnaround.models.avatar.filling.painting import painted
from turnaround.models.avatar.filling.skin import with_skin
from turnaround.models.avatar.previews import rig_previews
from turnaround.models.avatar.skinning import firm, skin_gaussians, unskin_gaussians
from turnaround.models.body.model import BodyModel
from turnaround.models.body.named import named_body
from turnaround.models.exemplar.parts import vertex_labels
from turnaround.pipeline.values.rig import Rig, SkinWeights
from turnaround.pipeline.values.types import Body, Gaussians, TexturedMesh

NEIGHBOURS = 6  # vertices of the mesh that a Gaussian takes its weights from
FALL = 0.005  # metres over which a farther one counts less
ALIKE = 0.4  # share of its weights that one must have in common with the nearest
STEP = 0.004  # metres between the Gaussians that close a hole


class Rigged(NamedTuple):
    """A rig with what it moves, in the rest pose, with pictures of it and a report of what was cut and
    closed."""

    rig: Rig
    mesh: TexturedMesh
    gaussians: Gaussians
    previews: dict[str, Tensor]
    report: dict[str, Any]


def rigged(
    mesh: TexturedMesh, gaussians: Gaussians, body: Body, name: str, reach: float, size: int
) -> Rigged:
    """As `make_rig`, with the body model of that name and previews of `size` pixels."""
    avatar, report = make_rig(named_body(name), body, mesh, gaussians, reach=reach)
    return Rigged(avatar.rig, avatar.mesh, avatar.gaussians, rig_previews(avatar, size), report)


def make_rig(
    model: BodyModel,
    body: Body,
    mesh: TexturedMesh,
    gaussians: Gaussians,
    *,
    reach: float = 0.01,
) -> tuple[Avatar, dict[str, Any]]:
    """Bind a person to the skeleton of their body.

    What the photo's pose hides is filled: holes where limbs touched with faces and Gaussians, and the skin
    that other poses draw out with Gaussians below it. These fade in as the pose leaves the photo's.

    Args:
        model: the body model.
        body: the person's, as they stand in mesh and Gaussians.
        mesh, gaussians: in the photo's pose, world frame.
        reach: metres over which the weights are smoothed along the surface.

    Returns:
        The person at rest, and a report: faces cut, holes closed, Gaussians added.
    """
    rest = rest_body(body)
    joints = rest_bones(model, rest)
    bones = pose_bones(model, body, joints)
    skin_of_body = body_skin(model, body)
    bound = bind(skin_of_body, bones, mesh, reach)
    hands = hidden_hands(skin_of_body, bound)
    if hands:
        bound = bind(without_hands(skin_of_body, hands), bones, mesh, reach)
    found = rims(bound.faces, bound.kept)
    caps = caps_of(found, bound.resting.double().numpy(), dense(bound.skin))
    caps = caps._replace(like=bound.first[caps.like])
    if hands:
        caps = together([caps, body_cuffs(model, skin_of_body, hands, bound)])
    cloth = len(caps.like)
    like = face_vertex(model, body, bound, mesh) if hands else None
    if like is not None:
        caps = together([caps, body_hands(model, skin_of_body, hands, like)])
    skin, resting = _gaussians(gaussians, bound, bones, skin_of_body)
    closed, of_mesh = _closed(mesh, bound, caps)
    first = len(closed.faces) - len(caps.like)  # the caps' faces are the last
    labels = vertex_labels(model)[torch.unique(model.skin_faces).numpy()]
    parts = labels[KDTree(skin_of_body.rest).query(closed.vertices.double().numpy())[1]]
    closed = painted(closed, parts, first, first + cloth)
    if like is not None:
        closed = with_skin(closed, first + cloth, mesh.colors[like].double().numpy())
    bare = Avatar(model, Rig(rest, body, joints, of_mesh, skin), closed, resting)
    filled = _filled(bare, caps, areas(mesh)[bound.kept])
    whole = _fading(filled, len(gaussians), hands)
    added = len(whole.gaussians) - len(gaussians)
    report = {
        "cut_faces": int((~bound.kept).sum()), "holes": len(found), "hidden_hands": hands,
        "gaussians_added": added,
    }  # fmt: skip
    return whole, report


def rest_body(body: Body) -> Body:
    """A body's shape in the rest pose, the face at rest too; where it stands is up to `rest_bones`."""
    return replace(Body.neutral(), betas=body.betas)


def _gaussians(
    gaussians: Gaussians, bound: Bound, bones: Bones, body: BodySkin
) -> tuple[SkinWeights, Gaussians]:
    """Weights of the Gaussians, as the surface near them has, and the Gaussians at rest."""
    there = np.unique(bound.faces[bound.kept])
    distance, index = KDTree(bound.vertices[there]).query(gaussians.means.numpy(), NEIGHBOURS)
    index = there[index]
    share = np.exp(-(distance - distance[:, :1]) / FALL)
    skin = firm(mix(bound.skin, index, share, bones=len(BONE_NAMES), alike=ALIKE), bones)
    nearest = torch.from_numpy(index[:, 0])
    foot = torch.from_numpy(bound.vertices).float()[nearest]
    means, skin = unpose(gaussians.means, skin, bones, foot, bound.resting[nearest], body)
    return skin, replace(unskin_gaussians(gaussians, skin, bones), means=means)


def _closed(mesh: TexturedMesh, bound: Bound, caps: Caps) -> tuple[TexturedMesh, SkinWeights]:
    """The mesh at rest without what was cut, with its holes closed, and the weights of its vertices."""
    of = torch.from_numpy(bound.of)
    bare = replace(mesh, vertices=bound.resting[of], faces=mesh.faces[torch.from_numpy(bound.kept)])
    own = SkinWeights(bound.skin.bones[of], bound.skin.weights[of])
    closing = strongest_skin(caps.weights.reshape(-1, len(BONE_NAMES)))
    return with_caps(bare, caps), _together(own, closing)


def _filled(avatar: Avatar, caps: Caps, photo: Float[np.ndarray, " f"]) -> Avatar:
    """The person with Gaussians on the caps and under the skin that other poses draw out.

    photo: area in the photo's pose of each face but those of the caps.
    """
    places = spread(caps.vertices, STEP)
    first = len(avatar.mesh.faces) - len(caps.vertices)  # the caps' faces are the last
    colors = texture_at(avatar.mesh, first + places.face, places.bary)
    closing = discs(caps.vertices, places, colors, STEP)
    on_caps = strongest_skin((places.bary[..., None] * caps.weights[places.face]).sum(1))
    # what closes a hole is covered as it is at rest
    below, faces, bary = underlay(avatar, np.r_[photo, areas(avatar.mesh)[first:]])
    corners = avatar.mesh.faces.numpy()[faces]
    under = mix(avatar.rig.mesh, corners, bary, bones=len(BONE_NAMES))
    gaussians = Gaussians.cat([avatar.gaussians, closing, below])
    rig = replace(avatar.rig, gaussians=_together(avatar.rig.gaussians, on_caps, under))
    return replace(avatar, rig=rig, gaussians=gaussians)


def _fading(avatar: Avatar, own: int, hands: list[str]) -> Avatar:
    """The person whose Gaussians after the first `own`, which the photo does not show, fade in; without those
    that are out of its outlines.

    hands: sides whose hand and sleeve have been added; these stay whole.
    """
    rig, photo = avatar.rig, avatar.bones(avatar.rig.photo)
    posed = skin_gaussians(avatar.gaussians, rig.gaussians, photo)
    kept = within(posed.means, posed[torch.arange(own)])
    kept[:own] = True
    for side in hands:
        kept |= torch.isin(rig.gaussians.bones[:, 0], torch.from_numpy(np.r_[HANDS[side], CUFFS[side]]))
    skin, places = rig.gaussians[kept], posed.means[kept]
    about = bones_about(places[own:], skin[own:], places[:own], skin[:own])
    return replace(avatar, rig=replace(rig, gaussians=skin, about=about), gaussians=avatar.gaussians[kept])


def _together(*parts: SkinWeights) -> SkinWeights:
    return SkinWeights(torch.cat([p.bones for p in parts]), torch.cat([p.weights for p in parts]))
