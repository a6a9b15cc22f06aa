"""Random people as MakeHuman morphs: who is sampled decides what the shape space of the free body can
express."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

import numpy as np

from turnaround.data.body.makehuman import BaseMesh, Targets

CHILD_AGE = (
    0.1875  # MakeHuman's "child" morph, about 11 years, lies here on its scale where 0.5 is 25 and 1 is 90
)
RACES = ("caucasian", "asian", "african")
LOCAL_FOLDERS = (
    "torso",
    "stomach",
    "hip",
    "arms",
    "legs",
    "head",
    "neck",
    "pelvis",
    "buttocks",
    "nose",
    "mouth",
    "chin",
    "cheek",
    "eyes",
    "hands",
    "feet",
    "breast",
)
# morphs that move joints away from the skin (a regressor of joints then fails at spine and knees), or to one
# side
EXCLUDED = (
    "torso-trans",
    "torso-scale-vert",
    "hip-trans",
    "hip-waist",
    "head-trans",
    "neck-trans",
    "asym",
    "age",
    "pregnant",
    "trans-in",
    "trans-out",
    "waisttohip",
)
OPPOSITES = (("incr", "decr"), ("up", "down"), ("out", "in"), ("forward", "backward"), ("convex", "concave"))
HEIGHT_RANGE = (1.30, 2.02)  # metres


@dataclass(frozen=True)
class Macro:
    """MakeHuman's global sliders, all in [0,1]."""

    gender: float  # 0 female, 1 male
    child: float  # weight of the child morph
    old: float  # weight of the old morph; the rest is young
    muscle: float
    weight: float
    height: float
    proportions: float
    races: tuple[float, float, float]


def _three(value: float, name: str) -> dict[str, float]:
    return {
        f"min{name}": max(0, 1 - 2 * value),
        f"average{name}": 1 - abs(2 * value - 1),
        f"max{name}": max(0, 2 * value - 1),
    }


def add_macro(vertices: np.ndarray, targets: Targets, macro: Macro) -> None:
    """Add the global morphs in place: products of the sliders' piecewise linear weights, as MakeHuman
    does."""
    genders = {"female": 1 - macro.gender, "male": macro.gender}
    ages = {"child": macro.child, "young": 1 - macro.child - macro.old, "old": macro.old}
    heights = {"minheight": max(0, 1 - 2 * macro.height), "maxheight": max(0, 2 * macro.height - 1)}
    proportions = {
        "uncommonproportions": max(0, 1 - 2 * macro.proportions),
        "idealproportions": max(0, 2 * macro.proportions - 1),
    }
    for (gender, a), (age, b) in itertools.product(genders.items(), ages.items()):
        for race, share in zip(RACES, macro.races, strict=True):
            targets.add(vertices, f"macrodetails/{race}-{gender}-{age}", a * b * share)
        for (muscle, c), (weight, d) in itertools.product(
            _three(macro.muscle, "muscle").items(), _three(macro.weight, "weight").items()
        ):
            stem, amount = f"{gender}-{age}-{muscle}-{weight}", a * b * c * d
            targets.add(vertices, f"macrodetails/universal-{stem}", amount)
            for height, e in heights.items():
                targets.add(vertices, f"macrodetails/height/{stem}-{height}", amount * e)
            for proportion, e in proportions.items():
                targets.add(vertices, f"macrodetails/proportions/{stem}-{proportion}", amount * e)


def local_pairs(targets: Targets) -> list[tuple[str, str, str]]:
    """Opposite local morphs as (key, negative, positive); left and right share a key so that bodies stay
    symmetric."""
    pairs = []
    for folder in LOCAL_FOLDERS:
        names = {name.removesuffix(".target.gz") for name in os.listdir(targets.root / "targets" / folder)}
        for name in sorted(names):
            for up, down in OPPOSITES:
                opposite = name.removesuffix("-" + up) + "-" + down
                if (
                    name.endswith("-" + up)
                    and opposite in names
                    and not any(word in name for word in EXCLUDED)
                ):
                    key = name[2:] if name[:2] in ("l-", "r-") else name
                    pairs.append((f"{folder}/{key}", f"{folder}/{opposite}", f"{folder}/{name}"))
    return pairs


def sample_macro(rng: np.random.Generator) -> Macro:
    """A person: 8 % are 11 to 20 years old, the others adults up to old age; stature is about normal within a
    sex."""
    gender = rng.beta(1, 8)
    gender = gender if rng.random() < 0.5 else 1 - gender
    child = rng.uniform(0.1, 0.9) if rng.random() < 0.08 else 0.0
    old = 0.0 if child else rng.beta(1, 2.5)
    z = np.clip(rng.normal(), -2.2, 2.2)
    height = 0.53 + (0.038 if z > 0 else 0.065) * z  # the slider is twice as steep above its middle
    races = rng.dirichlet([0.6] * 3)
    return Macro(
        gender, child, old, rng.beta(3, 3.5), rng.beta(1.8, 2.1), height, rng.beta(4, 4), tuple(races)
    )


def sample_person(
    rng: np.random.Generator,
    mesh: BaseMesh,
    targets: Targets,
    pairs: list[tuple[str, str, str]],
    mirror: np.ndarray,
) -> np.ndarray:
    """Vertices (V,3) of a random symmetric person in MakeHuman's rest pose, within HEIGHT_RANGE."""
    while True:
        vertices = mesh.vertices.copy()
        add_macro(vertices, targets, sample_macro(rng))
        amounts: dict[str, float] = {}
        for key, negative, positive in pairs:
            if key not in amounts:
                amounts[key] = rng.normal() * 0.22 if rng.random() < 0.5 else 0.0
            targets.add(vertices, positive if amounts[key] > 0 else negative, abs(amounts[key]))
        vertices = 0.5 * (vertices + vertices[mirror] * [-1, 1, 1])
        height = np.ptp(vertices[mesh.groups["body"], 1])
        if HEIGHT_RANGE[0] <= height <= HEIGHT_RANGE[1]:
            return vertices
