"""Custom Humans: `mesh/NAME/mesh-fNNNNN.obj|.mtl|.png` and `smplx/NAME/mesh-fNNNNN.json|.pkl` with
`mesh-fNNNNN_smplx.obj`.

The scans stand in the body's canonical frame: metres, y up, the root not rotated and the pelvis at the
origin. The fits are of the male SMPL-X body with 12 hand coefficients relative to the flat hand (the authors'
load_json_to_smplx).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from turnaround.data.scans.meshes import IMAGES, read_textured_obj, read_vertices
from turnaround.data.scans.parameters import SourceBody, body_of, read_fields
from turnaround.data.scans.scan import BodyFit, Scan, ScanError, check_height
from turnaround.pipeline.errors import CallError

UP = np.array([0, 1, 0], np.float32)


class CustomHumans:
    """Reader of the layout; see `data.scans.scan.ScanReader`. The two trees may also be merged into one."""

    def __init__(
        self,
        root: Path,
        source: SourceBody | None = None,
        *,
        fits: Path | None = None,
        unit: float = 1.0,
        texture_size: int = 2048,
    ) -> None:
        self.meshes = root / "mesh" if (root / "mesh").is_dir() else root
        self.fits = fits or (root / "smplx" if (root / "smplx").is_dir() else self.meshes)
        self.source, self.unit, self.texture_size = source, unit, texture_size
        if not any(self.meshes.glob("*/mesh-f*.obj")):
            raise CallError(f"{root}: no Custom Humans scans; expected mesh/NAME/mesh-fNNNNN.obj in it")

    def names(self) -> Sequence[str]:
        """Folders with a mesh."""
        return sorted(
            folder.name
            for folder in self.meshes.iterdir()
            if folder.is_dir() and any(folder.glob("mesh-f*.obj"))
        )

    def read(self, name: str) -> Scan:
        """One scan in metres, y up, the pelvis at the origin."""
        folder = self.meshes / name
        file = next((path for path in sorted(folder.glob("mesh-f*.obj")) if "_smpl" not in path.stem), None)
        if file is None:
            raise ScanError(f"{folder}: no mesh-fNNNNN.obj; unpack the dataset again")
        parameters = self._parameters(name, file.stem)
        fields = read_fields(parameters)
        body = body_of(parameters, fields, self.source.hands if self.source else None, flat_hand=True)
        body = replace(body, global_orient=torch.zeros(3), transl=torch.zeros(3))
        mesh = read_textured_obj(
            file,
            [file.with_suffix(suffix) for suffix in IMAGES],
            scale=self.unit,
            texture_size=self.texture_size,
        )
        check_height(file, mesh.vertices, UP)
        given = [parameters.with_name(f"{file.stem}{ending}.obj") for ending in ("_smplx", "_smpl")]
        vertices = next(
            (read_vertices(path) * np.float32(self.unit) for path in given if path.is_file()), None
        )
        return Scan(name, mesh, UP, BodyFit(parameters, body, "smplx", np.zeros(3, np.float32), vertices))

    def _parameters(self, name: str, stem: str) -> Path:
        folder = self.fits / name
        candidates = [
            folder / f"{stem}{ending}{kind}"
            for ending in ("", "_smplx", "_smpl")
            for kind in (".json", ".pkl", ".npz")
        ]
        return next((path for path in candidates if path.is_file()), candidates[0])
