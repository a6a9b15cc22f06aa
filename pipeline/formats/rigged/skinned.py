"""What files of a rigged person hold: a mesh bound to bones, clips that turn them, and shapes of the face."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.types import TexturedMesh


class Skeleton(NamedTuple):
    """Bones at rest, parents before children; the first is the root."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root
    joints: Float[np.ndarray, "j 3"]  # metres, in the frame of the mesh


class Skinned(NamedTuple):
    """A mesh at rest and the bones that move it, world frame (y down), on the ground y = 0."""

    mesh: TexturedMesh
    skin: SkinWeights
    skeleton: Skeleton


class Clip(NamedTuple):
    """A movement: frame k shows the time k / fps."""

    name: str
    fps: float
    rotations: Float[np.ndarray, "f j 4"]  # of bones against their parents, from rest: unit quaternions wxyz
    root: Float[np.ndarray, "f 3"]  # where the root's joint lies, metres
    shapes: Float[np.ndarray, "f m"] | None = None  # how much of each morph; None: none of any


class Morph(NamedTuple):
    """A shape that is added with a weight of 0 to 1 before the bones move it."""

    name: str
    indices: Int[np.ndarray, " k"]  # of the vertices that move, rising
    deltas: Float[np.ndarray, "k 3"]  # metres


def check(person: Skinned, clips: tuple[Clip, ...], morphs: tuple[Morph, ...]) -> None:
    """FormatError where parts do not fit each other or hold what is not finite."""
    names, parents, joints = person.skeleton
    count, vertices = len(names), len(person.mesh.vertices)
    if len(set(names)) != count or len(parents) != count or joints.shape != (count, 3):
        raise FormatError(f"a skeleton of {count} names, {len(parents)} parents, {len(joints)} joints")
    if parents[0] != -1 or not all(0 <= parent < k for k, parent in enumerate(parents[1:], 1)):
        raise FormatError("a skeleton whose bones do not follow their parents, or with two roots")
    if (
        len(person.skin) != vertices
        or not 0 <= int(person.skin.bones.min()) <= int(person.skin.bones.max()) < count
    ):
        raise FormatError(
            f"weights of {len(person.skin)} points do not fit {vertices} vertices or {count} bones"
        )
    for clip in clips:
        frames = len(clip.root)
        if clip.rotations.shape != (frames, count, 4) or not frames or not clip.fps > 0:
            raise FormatError(
                f"clip {clip.name!r}: rotations {clip.rotations.shape} for {frames} frames of {count}"
            )
        if not (np.isfinite(clip.rotations).all() and np.isfinite(clip.root).all()):
            raise FormatError(f"clip {clip.name!r} has values that are not finite")
        if clip.shapes is not None and (
            clip.shapes.shape != (frames, len(morphs)) or not np.isfinite(clip.shapes).all()
        ):
            raise FormatError(
                f"clip {clip.name!r}: {clip.shapes.shape} of morphs for {frames} frames of {len(morphs)}, "
                "or not finite"
            )
    for morph in morphs:
        low, high = (morph.indices.min(initial=0), morph.indices.max(initial=0))
        if low < 0 or high >= vertices or (np.diff(morph.indices) <= 0).any():
            raise FormatError(f"morph {morph.name!r} names vertices out of order or beyond {vertices}")
        if morph.deltas.shape != (len(morph.indices), 3) or not np.isfinite(morph.deltas).all():
            raise FormatError(f"morph {morph.name!r} has deltas that do not fit or are not finite")
