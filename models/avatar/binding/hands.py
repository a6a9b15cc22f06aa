"""Hands that a photo hides, in pockets or behind the back: the body's own hands and forearms, in the colours
of face and sleeve."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from turnaround.models.avatar.binding.closing import Caps
from turnaround.models.avatar.binding.surface import Bound
from turnaround.models.avatar.binding.transfer import BodySkin
from turnaround.models.avatar.bones import BONE_NAMES
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import FINGERS
from turnaround.models.exemplar.parts import FACE, vertex_labels
from turnaround.models.mesh.silhouette.normals import vertex_normals
from turnaround.pipeline.values.types import Body, TexturedMesh

NEAR = 0.025  # metres from the surface within which a place of the hand is shown
SHOWN = 0.8  # share of a hand that a visible one shows; it was .90 to .99, and .61 in pockets

HANDS: Final = {
    side: np.array(
        [
            BONE_NAMES.index(name)
            for name in (f"{side}_wrist", *(f"{side}_{finger}{k}" for finger in FINGERS for k in (1, 2, 3)))
        ]
    )
    for side in ("left", "right")
}
"""Bones of each hand."""

CUFFS: Final = {
    side: np.array(
        [BONE_NAMES.index(f"{side}_{name}") for name in ("elbow", "forearm_twist1", "forearm_twist2")]
    )
    for side in HANDS
}
"""Bones of each forearm."""

THICKER = 0.004  # metres of the cloth about a forearm
FRONT = 0.3  # cosine to the camera of what is the face's front


def hidden_hands(skin: BodySkin, bound: Bound) -> list[str]:
    """Sides whose hand the surface does not show: at rest too little of it lies where the body's hand
    does."""
    there = np.unique(bound.faces[bound.kept])
    strongest, places = bound.skin.bones[there, 0].numpy(), bound.resting[there].double().numpy()
    hidden = []
    for side, bones in HANDS.items():
        own = places[np.isin(strongest, bones)]
        hand = skin.rest[np.isin(skin.weights.argmax(1), bones)]
        shown = 0.0 if len(own) == 0 else float((KDTree(own).query(hand)[0] < NEAR).mean())
        if shown < SHOWN:
            hidden.append(side)
    return hidden


def without_hands(skin: BodySkin, sides: list[str]) -> BodySkin:
    """The body without these hands, so that what hides them follows what it lies on."""
    bones = np.concatenate([HANDS[side] for side in sides])
    kept = ~np.isin(skin.weights.argmax(1), bones)
    return BodySkin(*(array[kept] for array in skin))


def body_hands(model: BodyModel, skin: BodySkin, sides: list[str], like: int) -> Caps:
    """The body's hands at rest, as triangles that look like one vertex of the mesh."""
    corners = _triangles(model, skin)
    hand = np.isin(skin.weights.argmax(1), np.concatenate([HANDS[side] for side in sides]))
    corners = corners[hand[corners].all(1)]
    return Caps(skin.rest[corners], skin.weights[corners], np.full(len(corners), like))


def body_cuffs(model: BodyModel, skin: BodySkin, sides: list[str], bound: Bound) -> Caps:
    """The body's forearms up to these hands at rest, a little thicker, like the mesh's nearest own vertices:
    a sleeve that goes into a pocket ends thin or not at all."""
    bones = np.concatenate([CUFFS[side] for side in sides])
    corners, strongest = _triangles(model, skin), skin.weights.argmax(1)
    arm, hand = np.isin(strongest, bones), np.isin(strongest, np.concatenate([HANDS[side] for side in sides]))
    corners = corners[(arm | hand)[corners].all(1) & arm[corners].any(1)]
    there = np.unique(bound.faces[bound.kept])
    there = there[np.isin(bound.skin.bones[there, 0].numpy(), bones)]
    if not len(there) or not len(corners):
        none = corners[:0]
        return Caps(skin.rest[none], skin.weights[none], none[:, 0])
    used, faces = np.unique(corners, return_inverse=True)
    faces = torch.from_numpy(faces.reshape(-1, 3))
    out = vertex_normals(torch.from_numpy(skin.rest[used]).float(), faces).double().numpy()
    places = skin.rest.copy()
    places[used] += THICKER * out
    middle = places[corners].mean(1)
    like = there[KDTree(bound.resting[there].double().numpy()).query(middle)[1]]
    return Caps(places[corners], skin.weights[corners], bound.first[like])


def _triangles(model: BodyModel, skin: BodySkin) -> Int[np.ndarray, "t 3"]:
    """Faces of the skin as rows of `skin`."""
    place = np.full(model.num_vertices, -1)
    used = torch.unique(model.skin_faces).numpy()
    place[used] = np.arange(len(used))
    return place[model.skin_faces.numpy()]


def face_vertex(model: BodyModel, body: Body, bound: Bound, mesh: TexturedMesh) -> int:
    """The vertex of the mesh whose colour is nearest to that of the face in the light: the median of the
    lighter half of its front, for the other half is hair, mouth and shadow."""
    posed = model(body).vertices
    front = vertex_normals(posed, model.skin_faces)[:, 2].numpy() < -FRONT
    chosen = (vertex_labels(model) == FACE) & front
    if not chosen.any():  # turned away
        chosen = vertex_labels(model) == FACE
    near = np.unique(KDTree(bound.vertices).query(posed[torch.from_numpy(chosen)].double().numpy())[1])
    vertices: Int[np.ndarray, " n"] = bound.first[near]
    colors: Float[np.ndarray, "n 3"] = mesh.colors[torch.from_numpy(vertices)].double().numpy()
    light = colors.mean(1)
    tone = np.median(colors[light >= np.median(light)], 0)
    return int(vertices[np.linalg.norm(colors - tone, axis=1).argmin()])
