"""Several rigged persons in one GLB: their files side by side in a scene, clips of one name played as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.glb import from_chunks, to_chunks

_LISTS = ("accessors", "nodes", "meshes", "skins", "materials", "textures", "samplers", "images")
# name of a number, or of numbers, that point into a list; those of attributes, as POSITION, do as what they
# stand in
_POINTS_INTO = {
    "bufferView": "bufferViews",
    **{name: "accessors" for name in ("attributes", "indices", "targets", "inverseBindMatrices", "input")},
    "output": "accessors",
    **{name: "nodes" for name in ("children", "joints", "skeleton", "node")},
    "mesh": "meshes",
    "skin": "skins",
    "material": "materials",
    "index": "textures",
    "sampler": "samplers",
    "source": "images",
}


class Member(NamedTuple):
    """One person of a scene."""

    name: str
    glb: bytes  # of `skinned_glb.encode`
    place: float  # metres along x from where the file has them, to the viewer's right


def encode(members: Sequence[Member], extras: Mapping[str, Any] | None = None) -> bytes:
    """The GLB of a scene; a node of a person's name carries their skeleton.

    extras: where it comes from, kept in `asset.extras`.
    """
    whole: dict[str, Any] = {name: [] for name in _LISTS}
    parts: list[bytes] = []
    targets: list[int | None] = []
    scene: list[int] = []
    clips: dict[str, dict[str, Any]] = {}
    for member in members:
        document, binary = from_chunks(member.glb)
        if "skins" not in document or "extensions" in document:
            raise FormatError(f"{member.name}: a GLB without a skeleton, or with extensions")
        starts = {name: len(whole[name]) for name in _LISTS} | {"bufferViews": len(parts)}
        for name in _LISTS:
            whole[name] += [_shifted(entry, starts) for entry in document.get(name, [])]
        for view in document["bufferViews"]:
            parts.append(binary[view["byteOffset"] :][: view["byteLength"]])
            targets.append(view.get("target"))
        mesh, root = (starts["nodes"] + node for node in document["scenes"][0]["nodes"])
        whole["nodes"].append({"name": member.name, "children": [root], "translation": [member.place, 0, 0]})
        scene += [mesh, len(whole["nodes"]) - 1]
        for clip in document.get("animations", []):
            _add_clip(clips, clip, starts)
    asset: dict[str, Any] = {"generator": "turnaround", "version": "2.0"}
    whole["asset"] = asset | ({"extras": dict(extras)} if extras else {})
    whole |= {"scene": 0, "scenes": [{"nodes": scene}]}
    whole |= {"animations": list(clips.values())} if clips else {}
    return to_chunks(whole, parts, targets)


def _add_clip(clips: dict[str, dict[str, Any]], clip: dict[str, Any], starts: Mapping[str, int]) -> None:
    """Add a person's tracks to the clip of that name."""
    empty: dict[str, Any] = {"name": clip["name"], "samplers": [], "channels": [], "extras": clip["extras"]}
    whole = clips.setdefault(clip["name"], empty)
    own = {**starts, "samplers": len(whole["samplers"])}  # a clip's samplers are its own
    whole["samplers"] += [_shifted(sampler, own) for sampler in clip["samplers"]]
    whole["channels"] += [_shifted(channel, own) for channel in clip["channels"]]


def _shifted(value: Any, starts: Mapping[str, int], into: str | None = None) -> Any:
    """A part of a document whose numbers point into the lists of all; `into`: the list of bare numbers."""
    if isinstance(value, dict):
        within = {key: into if key.isupper() else _POINTS_INTO.get(key) for key in value}
        return {key: _shifted(each, starts, within[key]) for key, each in value.items()}
    if isinstance(value, list):
        return [_shifted(each, starts, into) for each in value]
    return value + starts[into] if into is not None and isinstance(value, int) else value
