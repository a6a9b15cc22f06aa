"""THuman2.0 and 2.1: `NNNN/NNNN.obj` with `material0.jpeg`, SMPL-X fits in an archive of their own.

The dataset's page: a scan's units are its own; SMPL-X vertices (male body, 12 hand coefficients, mean hand)
times `scale` plus `translation` lie on it. So (scan - translation) / scale is in metres, in the body's frame,
y up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import KDTree

from turnaround.data.scans.meshes import read_textured_obj, read_vertices
from turnaround.data.scans.parameters import SourceBody, body_of, read_fields
from turnaround.data.scans.scan import BodyFit, Scan, ScanError, TexturedMesh, check_height
from turnaround.pipeline.errors import CallError

SCANS = ("", "THuman2.0_Release", "THuman2.1_Release", "model")
FITS = ("", "smplx", "THuman2.0_smplx", "THuman2.1_smplx", "THuman2.0_Smpl_X_Paras", "THUman2.0_Smpl_X_Paras")
SECOND_BATCH = 526  # scans from here on came with 2.1, some with other axes
UP = np.array([0, 1, 0], np.float32)


class THuman2:
    """Reader of the layout; see `data.scans.scan.ScanReader`."""

    def __init__(
        self,
        root: Path,
        source: SourceBody | None = None,
        *,
        fits: Path | None = None,
        texture_size: int = 2048,
    ) -> None:
        folders = [root / name for name in SCANS]
        self.folder = next((folder for folder in folders if any(folder.glob("[0-9]*/[0-9]*.obj"))), None)
        if self.folder is None:
            raise CallError(
                f"{root}: no THuman2 scans; expected NNNN/NNNN.obj in it, or in {', '.join(SCANS[1:])} "
                f"below it"
            )
        self.fits = [fits] if fits else [folder / name for folder in (root, root.parent) for name in FITS]
        self.source, self.texture_size = source, texture_size

    def names(self) -> Sequence[str]:
        """Folders with a mesh of their own name."""
        assert self.folder is not None
        return sorted(
            folder.name for folder in self.folder.iterdir() if folder.name.isdigit() and folder.is_dir()
        )

    def read(self, name: str) -> Scan:
        """One scan in metres, y up, its body at the origin of SMPL-X."""
        assert self.folder is not None
        fit_folder = next(
            (folder / name for folder in self.fits if (folder / name / "smplx_param.pkl").is_file()),
            self.fits[0] / name,
        )
        fields = read_fields(fit_folder / "smplx_param.pkl")
        folder = self.folder / name
        mesh = read_textured_obj(
            folder / f"{name}.obj",
            [folder / f"material0{suffix}" for suffix in (".jpeg", ".jpg", ".png")],
            texture_size=self.texture_size,
        )
        scale, shift = _placement(fit_folder / "smplx_param.pkl", fields)
        body = body_of(
            fit_folder / "smplx_param.pkl",
            fields,
            self.source.hands if self.source else None,
            flat_hand=False,
        )
        if "translation" in fields:
            body = replace(body, transl=torch.zeros(3))
        given = fit_folder / "mesh_smplx.obj"
        vertices = ((read_vertices(given) + shift) / scale).astype(np.float32) if given.is_file() else None
        fit = BodyFit(fit_folder / "smplx_param.pkl", body, "smplx", vertices=vertices)
        if int(name) >= SECOND_BATCH:
            mesh = self._axes_of_the_fit(mesh, fit, scale, shift)
        mesh = mesh.moved(np.eye(3), shift, 1 / scale)
        check_height(folder / f"{name}.obj", mesh.vertices, UP)
        return Scan(name, mesh, UP, fit)

    def _axes_of_the_fit(
        self, mesh: TexturedMesh, fit: BodyFit, scale: float, shift: np.ndarray
    ) -> TexturedMesh:
        """Some scans of the second batch have y, z, x for x, y, z: whichever lies on the body is right."""
        if fit.vertices is not None:
            body = fit.vertices
        elif self.source is not None:
            with torch.no_grad():
                body = self.source.model(fit.body).vertices.numpy()
        else:
            return mesh
        points = mesh.vertices[:: max(1, len(mesh.vertices) // 5000)]
        candidates = [np.eye(3, dtype=np.float32)[order] for order in ([0, 1, 2], [1, 2, 0])]
        distances = [
            np.median(KDTree((points @ R.T + shift) / scale).query(body[::10])[0]) for R in candidates
        ]
        return mesh.moved(candidates[int(np.argmin(distances))], np.zeros(3))


def _placement(file: Path, fields: dict[str, np.ndarray]) -> tuple[float, np.ndarray]:
    """The fit's scale and minus its translation."""
    scale = float(fields["scale"].reshape(-1)[0]) if "scale" in fields else 1.0
    if not (np.isfinite(scale) and scale > 1e-4):
        raise ScanError(f"{file}: 'scale' is {scale}, expected a positive number")
    return scale, -fields.get("translation", np.zeros(3, np.float32)).reshape(-1)[:3].astype(np.float64)
