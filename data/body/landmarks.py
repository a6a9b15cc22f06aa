"""Points of the free body's surface that have names: 51 face landmarks, ears, nose, heels, toes, and the
mouth's inside."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from turnaround.models.body.keypoints import SURFACE_NAMES
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.mesh.zbuffer import rasterize_mesh

# In centimetres from the point EYES_BELOW under the middle of the eyes, x to the person's left, y up, as seen
# from the
# front of the mean face. Given for the person's right half; the left half is its mirror image.
EYES_BELOW = 0.03
_BROW = ((-4.9, 3.9), (-4.2, 4.6), (-3.2, 4.75), (-2.1, 4.55), (-1.2, 4.1))  # outer to inner
_BRIDGE = ((0.0, 2.8), (0.0, 1.8), (0.0, 0.8), (0.0, -0.3))  # top to tip
_NOSTRILS = ((-1.25, -1.3), (-0.65, -1.45), (0.0, -1.7))  # outside to middle
_EYE = (
    (-4.3, 2.9),
    (-3.5, 3.36),
    (-2.6, 3.38),
    (-1.75, 2.72),
    (-2.6, 2.4),
    (-3.5, 2.42),
)  # outer corner, lid, inner corner, lid
_LIPS_TOP = ((-2.35, -3.97), (-1.5, -3.5), (-0.6, -3.22), (0.0, -3.32))  # corner to middle
_LIPS_BOTTOM = ((0.0, -5.0), (-0.65, -4.95), (-1.45, -4.6))  # middle to corner
_MOUTH_TOP = ((-2.15, -3.9), (-0.75, -3.72), (0.0, -3.75))
_MOUTH_BOTTOM = ((0.0, -3.97), (-0.75, -3.95))
_PIXELS, _SPAN = 2048, 0.16  # of the front view in which landmarks are looked up; metres
_FRONT = -0.02  # metres; faces behind this depth carry no landmark
_MOUTH_BOX = np.array([[-0.035, -0.075, -0.12], [0.035, -0.012, 0.03]])  # metres, from the same origin
_VIEWS, _SEEN_PIXELS = 64, 6


def _mirrored(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    return tuple((-x, y) for x, y in points)


def ibug_points() -> np.ndarray:
    """(51,2) the landmarks in iBUG's order without the contour: brows, nose, eyes, outer and inner lips;
    centimetres."""
    eye = _mirrored(_EYE)
    points = [*_BROW, *reversed(_mirrored(_BROW)), *_BRIDGE, *_NOSTRILS, *reversed(_mirrored(_NOSTRILS[:2]))]
    points += [*_EYE, eye[3], eye[2], eye[1], eye[0], eye[5], eye[4]]
    points += [
        *_LIPS_TOP,
        *reversed(_mirrored(_LIPS_TOP[:3])),
        *reversed(_mirrored(_LIPS_BOTTOM[1:])),
        *_LIPS_BOTTOM,
    ]
    points += [
        *_MOUTH_TOP,
        *reversed(_mirrored(_MOUTH_TOP[:2])),
        *reversed(_mirrored(_MOUTH_BOTTOM[1:])),
        *_MOUTH_BOTTOM,
    ]
    return np.array(points)


def _look(
    vertices: np.ndarray, faces: np.ndarray, towards: np.ndarray, pixels: int, span: float
) -> tuple[np.ndarray, np.ndarray]:
    """Face ids and barycentric coordinates seen orthographically; `towards` (3,3) has the rows right, up, to
    the viewer."""
    seen = vertices @ towards.T
    uvz = np.stack(
        [pixels * (0.5 + seen[:, 0] / span), pixels * (0.5 - seen[:, 1] / span), 1 - seen[:, 2]], 1
    )
    face_id, bary, _ = rasterize_mesh(uvz.astype(np.float32), faces.astype(np.int32), pixels, pixels)
    return face_id, bary


def face_origin(joints: np.ndarray) -> np.ndarray:
    """Origin of the face coordinates (3,): EYES_BELOW under the middle of the eyes."""
    return 0.5 * (joints[JOINT_INDEX["left_eye"]] + joints[JOINT_INDEX["right_eye"]]) - [0, EYES_BELOW, 0]


def landmark_arrays(
    template: np.ndarray, joints: np.ndarray, faces: np.ndarray, skin: np.ndarray
) -> dict[str, np.ndarray]:
    """`lmk_faces_idx` (51,), `lmk_bary_coords` (51,3), and the contour's tables, which this body leaves
    empty.

    faces (F,3); skin (F,) bool tells those that may carry a landmark.
    """
    centred = template - face_origin(joints)
    numbers = np.flatnonzero(skin & (centred[faces][:, :, 2].min(1) > _FRONT))
    face_id, bary = _look(centred, faces[numbers], np.eye(3), _PIXELS, _SPAN)
    x, y = (ibug_points() * 0.01 / _SPAN * [1, -1] + 0.5).T * _PIXELS
    # where a point falls into the slit of the mouth, the nearest pixel of skin stands for it
    gap = np.asarray(distance_transform_edt(face_id < 0, return_distances=False, return_indices=True))
    rows, columns = gap[:, y.astype(int), x.astype(int)]
    return {
        "lmk_faces_idx": numbers[face_id[rows, columns]].astype(np.int64),
        "lmk_bary_coords": np.round(bary[rows, columns], 4).astype(np.float32),
        "dynamic_lmk_faces_idx": np.zeros((79, 17), np.int64),
        "dynamic_lmk_bary_coords": np.zeros((79, 17, 3), np.float32),
    }


def _directions(count: int) -> np.ndarray:
    """(count,3) unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    k = np.arange(count) + 0.5
    height, angle = 1 - 2 * k / count, k * np.pi * (1 + 5**0.5)
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], 1)


def mouth_cavity(template: np.ndarray, joints: np.ndarray, faces: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(F,) bool: skin faces around the mouth that hardly any outside view shows."""
    centred = template - face_origin(joints)
    numbers = np.flatnonzero(skin & (np.abs(centred[faces]).max((1, 2)) < 0.3))
    shown = np.zeros(len(faces), int)
    for direction in _directions(_VIEWS):
        right = np.cross([0.0, 1.0, 0.0], direction)
        right /= np.linalg.norm(right)
        face_id, _ = _look(
            centred, faces[numbers], np.stack([right, np.cross(direction, right), direction]), 512, 0.4
        )
        shown += np.bincount(numbers[face_id[face_id >= 0]], minlength=len(faces))
    middle = centred[faces].mean(1)
    near_mouth = ((middle > _MOUTH_BOX[0]) & (middle < _MOUTH_BOX[1])).all(1)
    return skin & near_mouth & (shown < _SEEN_PIXELS)


def keypoint_vertices(
    template: np.ndarray, joints: np.ndarray, skin: np.ndarray, mirror: np.ndarray
) -> np.ndarray:
    """Ids of `models.keypoints.SURFACE_NAMES`: extreme points of the mean body's left side, and their mirror
    images."""
    head, ankle = face_origin(joints), joints[JOINT_INDEX["left_ankle"]]
    face, foot = template[skin] - head, template[skin] - ankle
    middle = np.abs(face[:, 0]) < 1e-4
    ear = (face[:, 0] > 0.065) & (np.abs(face[:, 1] - 0.01) < 0.008)
    near = (np.abs(foot[:, 0]) < 0.09) & (foot[:, 1] < 0) & (template[skin][:, 0] > 0)
    toes = near & (foot[:, 2] > 0.10)
    outer = toes & (foot[:, 0] > np.quantile(foot[toes, 0], 0.93))
    inner = toes & (foot[:, 0] < np.quantile(foot[toes, 0], 0.4))
    found = {
        "nose": _extreme(face[:, 2], middle & (np.abs(face[:, 1]) < 0.02)),
        "left_ear": _extreme(face[:, 0], ear),
        "left_big_toe": _extreme(foot[:, 2], inner),
        "left_small_toe": _extreme(foot[:, 2], outer),
        "left_heel": _extreme(-foot[:, 2], near),
    }
    left = {name: int(skin[index]) for name, index in found.items()}
    ids = [
        left[name] if name in left else int(mirror[left[name.replace("right_", "left_")]])
        for name in SURFACE_NAMES
    ]
    return np.array(ids, np.int64)


def _extreme(value: np.ndarray, allowed: np.ndarray) -> int:
    return int(np.argmax(np.where(allowed, value, -np.inf)))
