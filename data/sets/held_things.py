"""Things in the hands: bars with plates, dumbbells, boxes, balls, bags, phones, rackets. Never part of the
person or the mask.

A thing is placed by where the hands of a posed figure are, and rendered as a layer of its own.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from turnaround.data.clothes import fabrics
from turnaround.data.clothes.fabrics import Rng
from turnaround.data.people import Figure
from turnaround.data.render import Atlas, Picture, Surface, render, vertex_normals
from turnaround.models.body.skeleton import JOINT_INDEX

SIDES = 16  # of round things
PALM = 0.035  # metres from the knuckles to the middle of what is gripped
Part = tuple[Float32[np.ndarray, "v 3"], np.ndarray]  # vertices, faces


def held_layer(
    rng: Rng,
    kind: str,
    figure: Figure,
    picture: Picture,
    K: np.ndarray,
    T_camera_world: np.ndarray,
    *,
    samples: int = 2,
) -> UInt8[np.ndarray, "s s 4"]:
    """What a camera sees of the thing in the figure's hands, without what is hidden behind the figure.

    Args:
        kind: as `VariedPose.held`.
        picture: of the figure by the same camera.

    Returns:
        straight-alpha RGBA; laid over `picture` it makes the picture of both, and what it covers is not the
        person.
    """
    parts = _parts(rng, kind, figure)
    textures = [_paint(rng, kind) for _ in parts]
    vertices, faces, material, count = [], [], [], 0
    for number, (points, triangles) in enumerate(parts):
        vertices.append(points[triangles].reshape(-1, 3))  # facets do not share normals
        faces.append(np.arange(3 * len(triangles), dtype=np.int32).reshape(-1, 3) + count)
        material.append(np.full(len(triangles), number, np.int16))
        count += 3 * len(triangles)
    points, triangles = np.concatenate(vertices).astype(np.float32), np.concatenate(faces)
    normals = vertex_normals(points, triangles)
    key = rng.normal(size=3) * (1.0, 0.4, 0.6) + (0.0, -1.0, -0.7)
    shade = 0.55 + 0.45 * np.abs(normals @ (key / np.linalg.norm(key))).astype(np.float32)
    uv = np.tile(np.array([[[0, 0], [1, 0], [1, 1]]], np.float32), (len(triangles), 1, 1)) * rng.uniform(
        0.2, 1.0
    )
    surface = Surface(triangles, uv.astype(np.float32), np.concatenate(material), Atlas.of(textures))
    light = np.repeat(shade[:, None], 3, 1) * rng.uniform(0.8, 1.15)
    seen = render(surface, points, normals, light, K, T_camera_world, picture.alpha.shape[0], samples=samples)
    hidden = (picture.alpha > 0) & (picture.depth > 0) & (picture.depth < seen.depth)
    alpha = np.where(hidden, 0, seen.alpha).astype(np.uint8)
    return np.concatenate([seen.color, alpha[..., None]], -1)


def _paint(rng: Rng, kind: str) -> np.ndarray:
    if kind.startswith(("bar", "dumbbells", "phone", "camera")):
        metal = np.full(3, rng.choice([0.08, 0.15, 0.5, 0.75])) * rng.normal(1, 0.06, 3)
        color = metal if rng.random() < 0.8 else fabrics.color(rng)
        image = np.broadcast_to(color, (32, 32, 3)) * (1 + rng.normal(0, 0.04, (32, 32, 1)))
        return fabrics.to_texture(np.clip(image, 0, 1).astype(np.float32))
    return fabrics.to_texture(fabrics.fabric(rng, 64))


def _grip(figure: Figure, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Middle of a closed hand in the world, and the axes of the hand: along the fingers, back of the hand,
    across (columns)."""
    sign = 1.0 if side == "left" else -1.0
    R = figure.rotations[JOINT_INDEX[f"{side}_wrist"]]
    fingers, back = sign * R[:, 0], R[:, 1]
    knuckle = figure.joints[JOINT_INDEX[f"{side}_middle1"]]
    return knuckle - PALM * back, np.stack([fingers, back, np.cross(fingers, back)], 1)


def _parts(rng: Rng, kind: str, figure: Figure) -> list[Part]:
    name, _, side = kind.partition("_")
    if name == "bar":
        return _bar(rng, figure, side == "back")
    if name == "dumbbells":
        return [part for hand in ("left", "right") for part in _dumbbell(rng, *_grip(figure, hand))]
    if name == "box" or name == "camera" or side == "both":
        return _between_hands(rng, figure, name)
    at, axes = _grip(figure, side)
    if name == "ball":
        return [_ball(at - axes[:, 1] * 0.06 + 0.03 * axes[:, 0], rng.uniform(0.04, 0.13))]
    if name == "phone":
        return [_block(at, axes, np.array([0.075, 0.006, 0.036]))]
    if name == "bag":
        return _bag(rng, at)
    return _club(rng, at, axes)


def _bar(rng: Rng, figure: Figure, on_back: bool) -> list[Part]:
    """A barbell or a stick through both hands."""
    left, right = _grip(figure, "left")[0], _grip(figure, "right")[0]
    along = (left - right) / max(np.linalg.norm(left - right), 1e-6)
    middle, half = (left + right) / 2, rng.uniform(0.75, 1.05)
    if on_back:  # it rests behind the neck
        neck = figure.joints[JOINT_INDEX["neck"]] - 0.07 * figure.rotations[JOINT_INDEX["spine3"]][:, 2]
        middle = 0.35 * middle + 0.65 * (neck + along * ((middle - neck) @ along))
    parts = [_tube(middle - along * half, middle + along * half, rng.uniform(0.011, 0.018))]
    if rng.random() < 0.8:
        radius, thick = rng.uniform(0.1, 0.23), rng.uniform(0.02, 0.1)
        for sign in (-1, 1):
            end = middle + sign * along * (half - rng.uniform(0.12, 0.25))
            parts.append(_tube(end, end + sign * along * thick, radius))
    return parts


def _dumbbell(rng: Rng, at: np.ndarray, axes: np.ndarray) -> list[Part]:
    across, half, radius = axes[:, 2], rng.uniform(0.07, 0.13), rng.uniform(0.035, 0.075)
    ends = [_tube(at + sign * across * half, at + sign * across * (half + 0.07), radius) for sign in (-1, 1)]
    return [_tube(at - across * half, at + across * half, 0.014), *ends]


def _between_hands(rng: Rng, figure: Figure, name: str) -> list[Part]:
    (left, axes), (right, _) = _grip(figure, "left"), _grip(figure, "right")
    apart, middle = float(np.linalg.norm(left - right)), (left + right) / 2
    if name == "ball":
        return [_ball(middle, max(0.08, apart / 2 - 0.01))]
    across = (left - right) / max(apart, 1e-6)
    up = axes[:, 0] - across * (axes[:, 0] @ across)
    up /= max(np.linalg.norm(up), 1e-6)
    frame = np.stack([across, up, np.cross(across, up)], 1)
    if name == "camera":
        return [
            _block(middle, frame, np.array([0.07, 0.045, 0.03])),
            _tube(middle, middle + 0.09 * frame[:, 2], 0.035),
        ]
    return [
        _block(
            middle,
            frame,
            np.array([max(apart / 2 - 0.005, 0.05), rng.uniform(0.08, 0.25), rng.uniform(0.05, 0.22)]),
        )
    ]


def _bag(rng: Rng, at: np.ndarray) -> list[Part]:
    """A bag that hangs: handles and a block; the world's y points down."""
    drop, half = rng.uniform(0.08, 0.3), rng.uniform((0.1, 0.1, 0.03), (0.25, 0.22, 0.1))
    yaw = rng.uniform(0, np.pi)
    frame = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    top = at + np.array([0, drop, 0])
    handles = [_tube(at, top + sign * frame[:, 0] * half[0] * 0.6, 0.008) for sign in (-1, 1)]
    return [*handles, _block(top + np.array([0, half[1], 0]), frame, half)]


def _club(rng: Rng, at: np.ndarray, axes: np.ndarray) -> list[Part]:
    """A stick across the hand, often with a head."""
    along = axes[:, 2] * rng.choice([-1, 1]) + axes[:, 0] * rng.uniform(0, 0.5)
    along /= np.linalg.norm(along)
    tip = at + along * rng.uniform(0.4, 0.9)
    parts = [_tube(at - along * 0.12, tip, rng.uniform(0.01, 0.025))]
    kind = rng.integers(3)
    if kind == 0:
        flat = np.stack([along, axes[:, 0], axes[:, 1]], 1)
        parts.append(_ball(tip + along * 0.12, 1.0, flat * np.array([0.15, 0.12, 0.012])))
    elif kind == 1:
        parts.append(_tube(tip - along * 0.25, tip, 0.033))
    return parts


def _tube(start: np.ndarray, stop: np.ndarray, radius: float) -> Part:
    """A closed cylinder."""
    along = (stop - start) / max(np.linalg.norm(stop - start), 1e-6)
    first = np.cross(along, (0.0, 0.0, 1.0) if abs(along[2]) < 0.9 else (0.0, 1.0, 0.0))
    first /= np.linalg.norm(first)
    second, angle = np.cross(along, first), np.arange(SIDES) / SIDES * 2 * np.pi
    ring = radius * (np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second)
    points = np.concatenate([start + ring, stop + ring, start[None], stop[None]]).astype(np.float32)
    i = np.arange(SIDES)
    j = (i + 1) % SIDES
    low, high = np.full(SIDES, 2 * SIDES), np.full(SIDES, 2 * SIDES + 1)
    corners = [(i, j, i + SIDES), (j, j + SIDES, i + SIDES), (j, i, low), (i + SIDES, j + SIDES, high)]
    return points, np.concatenate([np.stack(triangle, 1) for triangle in corners]).astype(np.int32)


def _ball(centre: np.ndarray, radius: float, axes: np.ndarray | None = None) -> Part:
    """A sphere, or the ellipsoid of `axes` (columns, metres)."""
    v, u = np.meshgrid(np.linspace(0, np.pi, 11), np.arange(SIDES) / SIDES * 2 * np.pi, indexing="ij")
    unit = np.stack([np.sin(v) * np.cos(u), np.cos(v), np.sin(v) * np.sin(u)], -1).reshape(-1, 3)
    points = centre + radius * (unit if axes is None else unit @ axes.T)
    row, column = np.meshgrid(np.arange(10), np.arange(SIDES), indexing="ij")
    a, b = row * SIDES + column, row * SIDES + (column + 1) % SIDES
    faces = np.concatenate(
        [np.stack([a, b, a + SIDES], -1), np.stack([b, b + SIDES, a + SIDES], -1)]
    ).reshape(-1, 3)
    return points.astype(np.float32), faces.astype(np.int32)


def _block(centre: np.ndarray, axes: np.ndarray, half: np.ndarray) -> Part:
    """A box with the given axes (columns) and half sides."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float) * half
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = np.array([triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))], np.int32)
    return (centre + corners @ axes.T).astype(np.float32), faces
