"""Landmarks of bodies that nobody rendered: `python -m turnaround.data.sets.simulated_landmarks --count N
--out FOLDER`.

Some thirty in the time of one rendered picture. The points lie where the lifter's own table puts them on the
body, with the errors that the landmark network has; what it would say of depth cannot be simulated and is
left out, and so are hands and face. They teach which bodies there are, and leave it to rendered pictures to
teach what the networks get wrong.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from turnaround.data.clothes import base_mesh
from turnaround.data.clothes.base_mesh import BaseMesh, rotation_matrices
from turnaround.data.clothes.closet import Closet
from turnaround.data.people import (
    BETA_LIMIT,
    FIELDS,
    TEST_SEED,
    Figure,
    rotation_vector,
    upright,
    varied_shape,
)
from turnaround.data.poses.variety import sample_varied_pose
from turnaround.data.sets.archive import save_npz
from turnaround.data.sets.singles import framed, lens, tilt, yaw
from turnaround.models.estimator.lifter.landmark_points import POINT_FRAMES, POINT_JOINTS
from turnaround.models.estimator.lifter.predict import load_lifter
from turnaround.pipeline.errors import CallError

log = logging.getLogger(__name__)
CHUNK = 2000
POSE_ORDER = (
    "global_orient",
    "body_pose",
    "jaw_pose",
    "leye_pose",
    "reye_pose",
    "left_hand_pose",
    "right_hand_pose",
)
HIDDEN = 0.12  # share of landmarks that are said to be hidden, with the errors of such


def figure(rng: np.random.Generator, base: BaseMesh, offsets: np.ndarray) -> tuple[Figure, np.ndarray]:
    """A posed body about the origin, whose "vertices" are its landmarks (five times each), and the direction
    against gravity."""
    betas = varied_shape(rng, np.clip(rng.normal(size=10), -BETA_LIMIT, BETA_LIMIT).astype(np.float32))
    rest = base.joints(betas, np.zeros(10, np.float32))
    pose = sample_varied_pose(rng)
    standing = upright(float(yaw(rng)), np.radians(rng.normal(0, 3, 3)))
    camera = rotation_matrices(tilt(rng)[None])[0]
    R = camera @ standing @ rotation_matrices(pose.root[None])[0]
    zeros = {name: np.zeros(shape, np.float32) for name, shape in (("expression", 10), ("transl", 3))}
    body = {"betas": betas, "global_orient": rotation_vector(R), **zeros, **pose.parameters}
    body = {name: np.asarray(body[name], np.float32) for name in FIELDS}
    body["transl"] = -rest[0]
    world = base_mesh.joint_transforms(
        rest, np.concatenate([body[name].reshape(-1, 3) for name in POSE_ORDER])
    )
    joints, rotations = (world[:, :, 3] - rest[0]).astype(np.float32), world[:, :, :3].astype(np.float32)
    points = joints[list(POINT_JOINTS)] + (rotations[list(POINT_FRAMES)] @ offsets[..., None])[..., 0]
    vertices = np.repeat(points.astype(np.float32), 5, axis=0)  # `framed` looks at every fifth
    blank: Any = None
    posed = Figure(blank, vertices, np.zeros_like(vertices), blank, joints, rotations, body, blank, pose.kind)
    return posed, (camera @ np.array([0.0, -1.0, 0.0])).astype(np.float32)


def sighting(
    rng: np.random.Generator, base: BaseMesh, offsets: np.ndarray, errors: np.ndarray
) -> dict[str, np.ndarray]:
    """One row of a landmark set (`data.landmark_sets.chunk`)."""
    posed, up = figure(rng, base, offsets)
    placed, photo = framed(rng, posed)
    K, T = lens(rng, placed.joints[0], 1)
    points = placed.vertices[::5][:33]
    in_camera = (points @ T[:3, :3].T + T[:3, 3]) @ K.T
    xy = in_camera[:, :2] / in_camera[:, 2:]
    hidden = rng.random(33) < HIDDEN
    height = float(np.ptp(xy, axis=0).max())
    # the median length of a vector is 1.18 deviations; tails as the network has them
    sigma = np.where(hidden, errors[1, :33], errors[0, :33]) / 1.18 * height * rng.choice([0.7, 1.0, 2.0], 33)
    xy = xy + rng.normal(size=(33, 2)) * sigma[:, None]
    visibility = np.where(hidden, rng.uniform(0.05, 0.5, 33), rng.uniform(0.9, 1.0, 33))
    table = np.concatenate([xy, np.zeros((33, 1)), visibility[:, None], rng.uniform(0.95, 1.0, (33, 1))], 1)
    return {
        "pose_points": table.astype(np.float32),
        "pose_world": np.zeros((33, 3), np.float32),
        "pose_region": np.zeros(4, np.float32),
        "pose_flag": np.array(1, np.float32),
        "hand_xy": np.zeros((2, 21, 2), np.float32),
        "hand_world": np.zeros((2, 21, 3), np.float32),
        "hand_flag": np.zeros((2, 2), np.float32),
        "face_points": np.zeros((468, 3), np.float32),
        "face_flag": np.array(0, np.float32),
        "joints": placed.joints,
        "joints_uv": np.zeros((55, 2), np.float32),
        "joint_visible": np.ones(55, bool),
        "photo": photo,
        "up": up,
        "T_camera_world": T,
        "K": K,
        "kind": np.array(placed.kind, "<U24"),
        **{f"body_{name}": value for name, value in placed.body.items()},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: make the chunks that are missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, required=True, help="bodies, rounded up to whole chunks")
    parser.add_argument("--seed", type=int, default=500_000, help="of the first chunk")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lifter", default="lifter", help="weight whose table of landmarks is used")
    options: Any = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    base, lifter = Closet.open("train").base, load_lifter(options.lifter)
    offsets, errors = lifter.offsets.numpy(), lifter.errors.numpy()
    chunks = -(-options.count // CHUNK)
    if options.seed + chunks > TEST_SEED:
        raise CallError(f"--seed {options.seed}: people for testing have seeds from {TEST_SEED}")
    for number in range(chunks):
        file = options.out / f"chunk_{number:05d}.npz"
        if file.is_file():
            continue
        rows = [
            sighting(np.random.default_rng([options.seed + number, k]), base, offsets, errors)
            for k in range(CHUNK)
        ]
        save_npz(file, {name: np.stack([row[name] for row in rows]) for name in rows[0]}, level=1)
        log.info("%s", file.name)


if __name__ == "__main__":
    main()
