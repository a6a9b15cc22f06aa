"""The motion that is meant: one of our own by name, a file, or a value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnaround.flows.show.suggestions import meant
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.digest import file_digest

if TYPE_CHECKING:
    from turnaround.pipeline.values.motion import Motion


@dataclass(frozen=True)
class Chosen:
    """A motion with what is to be said of it."""

    title: str  # for names of files
    motion: Motion
    notes: tuple[str, ...] = ()  # what was guessed in reading it
    source: Any = None  # for provenance


def choose(wanted: str | Path | Motion, fps: float, seconds: float | None) -> Chosen:
    """The motion at `fps` frames a second and for `seconds`, at most so long for a file.

    Args:
        wanted: a name of `models.motion.builtin.NAMES`, the path of a file or folder, or a Motion.
        fps: frames a second.
        seconds: of the motion; None: all of it, or a few cycles.

    Raises:
        CallError: no such motion, or numbers that make no sense.
        FormatError: a file that cannot be read.
    """
    from turnaround.models.motion.builtin import NAMES, builtin
    from turnaround.pipeline.values.motion import Motion

    if not 0 < fps <= 240:
        raise CallError(f"--fps {fps:g}: expected more than 0 and at most 240")
    if seconds is not None and not seconds > 0:
        raise CallError(f"--seconds {seconds:g}: expected more than 0")
    if isinstance(wanted, Motion):
        motion = wanted.resampled(fps)
        return Chosen("motion", motion if seconds is None else motion.cut(0, seconds), source="given")
    if str(wanted) in NAMES:
        return Chosen(str(wanted), builtin(str(wanted), seconds=seconds, fps=fps), source=str(wanted))
    path = Path(wanted)
    if not path.exists():
        raise CallError(
            f"no motion is called {str(wanted)!r}{meant(str(wanted), NAMES)}, and there is no such file; "
            f"there are {', '.join(NAMES)}, or give a file (.bvh, .npz, .json, .pkl, .zip) or a folder"
        )
    from turnaround.models.motion.reader import read_motion

    motion, notes = read_motion(path, str(path), fps=fps, end=seconds)
    digest = {"sha256": file_digest(path)} if path.is_file() else {}
    return Chosen(path.stem, motion, tuple(notes), {"file": path.name, **digest})


def held(motion: Motion, seconds: float) -> Motion:
    """A motion of one frame, for so long; others as they are."""
    if len(motion) > 1:
        return motion
    import torch

    return motion[torch.zeros(max(1, round(seconds * motion.fps)), dtype=torch.long)]


def without_repeat(motion: Motion) -> Motion:
    """A clip that repeats, without its last frame, which is its first again: players go on without a stop."""
    if len(motion) < 3 or not motion.loops:
        return motion
    return dataclasses.replace(motion, body=motion.body[: len(motion) - 1])
