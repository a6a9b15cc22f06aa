"""Hand pose space: mean and principal components of sampled finger curls, as SMPL-X files carry them."""

from __future__ import annotations

import numpy as np

from turnaround.models.body.skeleton import FINGERS

_MEAN_CURL = {
    "index": 0.25,
    "middle": 0.30,
    "pinky": 0.35,
    "ring": 0.32,
    "thumb": 0.15,
}  # radians a knuckle, relaxed
_SPREAD = {"index": 1.0, "middle": 0.0, "pinky": -1.4, "ring": -0.6, "thumb": 0.0}


def sample_curls(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,15,3) axis-angle poses of the left hand: a common curl, one per finger, spread, and the thumb's
    opposition.

    The palm of the T-pose faces down and the left fingers point to +x, so a curl is a negative turn about z
    and a spread one about y; the thumb turns about its own oblique axis.
    """
    poses = np.zeros((count, 5, 3, 3))
    common = rng.normal(0, 0.3, (count, 1))
    spread = rng.normal(0, 0.08, count)
    for number, finger in enumerate(FINGERS):
        own = rng.normal(0, 0.15 if finger != "index" else 0.25, (count, 1))
        curl = np.clip(_MEAN_CURL[finger] + common + own, -0.1, 1.5)
        if finger == "thumb":
            poses[:, number] = (0.5 * curl)[..., None] * np.array([0.3, -0.7, -0.3])
            poses[:, number, 0, 0] += rng.normal(0, 0.15, count)
        else:
            poses[:, number, :, 2] = -curl * np.array([0.9, 1.1, 0.8])
            poses[:, number, 0, 1] = spread * _SPREAD[finger]
    return poses.reshape(count, 15, 3)


def mirror_pose(pose: np.ndarray) -> np.ndarray:
    """Axis-angle (..., 3) reflected in the plane x = 0."""
    return pose * np.array([1.0, -1.0, -1.0])


def hand_arrays(seed: int = 2) -> dict[str, np.ndarray]:
    """`hands_mean{l,r}` (45,) and `hands_components{l,r}` (45,45), rows by falling variance."""
    left = sample_curls(4000, np.random.default_rng(seed))
    arrays = {}
    for letter, poses in (("l", left), ("r", mirror_pose(left))):
        flat = poses.reshape(len(poses), 45)
        mean = flat.mean(0)
        _, components = np.linalg.eigh(np.cov((flat - mean).T) + np.diag(np.arange(45, 0, -1.0) * 1e-9))
        components = components[:, ::-1].T
        components *= np.sign(components[np.arange(45), np.abs(components).argmax(1)])[:, None]
        arrays[f"hands_mean{letter}"] = np.round(mean, 5).astype(np.float32)
        arrays[f"hands_components{letter}"] = np.round(components, 5).astype(np.float32)
    return arrays
