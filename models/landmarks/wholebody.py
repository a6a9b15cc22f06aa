"""Names of COCO-WholeBody's hands and face, in the order of the networks' points; bones to draw between
them."""

from __future__ import annotations

import itertools

FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")


def hand_names(side: str) -> tuple[str, ...]:
    """The 21 names of a hand, `side` left or right."""
    return (f"{side}_hand_root", *(f"{side}_{finger}{k}" for finger in FINGERS for k in (1, 2, 3, 4)))


FACE_NAMES: tuple[str, ...] = tuple(f"face-{k}" for k in range(68))

_LIMBS = (
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("hip", "knee"),
    ("knee", "ankle"),
    ("ankle", "heel"),
    ("ankle", "big_toe"),
    ("shoulder", "hip"),
)


def _hand_bones(side: str) -> tuple[tuple[str, str], ...]:
    root = f"{side}_hand_root"
    chains = [(root, *(f"{side}_{finger}{k}" for k in (1, 2, 3, 4))) for finger in FINGERS]
    return tuple(pair for chain in chains for pair in itertools.pairwise(chain))


BONES: tuple[tuple[str, str], ...] = (
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _LIMBS),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("nose", "left_eye"),
    ("nose", "right_eye"),
    ("left_eye", "left_ear"),
    ("right_eye", "right_ear"),
    *_hand_bones("left"),
    *_hand_bones("right"),
)
"""Pairs of names that are joined in a drawing."""
