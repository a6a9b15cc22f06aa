"""The truth at 1,024 px: a synthetic person as the suite's twelve cameras see them, kept in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.data.people import Figure
from turnaround.data.sets.archive import save_npz
from turnaround.data.sets.folders import AZIMUTHS
from turnaround.pipeline.values.camera import orbit_cameras

SIZE = 1024  # pixels of the truth, of what is compared with it, and of the photo
Picture = Float[Tensor, "h w 3"]
Mask = Float[Tensor, "h w"]


@dataclass(frozen=True)
class FineTruth:
    """The person as the suite's cameras truly see them, kept in a file and read one azimuth at a time."""

    file: Path

    @staticmethod
    def make(figure: Figure, file: Path, size: int = SIZE) -> None:
        """Render and keep it: for each azimuth a picture over white and a mask, of 8 bits."""
        cameras = orbit_cameras(AZIMUTHS, size)
        arrays: dict[str, np.ndarray] = {}
        for azimuth, K, T in zip(AZIMUTHS, cameras.K.numpy(), cameras.T_camera_world.numpy(), strict=True):
            picture = figure.seen_from(K, T, size)
            arrays |= {f"rgb_{azimuth:03d}": picture.over_white(), f"mask_{azimuth:03d}": picture.alpha}
        file.parent.mkdir(parents=True, exist_ok=True)
        save_npz(file, arrays, level=1)

    def views(self, azimuths: Sequence[int] = AZIMUTHS) -> Iterator[tuple[int, Picture, Mask]]:
        """Azimuth, picture over white and soft mask, one after the other."""
        with np.load(self.file, allow_pickle=False) as data:
            for azimuth in azimuths:
                stored = (data[f"{name}_{azimuth:03d}"] for name in ("rgb", "mask"))
                image, mask = (torch.from_numpy(array).float() / 255 for array in stored)
                yield azimuth, image, mask
