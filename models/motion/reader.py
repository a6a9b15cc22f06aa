"""The user's motion: BVH of any skeleton, AMASS-like .npz, SMPL-X in .npz, .json or .pkl, all frames in one
file or a file a frame in a folder or zip."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.given.body_file import Layout
from turnaround.models.motion.files.axes import Up
from turnaround.models.motion.files.from_arrays import motion_of_arrays
from turnaround.models.motion.files.from_bvh import frame_rate, motion_of_bvh
from turnaround.models.motion.files.gather import fields_of_bytes, fields_of_folder
from turnaround.models.motion.files.grounding import centred, grounded
from turnaround.models.motion.files.span import Span
from turnaround.pipeline.errors import CallError, FormatError, MissingFile
from turnaround.pipeline.formats import bvh
from turnaround.pipeline.values.motion import Motion

SUFFIXES = (".bvh", ".npz", ".json", ".pkl", ".pickle", ".zip")


def read_motion(
    source: Path | bytes, name: str, *,
    fps: float | None = None, rate: float | None = None, start: float = 0.0, end: float | None = None,
    up: Up = "auto", person: int = 0, layout: Layout = "columns", ground: bool = True, centre: bool = True,
    model: BodyModel | None = None,
) -> tuple[Motion, list[str]]:  # fmt: skip
    """The movement in a file or folder, in our world on the ground y = 0, and what was guessed, to be said.

    Args:
        source: a file, a folder with a file a frame, or a file's bytes.
        name: what messages call it.
        fps: frames a second of the result; None keeps those of the file.
        rate: frames a second of the file, where it tells none or wrong ones.
        start, end: seconds of the file that are read.
        up: the file's axis that points up; "auto" looks how people stand in it.
        person: which one, where it holds several, 0 first.
        layout: how rotations of six or nine numbers are written.
        ground: put the lowest feet on the ground.
        centre: begin over the origin, if it begins farther than half a metre from it.
        model: the body; None is the free one.

    Raises:
        FormatError: the file, what is wrong, and the remedy; also for more than `span.MAX_FRAMES` frames.
        MissingFile: there is none.
    """
    if (fps is not None and not fps > 0) or (rate is not None and not rate > 0):
        raise CallError(f"{fps or rate} frames a second: expected more than 0")
    if isinstance(source, Path) and not source.exists():
        raise MissingFile(f"{name}: there is no file or folder {source}")
    body, span = model or BodyModel.shared(), Span(start, end, fps)
    try:
        if isinstance(source, Path) and source.is_dir():
            fields = fields_of_folder(source, person)
        else:
            data = source if isinstance(source, bytes) else source.read_bytes()
            if _is_bvh(data, name):
                return _finished(*_of_bvh(data, body, span, rate, up), body, fps, ground, centre)
            fields = fields_of_bytes(data, person)
        motion, guesses = motion_of_arrays(fields, body, span, up=up, rate=rate, person=person, layout=layout)
        return _finished(motion, guesses, body, fps, ground, centre)
    except (ValueError, LookupError, OverflowError, RuntimeError) as error:  # RuntimeError: torch's algebra
        raise FormatError(f"{name}: {error}") from error


def _is_bvh(data: bytes, name: str) -> bool:
    if not data:
        raise FormatError("it is empty (0 bytes); write it again")
    return name.lower().endswith(".bvh") or data.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].upper() == b"HIERARCHY"


def _of_bvh(
    data: bytes, model: BodyModel, span: Span, rate: float | None, up: Up
) -> tuple[Motion, list[str]]:
    read = bvh.decode(data)
    frames, known = span.frames(len(read), rate or frame_rate(read.frame_time))
    cut = dataclasses.replace(read, values=read.values[frames], frame_time=1 / known)
    return motion_of_bvh(cut, model, up)


def _finished(
    motion: Motion, guesses: list[str], model: BodyModel, fps: float | None, ground: bool, centre: bool
) -> tuple[Motion, list[str]]:
    """On the ground, over the origin, and as often a second as is wanted."""
    said = list(guesses)
    if ground:
        motion, more = grounded(motion, model, each=any("stays on the spot" in guess for guess in guesses))
        said += more
    if centre:
        motion, more = centred(motion, model)
        said += more
    return (motion.resampled(fps) if fps else motion), said
