"""Checkpoints that a crash cannot spoil: written beside, synced, renamed; the one before is kept as a second
chance."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import replacing

log = logging.getLogger(__name__)

LAST, PREVIOUS, BEST = "checkpoint.pt", "checkpoint.previous.pt", "best.pt"


def write(state: dict[str, Any], file: Path) -> None:
    """Write in one rename; a reader sees the old file or the new one."""
    with replacing(file, durable=True) as beside:
        torch.save(state, beside)


def write_last(state: dict[str, Any], folder: Path) -> Path:
    """Write the newest checkpoint; the one before becomes `checkpoint.previous.pt`."""
    last = folder / LAST
    fresh = folder / f".next.{os.getpid()}.pt"
    write(state, fresh)
    if last.is_file():
        os.replace(last, folder / PREVIOUS)
    os.replace(fresh, last)
    return last


def read_newest(folder: Path, device: torch.device | str) -> tuple[dict[str, Any], Path] | None:
    """The newest checkpoint that can be read, and its file; None where a run has not begun.

    Raises ValueError when there are checkpoints and none can be read: beginning anew in silence would lose
    the run.
    """
    files = [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()]
    for file in files:
        try:
            return torch.load(file, map_location=device, weights_only=True), file
        except (
            Exception
        ) as error:  # torch reports damage by RuntimeError, EOFError, UnpicklingError, BadZipFile, ...
            log.warning(
                "%s cannot be read (%s); going back to the checkpoint before it",
                file,
                f"{type(error).__name__}: {error}"[:160].replace("\n", " "),
            )
    if files:
        raise CallError(
            f"no checkpoint in {folder} can be read: {', '.join(f.name for f in files)}; delete them to "
            f"begin anew"
        )
    return None
