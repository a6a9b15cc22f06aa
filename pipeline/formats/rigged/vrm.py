"""VRM 1.0: a skinned GLB that says which bones are a human's, who may use it, and how its mouth opens.

VSeeFace, Warudo, three-vrm and others read it. It holds no clips: programs bring the motion. The twist bones
of the forearms follow the hands by VRMC_node_constraint. https://github.com/vrm-c/vrm-specification
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from turnaround.pipeline.errors import CallError, FormatError
from turnaround.pipeline.formats.rigged import skinned_glb
from turnaround.pipeline.formats.rigged.skinned import Morph, Skinned

_SIDE = (
    {
        "Shoulder": "collar",
        "UpperArm": "shoulder",
        "LowerArm": "elbow",
        "Hand": "wrist",
        "UpperLeg": "hip",
        "LowerLeg": "knee",
        "Foot": "ankle",
        "Toes": "foot",
        "Eye": "eye",
    }
    | {
        f"{finger}{part}": f"{name}{k}"
        for finger, name in (("Index", "index"), ("Middle", "middle"), ("Ring", "ring"), ("Little", "pinky"))
        for k, part in enumerate(("Proximal", "Intermediate", "Distal"), 1)
    }
    | {f"Thumb{part}": f"thumb{k}" for k, part in enumerate(("Metacarpal", "Proximal", "Distal"), 1)}
)

HUMAN_BONES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hips": "pelvis",
        "spine": "spine1",
        "chest": "spine2",
        "upperChest": "spine3",
        "neck": "neck",
        "head": "head",
        "jaw": "jaw",
    }
    | {f"{side}{bone}": f"{side}_{name}" for side in ("left", "right") for bone, name in _SIDE.items()}
)
"""VRM's bones -> SMPL-X's."""

REQUIRED: Final = (
    "hips",
    "spine",
    "head",
    *(
        f"{side}{bone}"
        for side in ("left", "right")
        for bone in ("UpperLeg", "LowerLeg", "Foot", "UpperArm", "LowerArm", "Hand")
    ),
)
"""The fifteen bones that VRM asks for."""

_BOTH = {"overrideBlink": "blend", "overrideMouth": "blend"}
OVERRIDES: Final = MappingProxyType({name: _BOTH for name in ("happy", "sad", "relaxed", "surprised")})
"""What faces do to blinking and speech that come on top: less of them, since they move lids and lips too."""

_YES_NO = ("true", "false")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "avatarPermission": ("onlyAuthor", "onlySeparatelyLicensedPerson", "everyone"),
        "commercialUsage": ("personalNonProfit", "personalProfit", "corporation"),
        "creditNotation": ("required", "unnecessary"),
        "modification": ("prohibited", "allowModification", "allowModificationRedistribution"),
        "allowExcessivelyViolentUsage": _YES_NO,
        "allowExcessivelySexualUsage": _YES_NO,
        "allowPoliticalOrReligiousUsage": _YES_NO,
        "allowAntisocialOrHateUsage": _YES_NO,
        "allowRedistribution": _YES_NO,
    }
)
"""Fields of the licence and what each may be; the first is not the default."""
LISTS: Final = ("authors", "references")  # several values with semicolons between
TEXTS: Final = (
    "name",
    "version",
    "copyrightInformation",
    "contactInformation",
    "thirdPartyLicenses",
    "otherLicenseUrl",
)
LICENCE = "https://vrm.dev/licenses/1.0/"
UNSTATED = "not stated"
_RIGHTS = "made from a photo by turnaround; the rights of the photo and of the person in it apply"
_STRICTEST = {
    "avatarPermission": "onlyAuthor",
    "commercialUsage": "personalNonProfit",
    "creditNotation": "required",
    "modification": "prohibited",
    **{name: False for name, values in CHOICES.items() if values is _YES_NO},
}


def encode(
    person: Skinned,
    morphs: Sequence[Morph],
    meta: Mapping[str, Any],
    *,
    presets: Mapping[str, str] | None = None,
    picture: bytes | None = None,
    extras: Mapping[str, Any] | None = None,
) -> bytes:
    """The VRM of a person in a T pose.

    Args:
        morphs: each becomes an expression of its name, but for those of `presets`.
        meta: see `meta_of`.
        presets: VRM's name of a face -> the morph that makes it, and that has no other name then.
        picture, extras: as of `skinned_glb.encode`.
    """
    node = len(person.skeleton.names)
    binds = {
        morph.name: {"morphTargetBinds": [{"index": k, "node": node, "weight": 1}]}
        for k, morph in enumerate(morphs)
    }
    preset = {name: binds.pop(morph) | OVERRIDES.get(name, {}) for name, morph in (presets or {}).items()}
    vrm = {
        "specVersion": "1.0",
        "meta": dict(meta),
        "humanoid": {"humanBones": human_bones(person.skeleton.names)},
        "expressions": {"preset": preset, "custom": binds},
    }
    extensions, rolls = {"VRMC_vrm": vrm}, _rolls(person.skeleton.names)
    return skinned_glb.encode(
        person, (), morphs, picture=picture, extras=extras, extensions=extensions, of_nodes=rolls
    )


def human_bones(names: Sequence[str]) -> dict[str, dict[str, int]]:
    """The humanoid map of bones of these names; FormatError where a required one is missing."""
    index = {name: k for k, name in enumerate(names)}
    missing = [HUMAN_BONES[bone] for bone in REQUIRED if HUMAN_BONES[bone] not in index]
    if missing:
        raise FormatError(f"VRM asks for bones that the skeleton lacks: {', '.join(missing)}")
    return {bone: {"node": index[name]} for bone, name in HUMAN_BONES.items() if name in index}


def _rolls(names: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Node -> its constraint: forearms turn about themselves, along x in a T pose, as far as their hands."""
    index = {name: k for k, name in enumerate(names)}
    return {
        index[bone]: {
            "VRMC_node_constraint": {
                "specVersion": "1.0",
                "constraint": {"roll": {"source": index[f"{side}_wrist"], "rollAxis": "X", "weight": weight}},
            }
        }
        for side in ("left", "right")
        for bone, weight in ((f"{side}_forearm_twist1", 0.5), (f"{side}_forearm_twist2", 1.0))
        if bone in index
    }


def meta_of(subject: str, given: Mapping[str, str]) -> dict[str, Any]:
    """VRM's `meta`: what was given, and where nothing was, the strictest that the licence knows.

    Args:
        subject: the name, where none is given.
        given: field -> text, as `--meta` takes it; `authors` and `references` with semicolons between.

    Raises:
        CallError: a field that VRM does not know, or a value that it cannot have.
    """
    meta: dict[str, Any] = {
        "name": subject,
        "authors": [UNSTATED],
        "licenseUrl": LICENCE,
        "copyrightInformation": _RIGHTS,
        **_STRICTEST,
    }
    for field, value in given.items():
        if field in CHOICES:
            if value not in CHOICES[field]:
                raise CallError(f"--meta {field}={value}: expected one of {', '.join(CHOICES[field])}")
            meta[field] = value == "true" if CHOICES[field] is _YES_NO else value
        elif field in LISTS:
            meta[field] = [part.strip() for part in value.split(";") if part.strip()] or [UNSTATED]
        elif field in TEXTS and value.strip():
            meta[field] = value.strip()
        else:
            known = ", ".join((*TEXTS, *LISTS, *CHOICES))
            raise CallError(f"--meta {field}={value}: expected FIELD=VALUE with one of {known}")
    return meta
