"""One HTML file in which a person moves: clips played on their Gaussians and on their textured mesh, without
a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.flows.viewer.changing.faces import choices, moving, pack_faces
from turnaround.flows.viewer.changing.fades import pack_fades
from turnaround.flows.viewer.changing.rows import rows_of
from turnaround.flows.viewer.html_page import SCRIPTS, document, frames_of
from turnaround.flows.viewer.packing import pack_mesh, pack_skinned
from turnaround.flows.viewer.tracks import Track, pack_skin, pack_tracks, track
from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.bones import BONE_PARENTS
from turnaround.models.avatar.face.finer import with_fine_face
from turnaround.models.avatar.skinning import skin_points
from turnaround.models.splat.pruning import most_shown
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.close_orbit import close_orbit
from turnaround.pipeline.values.motion import Motion

DISTANCE = 3.0  # metres from the camera to the person: farther than the photo's, for arms reach out
GAUSSIANS = 150_000  # by default, so that the page stays under 12 MB
_MOVING = ("face.js", "fading.js", "ground.js", "motion.js", "player.js")
_POSES = 12  # of a clip, that must be in sight
_POINTS = 3_000  # of the mesh that are looked at


def animated_page(
    avatar: Avatar,
    clips: Sequence[tuple[str, Motion]],
    *,
    name: str = "person",
    gaussians: int = GAUSSIANS,
) -> bytes:
    """The page (UTF-8 HTML) of a rigged person; the same person and clips give the same bytes.

    What was added to the person fades in as in films; the mesh is finer where the face is, which takes
    expressions.

    Args:
        avatar: the person.
        clips: titles, each of its own, and motions of the rig's shape (`models.motion.retarget`), of which
            the first is played first.
        name: the person's, as the page says it.
        gaussians: at most so many; those that show most stay.

    Raises:
        CallError: no clips, two of one title, too many frames, or another person's.
        RegistryError: a package cannot be had; the message says what to do.
    """
    titles = [title for title, _ in clips]
    if not titles or len(set(titles)) < len(titles):
        raise CallError(f"a page that moves needs clips, each with a title of its own; got {titles}")
    avatar = with_fine_face(avatar)
    tracks = [track(avatar, title, motion) for title, motion in clips]
    points = [_seen(avatar, motion, each) for (_, motion), each in zip(clips, tracks, strict=True)]
    facts, parts = _parts(avatar, tracks, torch.cat(points), gaussians)
    return document(name, {"name": name, **facts}, parts, (*SCRIPTS, *_MOVING)).encode()


def _seen(avatar: Avatar, motion: Motion, track: Track) -> Float[Tensor, "n 3"]:
    """Points of the person in some poses of a clip, with the way that is gone taken out."""
    step = -(-len(avatar.mesh.vertices) // _POINTS)
    rest, skin = avatar.mesh.vertices[::step], avatar.rig.mesh[::step]
    shown: list[Tensor] = []
    for share in torch.linspace(0, 1, _POSES):
        pose = avatar.bones(motion.to("cpu").body[int(share * (len(motion) - 1))])
        x, z = track.path[int(share * (len(track.path) - 1))].tolist()
        shown.append(skin_points(rest, skin, pose) - torch.tensor([x, 0.0, z]))
    return torch.cat(shown)


def _parts(
    avatar: Avatar, tracks: Sequence[Track], points: Float[Tensor, "n 3"], count: int
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the viewer must know, and the bytes of each kind of thing."""
    middle, tall, wide = frames_of(points, DISTANCE)
    rig = avatar.rig
    people, moves = _people(avatar, count)
    list_of_clips, turns = pack_tracks(tracks)
    facts = {
        "distance": DISTANCE,
        "middle": middle,
        "tangent": tall,
        "wide": wide,
        "floor": float(points[:, 1].max()),
        "facts": f"{people['splats']['count']:,} Gaussians, {len(avatar.mesh.faces):,} triangles, "
        f"{len(tracks)} clips",
        "rig": {"parents": list(BONE_PARENTS), "rest": [round(v, 6) for v in rig.joints.flatten().tolist()]},
        "clips": {"list": list_of_clips},
    }
    return {**facts, **people}, {**moves, "clips": turns}


def _people(avatar: Avatar, count: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Gaussians and mesh, and what moves and changes each."""
    kept = most_shown(avatar.gaussians, count, close_orbit(avatar.mesh.vertices, range(0, 360, 30), 384))
    gaussians = avatar.gaussians[kept]
    first = len(avatar.gaussians) - len(avatar.rig.about)  # of those that were added, which are the last
    of_mesh, of_gaussians = moving(avatar, avatar.mesh.vertices), moving(avatar, gaussians.means)
    rows = rows_of(gaussians, kept >= first, of_gaussians.among(len(kept)))
    kept = kept[rows.order]
    splats, splatskin = pack_skinned(avatar.gaussians[kept], avatar.rig.gaussians[kept])
    about_mesh, mesh = pack_mesh(avatar.mesh)
    facts: dict[str, Any] = {
        "splats": {"count": len(kept)},
        "splatskin": {},
        "mesh": about_mesh,
        "meshskin": {},
    }
    parts = {"splats": splats, "splatskin": splatskin, "mesh": mesh, "meshskin": pack_skin(avatar.rig.mesh)}
    facts["fades"], parts["fades"] = pack_fades(avatar, avatar.rig.about[kept[: rows.fading] - first])
    start, end = rows.face
    moves = of_gaussians.of(rows.order[start:end])
    steps, parts["face"] = pack_faces(of_mesh, moves)
    facts["face"] = {
        "start": start,
        "count": len(moves),
        "vertices": len(of_mesh.points),
        "steps": steps,
        "choices": choices(avatar.model),
    }
    return facts, parts
