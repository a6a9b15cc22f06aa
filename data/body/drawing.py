"""A picture of the free body to judge it by: `python -m turnaround.data.body.drawing docs/body.png`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image

from turnaround.data.poses.everyday import sample_pose
from turnaround.data.poses.limbs import arm, leg, mirror
from turnaround.models.body.model import FREE_BODY, BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.mesh.zbuffer import rasterize_mesh
from turnaround.pipeline.values.normals import summed_normals
from turnaround.pipeline.values.types import Body

CELL, SUPERSAMPLING = 220, 2
_COLORS = np.array(
    [[0.80, 0.62, 0.52], [0.95, 0.95, 0.97], [0.9, 0.9, 0.85], [0.8, 0.4, 0.4], [0.6, 0.35, 0.35]]
)
_LIGHT = np.array([0.35, 0.55, 0.75]) / np.linalg.norm([0.35, 0.55, 0.75])


def draw(
    vertices: np.ndarray, faces: np.ndarray, part: np.ndarray, yaw: float, centre: np.ndarray, span: float
) -> np.ndarray:
    """(CELL,CELL,3) an orthographic shaded picture of `span` metres around `centre`; y up, seen from +z
    turned by `yaw`."""
    c, s = np.cos(yaw), np.sin(yaw)
    seen = (vertices - centre) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    size = CELL * SUPERSAMPLING
    uvz = np.stack([size * (0.5 + seen[:, 0] / span), size * (0.5 - seen[:, 1] / span), 5 - seen[:, 2]], 1)
    face_id, bary, _ = rasterize_mesh(uvz.astype(np.float32), faces, size, size)
    normals = summed_normals(seen, faces)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    hit = face_id >= 0
    normal = (normals[faces[face_id[hit]]] * bary[hit][..., None]).sum(1)
    shade = np.clip(0.4 + 0.23 * np.abs(normal[:, 2]) + 0.49 * np.clip(normal @ _LIGHT, 0, 1), 0, 1)
    picture = np.ones((size, size, 3))
    picture[hit] = _COLORS[part[face_id[hit]]] * shade[:, None]
    return picture.reshape(CELL, SUPERSAMPLING, CELL, SUPERSAMPLING, 3).mean((1, 3))


class _Studio:
    """Bodies in the file's own frame (y up), posed by joint name."""

    def __init__(self) -> None:
        self.model = BodyModel.load()
        with np.load(FREE_BODY) as archive:
            self.part = archive["part"]
        self.faces = self.model.faces.numpy().astype(np.int32)

    def shots(
        self, pose: Mapping[str, ArrayLike], views: list[tuple[float, str, float]], **fields: torch.Tensor
    ) -> list[np.ndarray]:
        """Pictures of one pose; a view is (yaw, joint in the middle, span in metres)."""
        rotvecs = torch.zeros(55, 3)
        for name, rotvec in pose.items():
            rotvecs[JOINT_INDEX[name]] = torch.tensor(np.asarray(rotvec), dtype=torch.float32)
        zero = Body.neutral()._map(torch.zeros_like)
        body = dataclasses.replace(
            zero,
            body_pose=rotvecs[1:22],
            jaw_pose=rotvecs[22],
            left_hand_pose=rotvecs[25:40],
            right_hand_pose=rotvecs[40:],
        )
        output = self.model(dataclasses.replace(body, **fields))
        vertices, joints = output.vertices.numpy(), output.joints.numpy()
        return [
            draw(vertices, self.faces, self.part, yaw, joints[JOINT_INDEX[at]], span)
            for yaw, at, span in views
        ]


def _both(limb: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    sides = (("left", limb), ("right", mirror(limb)))
    return {f"{side}_{name}": rotvec for side, part in sides for name, rotvec in part.items()}


def sheet(seed: int = 0) -> np.ndarray:
    """(H,W,3) rows: poses from all sides; hips, squat; twist and hands; faces; shapes; sampled poses."""
    studio, rng = _Studio(), np.random.default_rng(seed)
    down = _both(arm(1.2, 0.0, 0.0, 0.15))
    full = [(yaw, "pelvis", 2.2) for yaw in (0.0, 0.8, 1.57, 3.14)]
    lifted = down | {f"left_{k}": v for k, v in leg(1.57, 0, 0, 1.57).items()}
    squat = down | _both(leg(1.7, 0.2, 0.2, 2.0, -0.4))
    rows = [
        studio.shots({}, full) + studio.shots(down, full),
        studio.shots(lifted, full) + studio.shots(squat, full),
    ]
    hand = [(0.0, "left_wrist", 0.6)]
    curl = {
        f"left_{finger}{k}": [0, 0, -0.9]
        for finger in ("index", "middle", "ring", "pinky")
        for k in (1, 2, 3)
    }
    twists = [{"left_wrist": [angle, 0, 0]} for angle in (0, 0.8, 1.57, -1.57)] + [
        {"left_wrist": [0, 0, z]} for z in (-0.9, 0.9)
    ]
    rows.append(
        [cell for pose in [*twists, curl, {"left_elbow": [0, -1.8, 0]}] for cell in studio.shots(pose, hand)]
    )
    face = [(0.3, "head", 0.36)]
    faces = studio.shots({}, face) + studio.shots({"jaw": [0.3, 0, 0]}, face)
    people = [torch.from_numpy(rng.normal(size=(2, 10)).astype(np.float32)) for _ in range(6)]
    rows.append(
        faces
        + [studio.shots({}, face, betas=betas, expression=expression)[0] for betas, expression in people]
    )
    rows.append(
        [
            studio.shots(down, full[:1], betas=betas)[0]
            for betas in torch.randn(8, 10, generator=torch.Generator().manual_seed(seed))
        ]
    )
    for _ in range(2):
        poses = [
            {name: torch.from_numpy(value) for name, value in sample_pose(rng).items()} for _ in range(8)
        ]
        rows.append([studio.shots({}, [(0.4, "pelvis", 2.2)], **pose)[0] for pose in poses])
    return np.concatenate([np.concatenate(row, 1) for row in rows])


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    picture = (sheet() * 255).round().astype(np.uint8)
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).quantize(128).save(out, optimize=True)


if __name__ == "__main__":
    main()
