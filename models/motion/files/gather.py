"""A file, a folder or a zip of poses as arrays over frames: one file with all frames, or a file a frame."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from turnaround.models.estimator.given.body_file import flatten, parse
from turnaround.models.motion.files.span import MAX_FRAMES
from turnaround.pipeline.errors import FormatError

SUFFIXES = (".npz", ".json", ".pkl", ".pickle")
MAX_FILES = 4 * MAX_FRAMES  # of a folder
MAX_BYTES = 2**30  # of all files of a folder or zip
RATES = ("mocap_frame_rate", "mocap_framerate", "mocap_frame_rates", "fps", "frame_rate", "framerate")
Fields = dict[str, np.ndarray]


def fields_of_bytes(data: bytes, person: int) -> Fields:
    """Arrays by name, over frames; a zip of files is one file a frame."""
    if data[:2] == b"PK" and (members := _zipped(data)) is not None:
        return _stacked(members, person)
    value = parse(data)
    frames = _as_frames(value)
    if frames is None:
        return flatten(value, person)
    return _stacked(((f"frame {name}", frame) for name, frame in frames), person)


def fields_of_folder(folder: Path, person: int) -> Fields:
    """The same of a folder with a file a frame, in the order of the numbers in their names."""
    files = sorted(
        (f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES), key=lambda f: natural(f.name)
    )
    if not files:
        raise FormatError(f"the folder holds no {', '.join(SUFFIXES)}: expected one file a frame")
    if len(files) > MAX_FILES:
        raise FormatError(f"{len(files)} files; at most {MAX_FILES} are read")
    if sum(f.stat().st_size for f in files) > MAX_BYTES:
        raise FormatError(f"its files have more than {MAX_BYTES / 2**30:.0f} GiB")
    return _stacked(((file.name, parse(file.read_bytes())) for file in files), person)


def natural(name: str) -> list[tuple[int, str]]:
    """A key by which frame2 comes before frame10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _zipped(data: bytes) -> Iterator[tuple[str, Any]] | None:
    """Name and value of each file of a zip; None where it is an .npz of arrays or a program's archive."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise FormatError(f"it begins like a zip archive and is damaged ({error})") from error
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.filename.lower().endswith(".bvh") for info in infos):
        name = next(info.filename for info in infos if info.filename.lower().endswith(".bvh"))
        raise FormatError(f"it is a zip archive with {name} inside: unpack it and give the .bvh")
    infos = [info for info in infos if info.filename.lower().endswith(SUFFIXES)]
    if not infos:
        return None
    if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > MAX_BYTES:
        raise FormatError(
            f"{len(infos)} files that unpack to {sum(i.file_size for i in infos) / 2**30:.1f} GiB; at most "
            f"{MAX_FILES} files of {MAX_BYTES / 2**30:.0f} GiB are read"
        )
    infos.sort(key=lambda info: natural(info.filename))
    return ((info.filename, parse(_unpacked(archive, info))) for info in infos)


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as stream:
            return stream.read(info.file_size)  # not more than it says
    except Exception as error:  # zipfile and zlib raise many kinds
        raise FormatError(f"{info.filename}: a damaged archive ({type(error).__name__}: {error})") from error


def _as_frames(value: Any) -> list[tuple[str, Any]] | None:
    """The frames of a list of dictionaries, or of a dictionary of them by number or picture; else None."""
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        return [(str(k), frame) for k, frame in enumerate(value)]
    if isinstance(value, Mapping) and value and all(_is_frame(k, v) for k, v in value.items()):
        return [(str(key), value[key]) for key in sorted(value, key=lambda key: natural(str(key)))]
    return None


def _is_frame(key: Any, value: Any) -> bool:
    people = isinstance(value, list | tuple) and value and isinstance(value[0], Mapping)
    return bool(re.search(r"\d", str(key))) and (isinstance(value, Mapping) or bool(people))


def _stacked(frames: Iterator[tuple[str, Any]], person: int) -> Fields:
    """One array a name over all frames; FormatError names the frame that differs from the first."""
    rows: list[Fields] = []
    first = ""
    for name, value in frames:
        try:
            row = flatten(value, person)
        except ValueError as error:
            raise FormatError(f"{name}: {error}") from error
        if rows and {k: v.shape for k, v in row.items()} != {k: v.shape for k, v in rows[0].items()}:
            row = _like(row, rows[0], name, first)
        rows.append(row)
        first = first or name
    if not rows:
        raise FormatError("it has 0 frames")
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def _like(row: Fields, wanted: Fields, name: str, first: str) -> Fields:
    for key, array in wanted.items():
        if key not in row or row[key].shape != array.shape:
            got = row[key].shape if key in row else "nothing"
            raise FormatError(
                f"{name}: '{key}' is {got}, but {array.shape} in {first}; all frames must agree"
            )
    return {key: row[key] for key in wanted}


def rate_of(fields: Mapping[str, np.ndarray]) -> float | None:
    """Frames a second, where a file tells them."""
    for name in RATES:
        if name in fields and fields[name].size:
            rate = float(fields[name].reshape(-1)[0])
            if not 0.1 <= rate <= 10_000:
                raise FormatError(f"'{name}' is {rate}, expected frames a second")
            return rate
    return None
