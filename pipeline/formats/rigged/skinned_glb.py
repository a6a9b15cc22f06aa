"""A rigged person as GLB (glTF 2.0): mesh, texture, skeleton, clips, morphs; the same bytes each time.

As in `glb`, files have y up and the person facing +z. A bone is a node of its name, unturned at rest: in this
frame the rotations of SMPL-X's joints are those of the nodes as they are. The mesh's node stands beside the
skeleton, since readers place a skinned mesh by its bones alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.glb import shared_normals, upright
from turnaround.pipeline.formats.rigged.parts import ARRAY, INDEX, Parts
from turnaround.pipeline.formats.rigged.skinned import Clip, Morph, Skeleton, Skinned, check
from turnaround.pipeline.formats.textured_glb import SAMPLER, encode_texture
from turnaround.pipeline.values.rig import SkinWeights

TURN = np.array([1, -1, -1])  # our axes to the file's: half a turn about x, its own inverse
STEPS = 2**16  # of a weight: their sums are exact in float32
STILL = 1e-6  # of a quaternion's or a place's values: less is no movement


def encode(
    person: Skinned,
    clips: Sequence[Clip] = (),
    morphs: Sequence[Morph] = (),
    *,
    picture: bytes | None = None,
    extras: Mapping[str, Any] | None = None,
    extensions: Mapping[str, Any] | None = None,
    of_nodes: Mapping[int, Mapping[str, Any]] | None = None,
) -> bytes:
    """The GLB of a person.

    Args:
        person: checked; FormatError says what is wrong with it.
        clips: one entry of `animations` each; bones that keep still have one key, or none where they rest
            in all of them, and so has the face.
        morphs: one target each, its name in the mesh's `targetNames`.
        picture: the texture as `encode_texture` gives it, where that is at hand.
        extras: where it comes from, kept in `asset.extras`.
        extensions: of the document's root, by name.
        of_nodes: extensions of bones, by index and name.
    """
    check(person, tuple(clips), tuple(morphs))
    parts = Parts()
    bones = len(person.skeleton.names)
    asset: dict[str, Any] = {"generator": "turnaround", "version": "2.0"}
    document: dict[str, Any] = {
        "asset": asset | ({"extras": dict(extras)} if extras else {}),
        "scene": 0,
        "scenes": [{"nodes": [bones, 0]}],
        "nodes": [*_bones(person.skeleton), {"name": "person", "mesh": 0, "skin": 0}],
        "meshes": [_mesh(parts, person, morphs)],
        "skins": [_skin(parts, person.skeleton)],
        **_material(parts, picture or encode_texture(person.mesh)),
    }
    if clips:
        # programs that go from one clip to another leave a bone without a track where it was
        used = np.any([_at_work(_turns(clip)).any(0) for clip in clips], 0)
        moved = len(morphs) if any(clip.shapes is not None and clip.shapes.any() for clip in clips) else 0
        document["animations"] = [_animation(parts, used, clip, moved) for clip in clips]
    for bone, content in (of_nodes or {}).items():
        document["nodes"][bone]["extensions"] = dict(content)
    if extensions:
        document["extensions"] = dict(extensions)
    if used := {*(extensions or ()), *(name for content in (of_nodes or {}).values() for name in content)}:
        document["extensionsUsed"] = sorted(used)
    return parts.to_glb(document)


def _bones(skeleton: Skeleton) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    places = _turned(skeleton.joints).astype(np.float64)
    for bone, (name, parent) in enumerate(zip(skeleton.names, skeleton.parents, strict=True)):
        offset = places[bone] - (places[parent] if parent >= 0 else 0)
        children = [k for k, other in enumerate(skeleton.parents) if other == bone]
        nodes.append({"name": name, "translation": np.float32(offset).tolist()})
        if children:
            nodes[-1]["children"] = children
    return nodes


def _mesh(parts: Parts, person: Skinned, morphs: Sequence[Morph]) -> dict[str, Any]:
    vertices, faces = upright(person.mesh)
    bones, weights = quantised(person.skin)
    attributes = {
        "POSITION": parts.accessor(vertices, ARRAY, bounds=True),
        "NORMAL": parts.accessor(shared_normals(vertices, faces), ARRAY),
        "TEXCOORD_0": parts.accessor(person.mesh.uv.numpy().astype(np.float32), ARRAY),
        "JOINTS_0": parts.accessor(bones, ARRAY),
        "WEIGHTS_0": parts.accessor(weights, ARRAY),
        "_COLOR": parts.accessor(person.mesh.colors.numpy().astype(np.float32), ARRAY),
    }
    indices = parts.accessor(faces.reshape(-1), INDEX)
    primitive: dict[str, Any] = {"attributes": attributes, "indices": indices, "material": 0}
    mesh: dict[str, Any] = {"name": "person", "primitives": [primitive]}
    if morphs:
        primitive["targets"] = [
            {"POSITION": parts.sparse(morph.indices, _turned(morph.deltas), len(vertices))}
            for morph in morphs
        ]
        mesh |= {"weights": [0] * len(morphs), "extras": {"targetNames": [morph.name for morph in morphs]}}
    return mesh


def quantised(skin: SkinWeights) -> tuple[UInt8[np.ndarray, "n 4"], Float32[np.ndarray, "n 4"]]:
    """Bones and weights in steps whose sum is exactly 1, also in float32 and in any order.

    A bone of weight 0 is 0; FormatError where a point names a bone twice, which readers refuse.
    """
    given = skin.weights.double().numpy()
    if skin.bones.numel() and (
        int(skin.bones.max()) > 255 or not np.isfinite(given).all() or (given < 0).any()
    ):
        raise FormatError("weights that are negative or not finite, or more than 256 bones")
    steps = np.rint(given / np.maximum(given.sum(1, keepdims=True), 1e-12) * STEPS).astype(np.int64)
    first = given.argmax(1)
    steps[np.arange(len(steps)), first] += STEPS - steps.sum(1)
    bones = np.where(steps > 0, skin.bones.numpy(), 0)
    used = np.where(steps > 0, bones, -1 - np.arange(bones.shape[1]))
    if (np.diff(np.sort(used, 1), axis=1) == 0).any():
        raise FormatError("a vertex that names one bone twice")
    return bones.astype(np.uint8), (steps / STEPS).astype(np.float32)


def _skin(parts: Parts, skeleton: Skeleton) -> dict[str, Any]:
    matrices = np.tile(np.eye(4, dtype=np.float32), (len(skeleton.names), 1, 1))
    matrices[:, 3, :3] = -_turned(skeleton.joints)  # column-major
    inverse = parts.accessor(matrices.reshape(-1, 16))
    return {"inverseBindMatrices": inverse, "joints": list(range(len(matrices))), "skeleton": 0}


def _material(parts: Parts, picture: bytes) -> dict[str, Any]:
    kind = "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"
    matt = {"baseColorTexture": {"index": 0}, "metallicFactor": 0, "roughnessFactor": 1}
    return {
        "materials": [{"name": "person", "pbrMetallicRoughness": matt}],
        "textures": [{"sampler": 0, "source": 0}],
        "samplers": [SAMPLER],
        "images": [{"bufferView": parts.view(picture), "mimeType": kind}],
    }


def _animation(parts: Parts, used: Bool[np.ndarray, " j"], clip: Clip, morphs: int) -> dict[str, Any]:
    """An animation of the bones in use and, where some clip moves the face, of so many morphs."""
    times = (np.arange(len(clip.root)) / clip.fps).astype(np.float32)
    turns = _turns(clip)
    tracks = [(0, "translation", _turned(clip.root))]
    tracks += [(int(bone), "rotation", _keys(turns[:, bone])) for bone in used.nonzero()[0]]
    if morphs:
        shapes = np.zeros((1, morphs)) if clip.shapes is None else clip.shapes
        tracks += [(len(used), "weights", _keys(shapes.astype(np.float32)))]
    whole, start = parts.accessor(times, bounds=True), None
    if len(times) > 1 and any(len(values) == 1 for _, _, values in tracks):
        start = parts.accessor(times[:1], bounds=True)
    outputs = parts.accessors_of(
        [values.reshape(-1) if path == "weights" else values for _, path, values in tracks]
    )
    samplers = [
        {"input": whole if len(values) == len(times) else start, "output": output, "interpolation": "LINEAR"}
        for (*_, values), output in zip(tracks, outputs, strict=True)
    ]
    channels = [
        {"sampler": k, "target": {"node": node, "path": path}} for k, (node, path, _) in enumerate(tracks)
    ]
    return {"name": clip.name, "samplers": samplers, "channels": channels, "extras": {"fps": float(clip.fps)}}


def _keys(values: Float32[np.ndarray, "f n"]) -> Float32[np.ndarray, "k n"]:
    """The values of all frames, or the first alone where they stay."""
    return values if np.abs(values - values[:1]).max() > STILL else values[:1]


def _turns(clip: Clip) -> Float32[np.ndarray, "f j 4"]:
    """Rotations in the file's frame and order, xyzw."""
    return (smooth_signs(clip.rotations)[..., [1, 2, 3, 0]] * np.array([1, -1, -1, 1])).astype(np.float32)


def _at_work(turns: Float32[np.ndarray, "f j 4"]) -> Bool[np.ndarray, "f j"]:
    return np.abs(np.abs(turns) - [0, 0, 0, 1]).max(-1) > STILL


def smooth_signs(rotations: Float[np.ndarray, "f j 4"]) -> Float[np.ndarray, "f j 4"]:
    """The same rotations, each frame's quaternion on the side of the one before: not all readers look."""
    flips = (rotations[1:] * rotations[:-1]).sum(-1) < 0
    first = rotations[:1, :, :1] < 0
    signs = np.concatenate([first[..., 0], flips]).cumsum(0) % 2
    return rotations * (1 - 2 * signs[..., None])


def _turned(points: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
    # -0 is 0: the same bytes for the same places
    return (points * TURN).astype(np.float32) + np.float32(0)
