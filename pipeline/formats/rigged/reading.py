"""Rigged persons read back from files that were written here."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.glb import ANOTHER_SHAPE, from_chunks
from turnaround.pipeline.formats.rigged.skinned import Clip, Morph, Skeleton, Skinned, check
from turnaround.pipeline.formats.rigged.skinned_glb import TURN
from turnaround.pipeline.formats.textured_glb import read_texture
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.types import TexturedMesh

_COMPONENT = {5121: np.dtype("<u1"), 5125: np.dtype("<u4"), 5126: np.dtype("<f4")}
_WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Decoded(NamedTuple):
    """What a file holds."""

    person: Skinned
    clips: tuple[Clip, ...]
    morphs: tuple[Morph, ...]


def load(path: Path) -> Decoded:
    """Read a GLB; FormatError names the file."""
    try:
        return decode(path.read_bytes())
    except ANOTHER_SHAPE as error:
        raise FormatError(f"{path}: {error}") from error


def decode(data: bytes) -> Decoded:
    """The person, clips and morphs of a GLB that `skinned_glb.encode` wrote, or a VRM of `vrm.encode`.

    Bones that a clip does not turn are at rest. ValueError, LookupError or TypeError on any other file.
    """
    file = _File(*from_chunks(data))
    skeleton = _skeleton(file)
    found = Decoded(
        _person(file, skeleton),
        tuple(_clip(file, entry, skeleton) for entry in file.document.get("animations", [])),
        tuple(_morphs(file)),
    )
    check(*found)
    return found


class _File(NamedTuple):
    document: dict[str, Any]
    binary: bytes

    def view(self, index: int) -> bytes:
        """The bytes of a view; FormatError where it is not in the file."""
        entry = self.document["bufferViews"][index]
        start, length = entry["byteOffset"], entry["byteLength"]
        if not 0 <= start <= start + length <= len(self.binary):
            raise FormatError(f"view {index} is not in the file")
        return self.binary[start : start + length]

    def array(self, index: int) -> np.ndarray:
        """(n, width) of an accessor."""
        entry = self.document["accessors"][index]
        width = _WIDTH[entry["type"]]
        content = self.view(entry["bufferView"])[entry["byteOffset"] :]
        dtype = _COMPONENT[entry["componentType"]]
        values = np.frombuffer(content, dtype, entry["count"] * width)
        return values.reshape(entry["count"], width)

    @property
    def primitive(self) -> dict[str, Any]:
        """The one primitive of the one mesh."""
        return self.document["meshes"][0]["primitives"][0]


def _skeleton(file: _File) -> Skeleton:
    bones = file.document["skins"][0]["joints"]
    if bones != list(range(len(bones))) or not bones:
        raise FormatError("a GLB whose bones are not its first nodes")
    nodes = file.document["nodes"][: len(bones)]
    parents = [-1] * len(bones)
    for bone, node in enumerate(nodes):
        for child in node.get("children", []):
            parents[child] = bone
    inverse = file.array(file.document["skins"][0]["inverseBindMatrices"]).reshape(-1, 4, 4)
    joints = -inverse[:, 3, :3].astype(np.float64) * TURN
    return Skeleton(tuple(str(node["name"]) for node in nodes), tuple(parents), joints)


def _person(file: _File, skeleton: Skeleton) -> Skinned:
    arrays = {name: file.array(k) for name, k in file.primitive["attributes"].items()}
    vertices = arrays["POSITION"] * TURN.astype(np.float32)
    faces = file.array(file.primitive["indices"]).reshape(-1, 3).astype(np.int64)
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1 or faces.max(initial=0) >= len(vertices):
        raise FormatError(f"a GLB whose arrays do not fit: {sizes}, faces up to {faces.max(initial=0)}")
    texture = read_texture(io.BytesIO(file.view(file.document["images"][0]["bufferView"])))
    parts = (vertices, faces, arrays["_COLOR"], arrays["TEXCOORD_0"], texture)
    mesh = TexturedMesh(*(torch.from_numpy(part.copy()) for part in parts))
    bones, weights = arrays["JOINTS_0"].astype(np.int64), arrays["WEIGHTS_0"].copy()
    if not all(np.isfinite(part).all() for part in (*parts, weights)):
        raise FormatError("a GLB with values that are not finite")
    return Skinned(mesh, SkinWeights(torch.from_numpy(bones), torch.from_numpy(weights)), skeleton)


def _clip(file: _File, entry: dict[str, Any], skeleton: Skeleton) -> Clip:
    samplers, bones = entry["samplers"], len(skeleton.names)
    values = [
        (channel["target"], file.array(samplers[channel["sampler"]]["output"]))
        for channel in entry["channels"]
    ]
    frames = next(len(array) for target, array in values if target["path"] == "translation")
    rotations = np.tile(np.array([1.0, 0, 0, 0]), (frames, bones, 1))
    root, shapes = np.tile(skeleton.joints[0], (frames, 1)), None
    for target, array in values:
        if target["path"] == "translation":
            root = array * TURN
        elif target["path"] == "weights":
            keys = array.reshape(-1, len(file.primitive["targets"])).astype(np.float64)
            shapes = np.broadcast_to(keys, (frames, keys.shape[1])).copy()
        else:  # a single key holds for all frames
            rotations[:, target["node"]] = array[:, [3, 0, 1, 2]] * np.array([1, 1, -1, -1])
    return Clip(str(entry["name"]), float(entry["extras"]["fps"]), rotations, root.astype(np.float64), shapes)


def _morphs(file: _File) -> list[Morph]:
    mesh = file.document["meshes"][0]
    names = mesh.get("extras", {}).get("targetNames", [])
    found: list[Morph] = []
    for name, target in zip(names, file.primitive.get("targets", []), strict=True):
        sparse = file.document["accessors"][target["POSITION"]].get("sparse")
        if sparse is None:
            found.append(Morph(str(name), np.zeros(0, np.int64), np.zeros((0, 3))))
            continue
        indices = np.frombuffer(file.view(sparse["indices"]["bufferView"]), "<u4").astype(np.int64)
        deltas = np.frombuffer(file.view(sparse["values"]["bufferView"]), "<f4").reshape(-1, 3)
        found.append(Morph(str(name), indices, deltas * TURN))
    return found
