"""Parts of the body, left and right apart: what may look alike."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float32, Int8

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_NAMES

SIDED = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
PARTS: Final[tuple[str, ...]] = (
    "face",
    "cranium",
    "neck",
    "torso",
    *(f"{side}_{part}" for part in SIDED for side in ("left", "right")),
)
"""Names of the labels, in their order."""

NEVER: Final = np.float32(1e4)
FACE, CRANIUM, NECK, TORSO = range(4)
BROW_MARGIN, FACE_DEPTH = (
    0.03,
    0.105,
)  # metres: the face ends so far above the brows, and so far behind the tip of the nose

_OF_JOINT = {
    "hip": "thigh",
    "knee": "shin",
    "ankle": "foot",
    "foot": "foot",
    "shoulder": "upper_arm",
    "elbow": "forearm",
}
_NEIGHBOURS = (
    ("face", "cranium"),
    ("cranium", "neck"),
    ("face", "neck"),
    ("neck", "torso"),
    ("torso", "upper_arm"),
    ("upper_arm", "forearm"),
    ("forearm", "hand"),
    ("torso", "thigh"),
    ("thigh", "shin"),
    ("shin", "foot"),
)


def _mirror() -> Int8[np.ndarray, " p"]:
    other = {"left": "right", "right": "left"}
    names = [
        "_".join([other.get(name.split("_")[0], name.split("_")[0]), *name.split("_")[1:]]) for name in PARTS
    ]
    return np.array([PARTS.index(name) for name in names], np.int8)


MIRROR: Final = _mirror()
"""The label of the other side; its own in the middle."""


def strangeness() -> Float32[np.ndarray, "p p"]:
    """How unlike two parts are: 0 the same, .15 left and right, .5 neighbours, 1 others; nothing else is
    copied from face or hands."""
    alike = np.ones((len(PARTS), len(PARTS)), np.float32)
    bare = [name.split("_", 1)[1] if name.split("_")[0] in ("left", "right") else name for name in PARTS]
    for a, first in enumerate(bare):
        for b, second in enumerate(bare):
            if (first, second) in _NEIGHBOURS or (second, first) in _NEIGHBOURS:
                alike[a, b] = 0.5
            if first == second:
                alike[a, b] = 0.0 if a == b else 0.15
    alike[:, FACE] = NEVER
    for b, second in enumerate(bare):
        if second == "hand":
            alike[[first not in ("hand", "forearm") for first in bare], b] = NEVER
    alike[FACE, FACE] = 0
    return alike


def vertex_labels(model: BodyModel) -> Int8[np.ndarray, " v"]:
    """The label of each vertex: by the joint that moves it most, the head divided into face and cranium by
    its landmarks."""
    of_joint = np.array([PARTS.index(_part_of(name)) for name in JOINT_NAMES], np.int8)
    labels = of_joint[model.vertex_parts.cpu().numpy()]
    template = model.v_template.cpu().numpy()
    index, bary = (array.cpu().numpy() for array in model.face_landmarks)
    landmarks = (template[index] * bary[..., None]).sum(1)
    front = template[:, 2] > landmarks[:, 2].max() - FACE_DEPTH
    below = template[:, 1] < landmarks[:, 1].max() + BROW_MARGIN
    return np.where((labels == CRANIUM) & front & below, np.int8(FACE), labels).astype(np.int8)


def _part_of(joint: str) -> str:
    side, _, rest = joint.partition("_")
    if joint in ("head", "jaw") or rest == "eye":
        return "cranium"
    if joint == "neck":
        return "neck"
    if side not in ("left", "right") or rest == "collar":
        return "torso"
    return f"{side}_{_OF_JOINT.get(rest, 'hand')}"
