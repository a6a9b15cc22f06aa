"""What a skeleton moves, on its way out: skinned GLB, VRM, FBX, USDZ, BVH, and the T pose."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnaround.flows.animation.motions import choose
from turnaround.flows.animation.rigged import RiggedPerson, rigged_person
from turnaround.flows.animation.scene import fitted
from turnaround.flows.exports.stature import stature
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.runs import LinkedRuns

if TYPE_CHECKING:
    from turnaround.models.avatar.avatar import Avatar
    from turnaround.pipeline.values.motion import Motion

log = logging.getLogger(__name__)

FORMATS = ("vrm", "fbx", "usdz", "bvh")
"""Those that there are with a skeleton alone."""
FPS = 30.0  # of clips
ALONE = ("bvh", "usdz")  # hold one clip at most
Write = Callable[[Path], object]


@dataclass(frozen=True)
class Wished:
    """What a rigged file is to hold beside the person."""

    clips: Sequence[str | Path | Motion] = ()
    meta: Mapping[str, str] | None = None  # of VRM
    texture: int | None = None  # texels of a side
    height: float | None = None  # metres of the person upright
    gaussians: int | None = None  # at most so many


def rigged_writer(store: LinkedRuns, subject: str, to: str, wished: Wished) -> Write:
    """What writes the rigged person to a path; CallError says what is missing or does not go together.

    to: glb, vrm, fbx, usdz, bvh, html, or in a T pose obj, ply, splat, spz.
    """
    if to in ALONE and len(wished.clips) > 1:
        raise CallError(
            f"a {to} holds one clip, and --clips names {len(wished.clips)}; export them one by one"
        )
    person = rigged_person(store, subject)
    scale = wished.height / stature(store, subject) if wished.height else 1.0
    if to == "html":
        content = _page(person, wished)
    elif to == "bvh":
        content = _bvh(person, wished)
    elif to in ("ply", "splat", "spz"):
        from turnaround.flows.exports.gaussians import gaussians_bytes

        content = gaussians_bytes(person.avatar.gaussians, to, wished.gaussians, scale)
    else:
        person = replace(person, avatar=_with_texels(person, wished.texture))
        if to == "obj":
            return _obj(person.avatar, scale)
        content = _mesh(person, to, wished, scale)
    return lambda target: target.write_bytes(content)


def _mesh(person: RiggedPerson, to: str, wished: Wished, scale: float) -> bytes:
    """The bytes of glb, vrm, fbx or usdz."""
    from turnaround.models.avatar.face.finer import with_fine_face
    from turnaround.models.avatar.interchange import skinned
    from turnaround.models.avatar.interchange.expression import presets_of
    from turnaround.pipeline.formats.rigged import vrm

    avatar = person.avatar
    chosen = motions(avatar, wished.clips)
    about = provenance(person, chosen)
    if to == "vrm":
        meta = vrm.meta_of(person.name, wished.meta or {})
        avatar = with_fine_face(avatar)
        shapes = skinned.morphs(avatar, scale=scale, presets=True)
        faces = presets_of(shapes)
        return vrm.encode(skinned.skinned(avatar, scale=scale), shapes, meta, presets=faces, extras=about)
    content = skinned.glb_of(avatar, [each[:2] for each in chosen], scale=scale, extras=about)
    if to != "glb":
        from turnaround.flows.exports.blender import by_blender

        return by_blender(content, to, FPS)
    return content


def motions(avatar: Avatar, clips: Sequence[str | Path | Motion]) -> list[tuple[str, Motion, Any]]:
    """Title, motion in the person's proportions, and source of each clip; CallError for two of one title."""
    found: list[tuple[str, Motion, Any]] = []
    for wanted in clips:
        chosen = choose(wanted, FPS, None)
        if chosen.title in [title for title, *_ in found]:
            raise CallError(f"two clips are called {chosen.title!r}; give one of them another file name")
        for note in chosen.notes:
            log.warning("%s: %s", chosen.title, note)
        found.append((chosen.title, fitted(chosen, avatar), chosen.source))
    return found


def provenance(person: RiggedPerson, chosen: Sequence[tuple[str, Motion, Any]]) -> dict[str, Any]:
    """What a file says of itself: the program, the run that it shows, where its clips are from."""
    from importlib.metadata import version

    said: dict[str, Any] = {
        "program": f"turnaround {version('turnaround')}",
        "rigs": {person.name: person.key},
    }
    return said | ({"clips": {title: source for title, _, source in chosen}} if chosen else {})


def _bvh(person: RiggedPerson, wished: Wished) -> bytes:
    from turnaround.models.motion.to_bvh import motion_to_bvh

    ((_, motion, _),) = motions(person.avatar, wished.clips or ("t_pose",))
    return motion_to_bvh(motion, person.avatar.model)


def _page(person: RiggedPerson, wished: Wished) -> bytes:
    from turnaround.flows.viewer.animated_page import GAUSSIANS, animated_page

    chosen = [each[:2] for each in motions(person.avatar, wished.clips)]
    return animated_page(person.avatar, chosen, name=person.name, gaussians=wished.gaussians or GAUSSIANS)


def _obj(avatar: Avatar, scale: float) -> Write:
    from turnaround.pipeline.formats import textured_glb
    from turnaround.pipeline.formats.textured_obj import save_beside

    picture = textured_glb.encode_texture(avatar.mesh)
    return lambda target: save_beside(avatar.mesh, target, picture, scale=scale)


def _with_texels(person: RiggedPerson, size: int | None) -> Avatar:
    from turnaround.flows.exports.mesh import fewer_texels

    avatar = person.avatar
    if size is None or size == avatar.mesh.texture.shape[0]:
        return avatar
    mesh = fewer_texels(avatar.mesh, size)
    if mesh is None:
        raise CallError(
            f"--texture {size}: the rig has {avatar.mesh.texture.shape[0]} texels, of which a half, "
            f"a quarter and so on can be made; `turnaround rerun texture -s {person.name} --set "
            f"stages.texture.size={size}` bakes another"
        )
    return replace(avatar, mesh=mesh)
