"""Garments: meshes bound to the base mesh, from the wardrobe or cut out of the helper meshes (tights and
skirt).

A garment is described once for all body shapes, on the mean T-posed body; `place` puts it on one body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32
from scipy.sparse import coo_matrix, csr_matrix, vstack
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from turnaround.data.clothes.base_mesh import BaseMesh, Skin
from turnaround.data.clothes.proxies import Proxy
from turnaround.models.body.skeleton import JOINT_INDEX

Role = Literal[
    "top",
    "bottom",
    "whole",
    "shoes",
    "hair",
    "hat",
    "eyebrows",
    "scarf",
    "gloves",
    "stockings",
    "crop",
    "beard",
]
HIDE_MARGIN = 0.03  # metres inside its hems from where a cut-out garment hides the skin

COVER = 0.05  # metres


@dataclass(frozen=True, eq=False)
class Garment:
    """One piece of clothing (or hair), not yet on a body."""

    name: str
    role: Role
    binding: csr_matrix  # (v, base vertices), rows sum to one
    offsets: Float32[np.ndarray, "v 3"]  # metres, axes of the T-pose
    skin: Skin
    faces: Int32[np.ndarray, "f 3"]
    uv: Float32[np.ndarray, "f 3 2"]
    hidden: Bool[np.ndarray, " b"]  # base vertices that cannot be seen under it
    upper: Bool[np.ndarray, " f"] | None = None  # of a whole suit: the faces that may be of another cloth

    def place(self, shaped: Float32[np.ndarray, "b 3"]) -> Float32[np.ndarray, "v 3"]:
        """Vertices on one T-posed body, given all of its base vertices."""
        return (self.binding @ shaped + self.offsets).astype(np.float32)

    def select(self, faces: Bool[np.ndarray, " f"], role: Role, hidden: Bool[np.ndarray, " b"]) -> Garment:
        """The garment that has only some of the faces."""
        used, renumbered = np.unique(self.faces[faces], return_inverse=True)
        skin = Skin(self.skin.joints[used], self.skin.weights[used])
        triangles = renumbered.reshape(-1, 3).astype(np.int32)
        return Garment(
            self.name, role, self.binding[used], self.offsets[used], skin, triangles, self.uv[faces], hidden
        )


def bind(proxy: Proxy, base: BaseMesh, role: Role) -> Garment:
    """A proxy on the free body: its offsets are turned from MakeHuman's rest pose into the T-pose."""
    rows = np.repeat(np.arange(len(proxy.refs)), 3)
    shape = (len(proxy.refs), len(base.template))
    binding = csr_matrix((proxy.weights.ravel(), (rows, proxy.refs.ravel())), shape, dtype=np.float32)
    turn = np.einsum("vi,viab->vab", proxy.weights, base.R_tpose[proxy.refs])
    offsets = np.einsum("vab,vb->va", turn, proxy.offsets).astype(np.float32)
    return Garment(
        proxy.name,
        role,
        binding,
        offsets,
        Skin.of(binding @ base.weights),
        proxy.faces,
        proxy.uv,
        proxy.hidden,
    )


def halves(suit: Garment, base: BaseMesh) -> tuple[Garment, ...]:
    """The pieces of a suit by its connected components: (top, bottom), or the whole where both are sewn
    together.

    The skin that the suit hides goes to the piece that lies nearest to it.
    """
    vertices = suit.place(base.template)
    labels = _components(suit)
    hip = base.joint_template[JOINT_INDEX["spine1"], 1]
    # a piece that reaches from the legs to the chest (overalls, sewn suits) keeps everything together
    low = np.zeros(len(vertices), bool)
    for label in range(labels.max() + 1):
        y = vertices[labels == label, 1]
        if y.min() < hip - 0.3 and y.max() > hip + 0.2:
            sewn = labels == label
            upper = vertices[:, 1] > hip - 0.04 if sewn.mean() > 0.9 else ~sewn
            return (replace(suit, role="whole", upper=upper[suit.faces].all(1)),)
        low[labels == label] = y.mean() < hip
    below = low[suit.faces[:, 0]]
    nearest = low[KDTree(vertices).query(base.template)[1]]
    return suit.select(~below, "top", suit.hidden & ~nearest), suit.select(
        below, "bottom", suit.hidden & nearest
    )


def _components(garment: Garment) -> Int32[np.ndarray, " v"]:
    edges = np.concatenate([garment.faces[:, :2], garment.faces[:, 1:]])
    count = len(garment.offsets)
    _, labels = connected_components(coo_matrix((np.ones(len(edges)), tuple(edges.T)), (count, count)))
    return np.asarray(labels)


# ---------------------------------------------------------------- garments out of the helper meshes

Field = Callable[[Float32[np.ndarray, "v 3"]], Float32[np.ndarray, " v"]]
"""A function of a point on the mean body that is positive inside a garment; metres from the hem."""


def cut_out(base: BaseMesh, parts: tuple[str, ...], fields: list[Field], role: Role, name: str) -> Garment:
    """What lies inside all fields of helper meshes, with straight hems.

    Args:
        parts: helper meshes, "tights" or "skirt", or the "body" itself.
        fields: hems; triangles that cross one are cut along it.
    """
    count = len(base.template)
    faces = np.concatenate([base.parts[part].faces for part in parts])
    uv = np.concatenate([_cylindrical_uv(base, base.parts[part].faces, part) for part in parts])
    binding = csr_matrix((np.ones(count, np.float32), (np.arange(count), np.arange(count))), (count, count))
    for field in fields:
        binding, faces, uv = _cut(binding, faces, uv, field(binding @ base.template))
    used, renumbered = np.unique(faces, return_inverse=True)
    binding = binding[used]
    inside = np.min([field(base.template) for field in fields], 0) > HIDE_MARGIN
    # helper meshes end somewhere: only skin that lies close under the cloth is out of sight
    near = (
        KDTree(binding @ base.template).query(base.template[base.surface], distance_upper_bound=COVER)[0]
        < COVER
    )
    hidden = np.zeros(count, bool)
    hidden[base.surface] = inside[base.surface] & near
    offsets = np.zeros((len(used), 3), np.float32)
    return Garment(
        name,
        role,
        binding,
        offsets,
        Skin.of(binding @ base.weights),
        renumbered.reshape(-1, 3).astype(np.int32),
        uv,
        hidden,
    )


def _cut(binding, faces, uv, values):
    """Keep the part of each triangle where the field is positive."""
    positive = values[faces] > 0
    whole = positive.all(1)
    out_faces, out_uv, rows = [faces[whole]], [uv[whole]], []
    crossing = np.flatnonzero(positive.any(1) & ~whole)
    new, number = [], binding.shape[0]
    known: dict[tuple[int, int], int] = {}
    for k in crossing:
        ring, ring_uv = [], []
        for i in range(3):
            a, b = faces[k, i], faces[k, (i + 1) % 3]
            if values[a] > 0:
                ring.append(a)
                ring_uv.append(uv[k, i])
            if (values[a] > 0) != (values[b] > 0):
                key = (min(a, b), max(a, b))
                t = values[a] / (values[a] - values[b])
                if key not in known:
                    known[key] = number + len(rows)
                    rows.append((a, b, t))
                ring.append(known[key])
                ring_uv.append(uv[k, i] * (1 - t) + uv[k, (i + 1) % 3] * t)
        for i in range(1, len(ring) - 1):
            new.append((ring[0], ring[i], ring[i + 1]))
            out_uv.append(np.array([[ring_uv[0], ring_uv[i], ring_uv[i + 1]]], np.float32))
    if rows:
        a, b, t = (np.array(column) for column in zip(*rows, strict=True))
        t = t.astype(np.float32)
        binding = vstack(
            [binding, binding[a].multiply(1 - t[:, None]) + binding[b].multiply(t[:, None])]
        ).tocsr()
        out_faces.append(np.array(new, np.int32))
    return binding, np.concatenate(out_faces), np.concatenate(out_uv)


def _cylindrical_uv(
    base: BaseMesh, faces: Int32[np.ndarray, "f 3"], part: str
) -> Float32[np.ndarray, "f 3 2"]:
    """Texture coordinates in half metres of cloth: around the trunk or the limb, and along it."""
    p = base.template
    arm = np.isin(
        base.skin.joints[:, 0],
        [JOINT_INDEX[f"{s}_{j}"] for s in ("left", "right") for j in ("shoulder", "elbow", "wrist")],
    )
    leg = p[:, 1] < base.joint_template[JOINT_INDEX["left_hip"], 1] - 0.05
    centre = np.zeros_like(p)
    if part == "tights":
        for side, sign in (("left", 1), ("right", -1)):
            knee = base.joint_template[JOINT_INDEX[f"{side}_knee"]]
            centre[leg & (np.sign(p[:, 0]) == sign)] = knee
    angle = np.arctan2(p[:, 0] - centre[:, 0], p[:, 2] - centre[:, 2])
    around = np.stack([angle * np.where(leg & (part == "tights"), 0.08, 0.16), p[:, 1]], 1)
    shoulder = base.joint_template[JOINT_INDEX["left_shoulder"]]
    turn = np.arctan2(p[:, 2] - shoulder[2], p[:, 1] - shoulder[1])
    around[arm] = np.stack([turn[arm] * 0.06, np.abs(p[arm, 0])], 1)
    uv = around[faces]
    # triangles over the cut of a cylinder: bring their corners to the same side
    period = (
        2
        * np.pi
        * np.where(arm[faces].any(1), 0.06, np.where(leg[faces].any(1) & (part == "tights"), 0.08, 0.16))[
            :, None
        ]
    )
    uv[:, :, 0] += np.where(uv[:, :, 0] - uv[:, :, 0].max(1, keepdims=True) < -period / 2, period, 0)
    return (uv / 0.5).astype(np.float32)
