"""HuMMan-Recon: `SEQUENCE/textured_meshes/NNNNNN.obj`, `SEQUENCE/smpl_params/NNNNNN.npz`,
`SEQUENCE/cameras.json`.

The world is the colour camera of Kinect 0 (OpenCV axes, metres). The bodies are SMPL, not SMPL-X: their 21
body joints mean the same in SMPL-X and are taken; shape and position mean something else and are found by
fitting to the mesh.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from turnaround.data.scans.meshes import read_textured_obj
from turnaround.data.scans.parameters import SMPL_POSE, body_of, read_fields
from turnaround.data.scans.scan import BodyFit, Scan, ScanError, check_height
from turnaround.pipeline.errors import CallError


class HuMMan:
    """Reader of the layout; see `data.scans.scan.ScanReader`. One scan is one frame, named SEQUENCE_FRAME."""

    def __init__(self, root: Path, *, unit: float = 1.0, every: int = 1, texture_size: int = 2048) -> None:
        self.root, self.unit, self.every, self.texture_size = root, unit, every, texture_size
        if not any(root.glob("*/textured_meshes/*.obj")):
            raise CallError(
                f"{root}: no HuMMan sequences; expected pNNNNNN_aNNNNNN/textured_meshes/NNNNNN.obj "
                f"(recon_textured_meshes.zip)"
            )

    def names(self) -> Sequence[str]:
        """Every `every`-th frame of each sequence that has meshes."""
        sequences = sorted(folder.parent for folder in self.root.glob("*/textured_meshes"))
        return [
            f"{sequence.name}_{file.stem}"
            for sequence in sequences
            for file in sorted(sequence.glob("textured_meshes/*.obj"))[:: self.every]
        ]

    def read(self, name: str) -> Scan:
        """One frame in the frame of Kinect 0."""
        sequence, frame = self.root / name.rsplit("_", 1)[0], name.rsplit("_", 1)[1]
        parameters = sequence / "smpl_params" / f"{frame}.npz"
        fields = read_fields(parameters)
        if fields.get("body_pose", np.zeros(0)).size != SMPL_POSE:
            shape = np.shape(fields.get("body_pose", ()))
            raise ScanError(
                f"{parameters}: 'body_pose' has shape {shape}, expected SMPL's ({SMPL_POSE},); is it "
                f"HuMMan's recon_smpl_params?"
            )
        body = replace(body_of(parameters, fields, None, flat_hand=True), betas=torch.zeros(10))
        file = sequence / "textured_meshes" / f"{frame}.obj"
        mesh = read_textured_obj(
            file, [file.with_name(f"{frame}_0.png")], scale=self.unit, texture_size=self.texture_size
        )
        up = _up(sequence / "cameras.json")
        check_height(file, mesh.vertices, up)
        return Scan(name, mesh, up, BodyFit(parameters, body, "smpl"))


def _up(file: Path) -> Float32[np.ndarray, "3"]:
    """The room's vertical: cameras all around that pitch alike have it as the mean of their own."""
    try:
        cameras = json.loads(file.read_text())
        down = np.mean(
            [np.asarray(camera["R"], np.float64)[1] for key, camera in cameras.items() if "color" in key], 0
        )
        up = -down / np.linalg.norm(down)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ScanError(
            f"{file}: no readable colour cameras ({type(error).__name__}: {error}); unpack "
            f"recon_cameras.zip there"
        ) from error
    if not np.isfinite(up).all():
        raise ScanError(f"{file}: the cameras have no common vertical; expected Kinects around the person")
    return up.astype(np.float32)
