"""Dressing: an outfit put on one T-posed body, layer over layer, so that nothing below sticks through."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int32
from scipy.spatial import KDTree

from turnaround.data.clothes import skins
from turnaround.data.clothes.base_mesh import BaseMesh, Skin
from turnaround.data.clothes.fabrics import Rng, Texture
from turnaround.data.clothes.outfits import LONG_HAIR, Worn
from turnaround.data.clothes.parts import ROLES, part_ids
from turnaround.data.render import Atlas, Surface, vertex_normals

ON_SKIN = ("shoes", "hat", "eyebrows", "gloves", "stockings", "crop", "beard")  # nothing pushes them
SKIN_MARGIN = 0.003  # metres of every garment off the skin
LAYER_MARGIN = 0.005  # metres between two layers of cloth
COAT_MARGIN = 0.012  # ... and under a coat
TUCKED = 0.06  # metres of a shirt that are kept below the waist
REACH = 0.06  # metres within which a layer pushes the next


@dataclass(frozen=True)
class Dressed:
    """A dressed person in the T-pose: axes x left, y up, z forward, metres."""

    surface: Surface
    vertices: Float32[np.ndarray, "v 3"]
    skin: Skin


@dataclass(frozen=True)
class _Layer:
    """A placed surface that pushes the layers above it outwards."""

    vertices: Float32[np.ndarray, "v 3"]
    normals: Float32[np.ndarray, "v 3"]

    def push(self, points: Float32[np.ndarray, "n 3"], margin: float) -> Float32[np.ndarray, "n 3"]:
        """`points`, moved to at least `margin` outside of this layer where they are within REACH of it."""
        distance, nearest = KDTree(self.vertices).query(points, distance_upper_bound=REACH, workers=1)
        found, nearest = np.isfinite(distance), np.asarray(nearest)
        at, normal = self.vertices[nearest[found]], self.normals[nearest[found]]
        lacking = np.clip(margin - ((points[found] - at) * normal).sum(1), 0, REACH)
        moved = points.copy()
        moved[found] += normal * lacking[:, None]
        return moved


def dress(
    rng: Rng, base: BaseMesh, shaped: Float32[np.ndarray, "b 3"], outfit: list[Worn], skin_texture: Texture
) -> Dressed:
    """Put `outfit` (from the skin outwards) on the body `shaped` (all base vertices, T-pose)."""
    body_faces = base.parts["body"].faces
    used = np.unique(body_faces)
    skin_layer = _Layer(shaped[used], vertex_normals(shaped, body_faces)[used])
    layers: list[_Layer] = []
    placed = []
    for worn in outfit:
        points = _place(rng, worn, shaped)
        if worn.garment.role not in ON_SKIN and (worn.garment.role != "hair" or worn.name in LONG_HAIR):
            points = skin_layer.push(points, SKIN_MARGIN)
            margin = COAT_MARGIN if worn.name.startswith("cut_coat") else LAYER_MARGIN
            for layer in layers:
                points = layer.push(points, margin)
        if worn.garment.role in ("top", "bottom", "whole"):
            layers.append(_Layer(points, vertex_normals(points, worn.garment.faces)))
        placed.append(points)
    outfit = _without_tucked_cloth(outfit, placed)
    return _assemble(rng, base, shaped, outfit, placed, skin_texture)


def _without_tucked_cloth(outfit: list[Worn], placed: list[Float32[np.ndarray, "_ 3"]]) -> list[Worn]:
    """A shirt in the trousers ends a little below their waist: the rest could only stick through."""
    roles = [worn.garment.role for worn in outfit]
    if "top" not in roles or "bottom" not in roles or roles.index("top") > roles.index("bottom"):
        return outfit
    top = roles.index("top")
    waist = placed[roles.index("bottom")][:, 1].max()
    seen = (placed[top][outfit[top].garment.faces][:, :, 1] > waist - TUCKED).any(1)
    cloths = tuple((region & seen, texture) for region, texture in outfit[top].cloths)
    return [replace(worn, cloths=cloths) if k == top else worn for k, worn in enumerate(outfit)]


def _place(rng: Rng, worn: Worn, shaped: Float32[np.ndarray, "b 3"]) -> Float32[np.ndarray, "v 3"]:
    points = worn.garment.place(shaped)
    if worn.loose or worn.creased:
        normals = vertex_normals(points, worn.garment.faces)
        points = points + normals * (worn.loose + worn.creased * _folds(rng, points))[:, None]
    return points


def _folds(rng: Rng, points: Float32[np.ndarray, "v 3"]) -> Float32[np.ndarray, " v"]:
    """A smooth random function of about unit range: waves of 5 to 20 cm, longer along the body than around
    it."""
    waves = rng.normal(size=(5, 3)) * (1.0, 0.5, 1.0)
    waves *= (2 * np.pi / rng.uniform(0.05, 0.2, 5) / np.linalg.norm(waves, axis=1))[:, None]
    return (
        np.sin(points @ waves.T.astype(np.float32) + rng.uniform(0, 2 * np.pi, 5).astype(np.float32))
        .sum(1)
        .astype(np.float32)
        / 2
    )


def _assemble(rng, base: BaseMesh, shaped, outfit: list[Worn], placed, skin_texture: Texture) -> Dressed:
    """One mesh of skin, eyes and garments, without the skin that is hidden, and only with vertices that are
    used."""
    hidden = np.any([worn.garment.hidden for worn in outfit], 0) if outfit else np.zeros(len(shaped), bool)
    body, eyes = base.parts["body"], base.parts["eyes"]
    shown = ~hidden[body.faces].all(1)
    faces: list[Int32[np.ndarray, "f 3"]] = [body.faces[shown], eyes.faces]
    uv = [body.uv[shown], skins.eye_uv(base.template, eyes.faces)]
    textures, counts = [skin_texture, skins.eye_texture(rng)], [int(shown.sum()), len(eyes.faces)]
    start = len(shaped)
    for worn, points in zip(outfit, placed, strict=True):
        for region, texture in worn.cloths:
            faces.append(worn.garment.faces[region] + start)
            uv.append(worn.garment.uv[region])
            textures.append(texture)
            counts.append(int(region.sum()))
        start += len(points)
    vertices = np.concatenate([shaped, *placed]).astype(np.float32)
    skin = Skin.cat([base.skin, *(worn.garment.skin for worn in outfit)])
    used, renumbered = np.unique(np.concatenate(faces), return_inverse=True)
    material = np.repeat(np.arange(len(counts)), counts).astype(np.int16)
    triangles = renumbered.reshape(-1, 3).astype(np.int32)
    roles = ["skin", "eyes", *(_role(worn) for worn in outfit for _ in worn.cloths)]
    role = np.array([ROLES.index(name) for name in roles], np.uint8)[material]
    parts = part_ids(triangles, skin.joints[used, 0], role)
    surface = Surface(triangles, np.concatenate(uv).astype(np.float32), material, Atlas.of(textures), parts)
    return Dressed(surface, vertices[used], Skin(skin.joints[used], skin.weights[used]))


def _role(worn: Worn) -> str:
    return "coat" if worn.name.startswith("cut_coat") else worn.garment.role
