"""Hands that a photo hides, in pockets or behind the back: the body's own hands in the colour of the face."""

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
    place = np.full(model.num_vertices, -1)
    used = torch.unique(model.skin_faces).numpy()
    place[used] = np.arange(len(used))
    faces = place[model.skin_faces.numpy()]
    bones = np.concatenate([HANDS[side] for side in sides])
    corners = faces[np.isin(skin.weights.argmax(1), bones)[faces].all(1)]
    return Caps(skin.rest[corners], skin.weights[corners], np.full(len(corners), like))


def face_vertex(model: BodyModel, body: Body, bound: Bound, mesh: TexturedMesh) -> int:
    """The vertex of the mesh whose colour is nearest to the median of the face's."""
    posed = model(body).vertices[torch.from_numpy(vertex_labels(model) == FACE)].double().numpy()
    near = np.unique(KDTree(bound.vertices).query(posed)[1])
    vertices: Int[np.ndarray, " n"] = bound.first[near]
    colors: Float[np.ndarray, "n 3"] = mesh.colors[torch.from_numpy(vertices)].double().numpy()
    far: Float[np.ndarray, " n"] = np.linalg.norm(colors - np.median(colors, 0), axis=1)
    return int(vertices[far.argmin()])
