"""Another colour for what a part of the body wears: folds and prints stay, the colour changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.displacement import carried_values
from turnaround.models.avatar.editing.oklab import from_oklab, to_oklab
from turnaround.models.exemplar.parts import CRANIUM, FACE, NECK, PARTS, SIDED, TORSO, vertex_labels
from turnaround.models.texture.gutter import fill_gutters
from turnaround.models.texture.texels import surface_texels
from turnaround.pipeline.values.types import Gaussians, TexturedMesh

Color = tuple[float, float, float]  # sRGB in [0, 1]

_BOTH: Final = {name: (f"left_{name}", f"right_{name}") for name in SIDED}
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: (name,) for name in PARTS},
    **_BOTH,
    "hair": (PARTS[CRANIUM],),
    "arms": (*_BOTH["upper_arm"], *_BOTH["forearm"]),
    "top": (PARTS[TORSO], *_BOTH["upper_arm"], *_BOTH["forearm"]),
    "legs": (*_BOTH["thigh"], *_BOTH["shin"]),
    "shoes": _BOTH["foot"],
}
"""Words for parts of the body -> names of `PARTS`."""

_BARE: Final = {PARTS[FACE], PARTS[CRANIUM], PARTS[NECK], *_BOTH["hand"]}  # where skin may be meant
_CONTRAST = (0.3, 1.0)  # of folds by what it was: less on darker cloth, never more on lighter
_CHROMA = (0.35, 1.4)  # of the new colour, where it is darker and lighter
_LIGHTNESS = 0.4  # how much a difference in lightness counts beside one in colour
_LIKE_SKIN = 0.08  # distance in OKLab of cloth that cannot be told from skin
_SKIN, _CLOTH = (
    0.4,
    0.6,
)  # of the distances to skin and cloth: below the one it is skin, above the other cloth


class _Tint(NamedTuple):
    """A colour for a part that has one."""

    target: Float[np.ndarray, "3"]  # OKLab
    own: Float[np.ndarray, "3"]  # of the part now: medians in OKLab
    skin: Float[np.ndarray, "3"] | None  # of the face; None where it is painted as the rest is


def recolored(avatar: Avatar, colors: Mapping[str, Color]) -> Avatar:
    """The person with parts in other colours.

    A place becomes the new colour, as much lighter or darker than it as the place is than the part's median
    (less on darker cloth, whose folds show less), and as far from its hue. On parts that clothes cover, what
    looks like the person's face stays.

    Args:
        avatar: the person.
        colors: word of GROUPS -> colour; later ones go over earlier ones.
    """
    rest, mesh, gaussians = avatar.rig.rest, avatar.mesh, avatar.gaussians
    labels = torch.from_numpy(vertex_labels(avatar.model)).long()
    one_hot = torch.nn.functional.one_hot(labels, len(PARTS)).float()
    of_mesh, of_gaussians = (
        carried_values(avatar.model, rest, points, one_hot).numpy()
        for points in (mesh.vertices, gaussians.means)
    )
    for word, color in colors.items():
        names = GROUPS[word]
        parts = [PARTS.index(name) for name in names]
        shares = of_mesh[:, parts].sum(1), of_gaussians[:, parts].sum(1)
        tint = _tint(gaussians, shares[1], of_gaussians[:, FACE], color, bare=not _BARE.isdisjoint(names))
        if tint is not None:
            mesh, gaussians = _painted(mesh, shares[0], tint), _tinted(gaussians, shares[1], tint)
    return replace(avatar, mesh=mesh, gaussians=gaussians)


def _tint(
    gaussians: Gaussians,
    share: Float[np.ndarray, " n"],
    of_face: Float[np.ndarray, " n"],
    color: Color,
    *,
    bare: bool,
) -> _Tint | None:
    """What makes the part of `share` that colour; None where the person has nothing there."""
    colors = gaussians.colors.double().numpy()
    if not (share > 0.5).any():
        return None
    own = np.median(to_oklab(colors[share > 0.5]), 0)
    face = colors[of_face > 0.5]
    skin = None if bare or not len(face) else np.median(to_oklab(face), 0)
    if skin is not None and _apart(own, skin) < _LIKE_SKIN:
        skin = None
    return _Tint(to_oklab(np.array(color, np.float64)), own, skin)


def _painted(mesh: TexturedMesh, share: Float[np.ndarray, " v"], tint: _Tint) -> TexturedMesh:
    """The mesh with its texture and its vertices in the colour, by each vertex's share."""
    size = mesh.texture.shape[0]
    shares = torch.from_numpy(share.astype(np.float32))[:, None].expand(-1, 3).contiguous()
    texels = surface_texels(replace(mesh, colors=shares), size)
    place, part = texels.place, texels.colors[:, 0]
    some = part > 0
    texture = mesh.texture.numpy().copy()
    flat = texture.reshape(-1, 3)
    flat[place[some]] = _changed(flat[place[some]], part[some], tint)
    fill_gutters(texture, place)
    colors = _changed(mesh.colors.numpy(), share, tint)
    return replace(mesh, texture=torch.from_numpy(texture), colors=torch.from_numpy(colors))


def _tinted(gaussians: Gaussians, share: Float[np.ndarray, " n"], tint: _Tint) -> Gaussians:
    colors = _changed(gaussians.colors.numpy(), share, tint)
    return replace(gaussians, colors=torch.from_numpy(colors))


def _changed(
    colors: Float[np.ndarray, "n 3"], share: Float[np.ndarray, " n"], tint: _Tint
) -> Float[np.ndarray, "n 3"]:
    """Colours moved to the tint by their shares in [0, 1]."""
    before = to_oklab(colors.astype(np.float64))
    target, own = tint.target, tint.own
    contrast = np.clip(target[0] / max(own[0], 0.05), *_CONTRAST)
    lightness = (target[0] + (before[:, :1] - own[0]) * contrast).clip(0, 1)
    light = np.clip(lightness / max(target[0], 0.05), *_CHROMA)
    hue = target[1:] * light + before[:, 1:] - own[1:] * light
    after = np.concatenate([lightness, hue], 1)
    share = share.clip(0, 1)
    if tint.skin is not None:
        skin, cloth = _apart(before, tint.skin), _apart(before, tint.own)
        share = share * ((skin / (skin + cloth + 1e-9) - _SKIN) / (_CLOTH - _SKIN)).clip(0, 1)
    mixed = from_oklab(before + share[:, None] * (after - before))
    return np.where(share[:, None] > 0, mixed, colors).astype(np.float32)


def _apart(lab: Float[np.ndarray, "*b 3"], other: Float[np.ndarray, "3"]) -> Float[np.ndarray, "*b"]:
    return np.asarray(np.linalg.norm((lab - other) * [_LIGHTNESS, 1, 1], axis=-1))
