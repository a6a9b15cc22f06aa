"""Which joint of SMPL-X a joint of somebody's skeleton is, by its name.

Names are a side and a word: `mixamorig:LeftUpLeg`, `L_Hip`, `Bip01 L Thigh`, `thigh_l`, `lThighBend`,
`J_Bip_L_UpperLeg`. What a word means depends on the family: Mixamo's LeftShoulder is SMPL's left collar, and
SMPL's left_shoulder Mixamo's LeftArm. So each joint has a list of words, and the first that occurs is it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from turnaround.models.body.skeleton import FINGERS

_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NOISE = {
    "mixamorig",
    "bip",
    "bip01",
    "bip001",
    "bone",
    "jnt",
    "joint",
    "avg",
    "f",
    "m",
    "j",
    "def",
    "c",
    "b",
}
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}

_SIDED: dict[str, tuple[str, ...]] = {  # joint -> words, the surest first
    "hip": ("upleg", "thigh", "upperleg", "thighbend", "femur", "hip"),
    "knee": ("knee", "lowerleg", "shin", "calf", "leg", "lowleg", "tibia"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toes", "ball", "foot"),
    "collar": ("collar", "clavicle", "shoulder"),
    "shoulder": ("arm", "upperarm", "uparm", "shldr", "shldrbend", "humerus", "shoulder"),
    "elbow": ("elbow", "forearm", "lowerarm", "lowarm", "forearmbend", "radius"),
    "wrist": ("wrist", "hand"),
    "eye": ("eye",),
}
_ALONE: dict[str, tuple[str, ...]] = {
    "pelvis": ("pelvis", "hips", "hip", "root"),
    "neck": ("neck", "necklower", "neck1"),
    "head": ("head",),
    "jaw": ("jaw",),
}
NEEDED = ("pelvis", *(f"{s}_{n}" for s in ("left", "right") for n in ("hip", "knee", "shoulder", "elbow")))
"""Joints without which no motion can be taken over."""


_LIMB = "|".join(
    [*(w for words in _SIDED.values() for w in words), r"(?:index|mid|middle|pinky|ring|thumb)\d"]
)


def _tokens(name: str) -> list[str]:
    return [token.lower() for token in _TOKEN.findall(name.rsplit(":", 1)[-1])]


def _common(names: Sequence[str]) -> int:
    """How many tokens all names begin with: `CC_Base_`, `Character1_`, `Bip01 `."""
    first, *others = [_tokens(name) for name in names]
    count = 0
    while (
        others
        and count < len(first)
        and all(o[count : count + 1] == first[count : count + 1] for o in others)
    ):
        count += 1
    return count


def side_and_word(name: str, skip: int = 0) -> tuple[str, str]:
    """A name's side ("left", "right" or "") and the rest of it, lower case without separators and noise.

    Args:
        skip: tokens at its start that mean nothing.
    """
    tokens = _tokens(name)[skip:]
    side = ""
    rest: list[str] = []
    for token in tokens:
        if not side and token in _SIDES:
            side = _SIDES[token]
        elif token not in _NOISE:
            rest.append(token.lstrip("0") if token.isdigit() else token)
    word = "".join(rest)
    if not side:  # leftupleg
        for start in ("left", "right"):
            if word.startswith(start):
                return start, word.removeprefix(start)
        if word[:1] in _SIDES and re.fullmatch(_LIMB, word[1:]):  # rshldr, lthumb1
            return _SIDES[word[0]], word[1:]
    return side, word


def joint_map(names: Sequence[str], parents: Sequence[int]) -> dict[str, int]:
    """SMPL-X joint -> index of the joint of a skeleton; joints that it lacks are left out.

    The joints of the spine are not told by name but by their order between pelvis and neck.
    """
    skip = _common(names)
    words = [side_and_word(name, skip) for name in names]
    taken: set[int] = set()
    found: dict[str, int] = {}

    def take(joint: str, side: str, choices: Sequence[str]) -> None:
        for word in choices:
            index = next((k for k, w in enumerate(words) if w == (side, word) and k not in taken), None)
            if index is not None:
                found[joint] = index
                taken.add(index)
                return

    for side in ("left", "right"):
        for name, choices in _SIDED.items():
            # what another joint of the same family claims by a surer word is not for this one
            take(f"{side}_{name}", side, _of_family(name, choices, {w for s, w in words if s == side}))
        for finger in FINGERS:
            _take_finger(found, words, side, finger)
    for name, choices in _ALONE.items():
        take(name, "", choices)
    found |= _spine(found, parents)
    return found


def _of_family(name: str, choices: tuple[str, ...], present: set[str]) -> tuple[str, ...]:
    """The words that mean this joint where these words occur."""
    if name == "ankle" and "ankle" not in present:
        return ("foot",)
    if name == "foot" and "ankle" not in present:
        return tuple(word for word in choices if word != "foot")
    arms = set(_SIDED["shoulder"]) - {"shoulder"}
    if name == "collar" and not present & arms:
        return tuple(word for word in choices if word != "shoulder")
    if name == "collar" and present & arms and "collar" not in present and "clavicle" not in present:
        return ("shoulder",)
    return choices


def _take_finger(found: dict[str, int], words: list[tuple[str, str]], side: str, finger: str) -> None:
    """The three knuckles of a finger: `LeftHandIndex1`, `index_01_l`, `L_Index1`."""
    aliases = (finger, *{"pinky": ("little",), "middle": ("mid",)}.get(finger, ()))
    for k, (s, word) in enumerate(words):
        match = re.fullmatch(rf"(?:hand|finger)?(?:{'|'.join(aliases)})(?:finger)?([123])", word)
        if s == side and match:
            found.setdefault(f"{side}_{finger}{match[1]}", k)


def _spine(found: dict[str, int], parents: Sequence[int]) -> dict[str, int]:
    """The joints between pelvis and neck (or head, or collars) as spine1..3, the last one always spine3."""
    top = next(
        (found[name] for name in ("neck", "head", "left_collar", "left_shoulder") if name in found), None
    )
    if top is None or "pelvis" not in found:
        return {}
    chain: list[int] = []
    joint = parents[top]
    while joint >= 0 and joint != found["pelvis"]:
        chain.insert(0, joint)
        joint = parents[joint]
    if joint < 0 or not chain:
        return {}
    if len(chain) == 1:
        return {"spine3": chain[0]}
    if len(chain) == 2:
        return {"spine1": chain[0], "spine3": chain[1]}
    return {"spine1": chain[0], "spine2": chain[len(chain) // 2], "spine3": chain[-1]}
