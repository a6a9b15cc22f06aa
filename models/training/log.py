"""What a training leaves to look at: a JSON line a report, sample pictures, TensorBoard logs where that is
installed."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from turnaround.pipeline.errors import CallError

log = logging.getLogger(__name__)

Pictures = dict[str, Tensor]


class Journal:
    """Writes into a run's folder; `enabled` is false in all processes but the first."""

    def __init__(self, folder: Path, *, tensorboard: bool, enabled: bool = True) -> None:
        self.folder, self.enabled, self.board = folder, enabled, None
        if enabled:
            folder.mkdir(parents=True, exist_ok=True)
            self.board = _board(folder) if tensorboard else None

    def report(self, line: dict[str, Any]) -> None:
        """One line of figures; `step` is among them."""
        if not self.enabled:
            return
        log.info("%s", " ".join(f"{k} {v}" for k, v in line.items()))
        with open(self.folder / "log.jsonl", "a") as stream:
            stream.write(json.dumps(line) + "\n")
        if self.board is not None:
            for name, value in line.items():
                group, _, rest = name.partition("_") if name.startswith("val_") else ("train", "", name)
                if isinstance(value, int | float) and name != "step":
                    self.board.add_scalar(f"{group}/{rest}", value, line["step"])

    def show(self, step: int, pictures: Pictures) -> None:
        """Sample pictures (h, w, 3) in [0, 1], as `samples/STEP_NAME.jpg`."""
        if not self.enabled:
            return
        (self.folder / "samples").mkdir(exist_ok=True)
        for name, picture in pictures.items():
            if picture.ndim != 3 or picture.shape[-1] != 3:
                raise CallError(
                    f"sample picture {name!r} has shape {tuple(picture.shape)}, expected (h, w, 3)"
                )
            pixels = to_pixels(picture)
            Image.fromarray(pixels).save(self.folder / "samples" / f"{step:06d}_{name}.jpg", quality=88)
            if self.board is not None:
                self.board.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self.board is not None:
            self.board.close()


def to_pixels(picture: Tensor) -> np.ndarray:
    """A picture in [0, 1] as u8 (h, w, 3)."""
    return (picture.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def sheet(rows: list[Tensor]) -> Tensor:
    """Batches of pictures (b, c, h, w), c = 1 or 3, one above the other, as one picture (h', w', 3)."""
    wide = [row.detach().float().cpu().expand(-1, 3, -1, -1) for row in rows]
    return torch.cat([torch.cat(list(row), -1) for row in wide], 1).permute(1, 2, 0)


def _board(folder: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info(
            "no TensorBoard logs: `pip install 'turnaround[train]'` brings the package; log.jsonl is written "
            "all the same"
        )
        return None
    return SummaryWriter(str(folder / "tensorboard"))
