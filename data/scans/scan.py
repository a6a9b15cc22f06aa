"""What a reader hands over for one scan: a textured mesh in metres and the SMPL-X parameters of the body in
it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32

from turnaround.data.render import Surface
from turnaround.models.body.model import BodyModel
from turnaround.pipeline.errors import TurnaroundError
from turnaround.pipeline.values.types import Body

HEIGHTS = (0.5, 2.6)  # metres: what a person, child or adult with raised arms, can measure along the up axis


class ScanError(TurnaroundError, ValueError):
    """One scan cannot be used: names the file and the remedy. The other scans are not concerned."""

    fault = "picture"


@dataclass(frozen=True)
class TexturedMesh:
    """A scan's surface; the vertices of texture seams are one, texture coordinates belong to the corners."""

    vertices: Float32[np.ndarray, "v 3"]
    surface: Surface

    def moved(
        self, R: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, "3"], scale: float = 1.0
    ) -> TexturedMesh:
        """The mesh after x -> R (x + shift) * scale."""
        moved = (self.vertices.astype(np.float64) + shift) @ np.asarray(R, np.float64).T * scale
        return replace(self, vertices=moved.astype(np.float32))


@dataclass(frozen=True)
class BodyFit:
    """What a dataset tells of the body in a scan, in the scan's frame (metres)."""

    file: Path
    body: Body  # pose and shape as written; `transl` as in smplx, unless `pelvis` is given
    family: str  # "smplx", or "smpl": its shape coefficients mean nothing to an SMPL-X body
    pelvis: Float32[np.ndarray, "3"] | None = (
        None  # where the pelvis is, for datasets that place it and not the body's origin
    )
    vertices: Float32[np.ndarray, "n 3"] | None = None  # of the dataset's own SMPL-X mesh, where it has one

    def placed_body(self, model: BodyModel) -> Body:
        """The parameters as `model` understands them."""
        if self.pelvis is None:
            return self.body
        return replace(self.body, transl=torch.from_numpy(self.pelvis) - rest_pelvis(model, self.body))


@dataclass(frozen=True)
class Scan:
    """One scan in its own frame, scaled to metres."""

    name: str
    mesh: TexturedMesh
    up: Float32[np.ndarray, "3"]  # unit
    fit: BodyFit


@runtime_checkable
class ScanReader(Protocol):
    """A dataset of scans in one published layout."""

    def names(self) -> Sequence[str]:
        """All scans, sorted."""
        ...

    def read(self, name: str) -> Scan:
        """One scan; ScanError where something of it is missing or wrong."""
        ...


def rest_pelvis(model: BodyModel, body: Body) -> Float[torch.Tensor, "3"]:
    """J_0(betas): where the pelvis is before `transl`."""
    coefficients = torch.cat([body.betas, body.expression])
    return model.joint_template[0] + model.joint_shapedirs[0] @ coefficients


def check_height(file: Path, vertices: Float32[np.ndarray, "v 3"], up: Float32[np.ndarray, "3"]) -> None:
    """ScanError where the extent along `up` is no person's."""
    along = vertices @ up
    height = float(along.max() - along.min())
    if not HEIGHTS[0] <= height <= HEIGHTS[1]:
        hint = next(
            (
                f"; it looks like {unit}: pass --unit {unit}"
                for unit, size in (("mm", 1e3), ("cm", 1e2))
                if 0.5 < height / size < 2.6
            ),
            "",
        )
        raise ScanError(
            f"{file}: the person is {height:.3g} m high, expected {HEIGHTS[0]} to {HEIGHTS[1]} m{hint}"
        )
