"""Single pictures of people for estimation and matting: varied poses, cameras, framing, truncation, and
things in the hands.

The labels are in the world of the canonical camera (pipeline/values/camera.py), as everything behind
`prepare` takes a picture to be that camera's. Most pictures are; the others were taken with another lens from
another distance, and the label is the body that covers the same place in the canonical picture, seen along
the same ray.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32

from turnaround.data.clothes.base_mesh import rotation_matrices
from turnaround.data.people import Figure, Person, pose_person, rotation_vector, upright
from turnaround.data.poses.variety import sample_varied_pose
from turnaround.data.render import Picture
from turnaround.data.scenes.lights import sample_lights
from turnaround.data.sets.distribution import EVERYTHING, Distribution
from turnaround.data.sets.held_things import held_layer
from turnaround.models.body.skeleton import JOINT_NAMES
from turnaround.pipeline.values.camera import DISTANCE, FOCAL

TORSO = ("pelvis", "spine", "hip", "collar", "neck", "head", "shoulder")
# prepare's framing (models/matting/cutout.py): share of the square that the person's box has, and where the
# pelvis is in it
HEIGHT, WIDTH, PELVIS = 0.70, 0.80, 0.47
OTHER_LENS = 0.3  # share of pictures that another lens took
TRUNCATED = 0.16  # share of pictures that a border of the photo cuts
Window = Float32[np.ndarray, "4"]  # left, top, right, bottom of what the photo holds, in [0,1] of the square
_WHOLE = np.array([-9, -9, 9, 9], np.float32)  # borders that nothing reaches


@dataclass(frozen=True)
class Shot:
    """A figure as it is labelled, and the camera that takes its picture."""

    figure: Figure
    K: Float32[np.ndarray, "3 3"]
    T_camera_world: Float32[np.ndarray, "4 4"]
    photo: Window
    up: Float32[np.ndarray, "3"]  # against gravity, in the world of the labels
    kind: str
    held: str


def single(person: Person, index: int, size: int, people: Distribution = EVERYTHING) -> dict[str, np.ndarray]:
    """One picture and its truth, as arrays.

    Returns:
        rgba (s,s,4) u8, straight alpha, 0 beyond the photo; object_rgba, the layer of a thing in the hands,
        (0,0,4) where they are empty; joints (55,3) and body_* in the canonical camera's world; joints_uv
        (55,2) in [0,1] of the picture and joint_visible (55,); K (3,3) pixels and T_camera_world (4,4) of the
        camera that took it; photo (4,), its left, top, right and bottom border in [0,1] of the square; up
        (3,), the direction against gravity; kind, of the pose.
    """
    rng = np.random.default_rng([person.seed, 3, index])
    shot = take(rng, person, size, people)
    picture = shot.figure.seen_from(shot.K, shot.T_camera_world, size, samples=2)
    inside = _inside(shot.photo, size)
    alpha = np.where(inside, picture.alpha, 0).astype(np.uint8)
    thing = np.zeros((0, 0, 4), np.uint8)
    if shot.held:
        thing = held_layer(
            np.random.default_rng([person.seed, 13, index]),
            shot.held,
            shot.figure,
            picture,
            shot.K,
            shot.T_camera_world,
        )
        thing[..., 3] = np.where(inside, thing[..., 3], 0)
    uv, visible = _joint_visibility(shot, picture, size)
    return {
        "rgba": np.concatenate([picture.color, alpha[..., None]], -1),
        "object_rgba": thing,
        "joints": shot.figure.joints,
        "joints_uv": uv.astype(np.float32),
        "joint_visible": visible,
        "K": shot.K,
        "T_camera_world": shot.T_camera_world,
        "photo": shot.photo,
        "up": shot.up,
        "kind": np.array(shot.kind, "<U24"),
        **{f"body_{name}": value for name, value in shot.figure.body.items()},
    }


def take(rng: np.random.Generator, person: Person, size: int, people: Distribution = EVERYTHING) -> Shot:
    """Pose a person and point a camera at them."""
    pose, light = sample_varied_pose(rng, everyday=people.everyday), sample_lights(rng)
    standing = upright(float(yaw(rng)), np.radians(rng.normal(0, 3, 3)))
    camera = np.eye(3) if people.level else rotation_matrices(tilt(rng)[None])[0]
    R = camera @ standing @ rotation_matrices(pose.root[None])[0]
    up = (camera @ np.array([0.0, -1.0, 0.0])).astype(np.float32)
    figure = pose_person(person, pose.parameters, R, np.zeros(3), light, rays=6)
    placed, photo = framed(rng, figure, truncated=0.0 if people.level else TRUNCATED)
    K, T = lens(rng, placed.joints[0], size, others=0.0 if people.level else OTHER_LENS)
    return Shot(placed, K, T, photo, up, pose.kind, "" if people.level else pose.held)


def yaw(rng: np.random.Generator) -> float:
    """Towards the camera in half of the pictures, any side in the other half."""
    return np.radians(rng.uniform(-60, 60) if rng.random() < 0.5 else rng.uniform(-180, 180))


def tilt(rng: np.random.Generator) -> Float32[np.ndarray, "3"]:
    """Pitch, yaw and roll of the camera, radians: level in a third of the pictures, up to 25 degrees of
    pitch."""
    pitch = rng.normal(0, 2.5) if rng.random() < 0.35 else rng.normal(-3, 11)
    return np.radians([np.clip(pitch, -25, 25), rng.normal(0, 2), np.clip(rng.normal(0, 4), -15, 15)]).astype(
        np.float32
    )


def _truncation(rng: np.random.Generator) -> Window:
    """Borders of the photo as shares of the person's box: feet and shins most often, to the waist, a side,
    the top of the head."""
    cut = np.array([-9, -9, 9, 9], np.float32)
    kind = rng.choice(4, p=(0.62, 0.13, 0.13, 0.12))
    if kind == 0:
        cut[3] = 1 - rng.choice([rng.uniform(0.02, 0.15), rng.uniform(0.15, 0.52)])
    elif kind == 1:
        cut[1] = rng.uniform(0.01, 0.12)
    elif kind == 2:
        cut[0] = rng.uniform(0.05, 0.35)
    else:
        cut[2] = 1 - rng.uniform(0.05, 0.35)
    return cut


@dataclass(frozen=True)
class _Framing:
    """How a person is to lie in the square: as `prepare` does it, changed by a factor and a shift."""

    factor: float
    shift: np.ndarray  # (2,), shares of the square
    centred: bool  # the pelvis in the middle instead

    @staticmethod
    def sample(rng: np.random.Generator) -> _Framing:
        style = rng.random()
        if style < 0.2:
            return _Framing(np.exp(rng.normal(0, 0.05)), rng.normal(0, (0.02, 0.015)), True)
        if style < 0.6:
            return _Framing(1.0, np.zeros(2), False)
        return _Framing(np.exp(rng.uniform(-0.22, 0.25)), rng.normal(0, 0.05, 2), False)

    def square(self, seen: np.ndarray, pelvis: np.ndarray) -> tuple[np.ndarray, float]:
        """Middle and side of the square about the points (n,2) of a person; the same units."""
        low, high = seen.min(0), seen.max(0)
        broad, tall = np.maximum(high - low, 1e-3)
        band = seen[np.abs(seen[:, 1] - low[1] - 0.48 * tall) < 0.1 * tall]
        centre = np.array([band[:, 0].mean() if len(band) else low[0] + broad / 2, low[1] + PELVIS * tall])
        if self.centred:
            centre = pelvis
        reach = np.maximum(high - centre, centre - low)
        reach = (
            2 / 0.96 * float(reach.max() if self.centred else reach[0])
        )  # whatever is stretched out stays inside
        side = max(tall / HEIGHT, broad / WIDTH, reach) * self.factor
        return centre + self.shift * side, side


def framed(rng: np.random.Generator, figure: Figure, truncated: float = TRUNCATED) -> tuple[Figure, Window]:
    """The figure moved and turned to where the square has what the photo holds of it, and the photo's borders
    in the square; a share `truncated` of people is cut by one."""
    cut = _truncation(rng) if rng.random() < truncated else _WHOLE
    framing = _Framing.sample(rng)
    vertices = figure.vertices[::5] - figure.joints[0]
    ray = np.array([0.0, 0.0, DISTANCE])  # from the camera to the pelvis
    window = _WHOLE
    for step in range(4):  # nearer people are distorted more, so that the box depends on the depth
        p = vertices @ _towards(ray).T + ray
        uv = p[:, :2] / np.maximum(p[:, 2:], 0.2) * FOCAL
        low, high = uv.min(0), uv.max(0)
        window = np.tile(low, 2) + cut * np.tile(high - low, 2)
        if step == 3:
            break
        seen = uv[((uv >= window[:2]) & (uv <= window[2:])).all(1)]
        pelvis = ray[:2] / ray[2] * FOCAL
        centre, side = framing.square(seen, pelvis)
        depth = float(np.clip(ray[2] * side, 0.9, 5.0))
        ray = np.array([*((pelvis - centre) / side / FOCAL * depth), depth])
    shift = (ray - np.array([0, 0, DISTANCE])).astype(np.float32)
    return _moved(_turned(figure, _towards(ray)), shift), (window + 0.5).clip(0, 1).astype(np.float32)


def _towards(ray: np.ndarray) -> Float32[np.ndarray, "3 3"]:
    """The smallest turn of the optical axis to a ray from the camera."""
    ray = ray / np.linalg.norm(ray)
    axis = np.array([-ray[1], ray[0], 0.0])
    sine = np.linalg.norm(axis)
    return rotation_matrices((axis / max(sine, 1e-9) * np.arctan2(sine, ray[2]))[None])[0].astype(np.float32)


def _turned(figure: Figure, R: np.ndarray) -> Figure:
    """The figure turned about its pelvis, with its light."""
    pelvis = figure.joints[0]
    turn = lambda points: ((points - pelvis) @ R.T + pelvis).astype(np.float32)  # noqa: E731
    body = {**figure.body, "global_orient": rotation_vector(R @ figure.rotations[0])}
    rotations = (R @ figure.rotations).astype(np.float32)
    normals = (figure.normals @ R.T).astype(np.float32)
    return replace(
        figure,
        vertices=turn(figure.vertices),
        joints=turn(figure.joints),
        normals=normals,
        rotations=rotations,
        body=body,
    )


def _moved(figure: Figure, shift: np.ndarray) -> Figure:
    body = {**figure.body, "transl": (figure.body["transl"] + shift).astype(np.float32)}
    return replace(figure, vertices=figure.vertices + shift, joints=figure.joints + shift, body=body)


def lens(
    rng: np.random.Generator, pelvis: np.ndarray, size: int, others: float = OTHER_LENS
) -> tuple[np.ndarray, np.ndarray]:
    """K and T_camera_world: the canonical camera, or (a share `others`) one with 0.85 to 1.8 of its focal
    length, as much farther away."""
    K = np.array([[FOCAL * size, 0, size / 2], [0, FOCAL * size, size / 2], [0, 0, 1]], np.float32)
    T = np.eye(4, dtype=np.float32)
    T[2, 3] = DISTANCE
    if rng.random() >= others:
        return K, T
    factor = np.exp(rng.uniform(np.log(0.85), np.log(1.8)))
    ray = pelvis + np.array([0, 0, DISTANCE])
    R = _towards(ray)
    depth = float(np.linalg.norm(ray))
    K[:2, 2] += FOCAL * size * ray[:2] / ray[2]  # the pelvis keeps its place in the picture
    K[0, 0] = K[1, 1] = FOCAL * size * factor * depth / ray[2]
    T[:3, :3] = R.T
    T[:3, 3] = -R.T @ pelvis + np.array([0, 0, factor * depth])
    return K, T


def _inside(photo: Window, size: int) -> Bool[np.ndarray, "s s"]:
    """Pixels whose centres the photo holds."""
    at = (np.arange(size) + 0.5) / size
    return ((at > photo[1]) & (at < photo[3]))[:, None] & ((at > photo[0]) & (at < photo[2]))


def _joint_visibility(shot: Shot, picture: Picture, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints in [0,1] of the picture, and whether the surface in front of each is its own (not another
    limb)."""
    p = shot.figure.joints @ shot.T_camera_world[:3, :3].T + shot.T_camera_world[:3, 3]
    uv = (p @ shot.K.T)[:, :2] / p[:, 2:] / size
    inside = ((uv > shot.photo[:2]) & (uv < shot.photo[2:])).all(1)
    x, y = np.clip((uv * size).astype(int), 0, size - 1).T
    thick = np.array([0.26 if any(word in name for word in TORSO) else 0.1 for name in JOINT_NAMES])
    surface = picture.depth[y, x]
    return uv, inside & ((surface == 0) | (p[:, 2] - surface < thick))
