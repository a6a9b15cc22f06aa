"""Reading what strangers wrote: json, yaml, .npz and pictures, with limits on size, depth and what a file may
claim.

Every reader returns a value or raises ValueError; what a file says of its own size is compared with what is
there before memory is taken for it.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from turnaround.pipeline.errors import FormatError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 80_000_000  # of a picture
MAX_NPZ = 2**30  # bytes of all arrays of an archive once unpacked; the licensed SMPL-X file holds 0.4e9
MAX_TEXT = 64 * 2**20  # bytes of a json file
MAX_YAML = 2**20
MAX_VALUES = 2_000_000  # numbers and texts in a nested value, each counted as often as it occurs
MAX_DEPTH = 64
_MAX_HEADER = 10_000  # characters of an array's header, as numpy has it
PICTURES = (
    "JPEG",
    "PNG",
    "WEBP",
    "TIFF",
    "BMP",
    "GIF",
    "AVIF",
    "PPM",
    "JPEG2000",
)  # Pillow reads others by running programs


def parse_json(data: bytes | str) -> Any:
    """The value of a json text; ValueError where it is not one, is too long or too deep."""
    if len(data) > MAX_TEXT:
        raise FormatError(f"json of {len(data) / 2**20:.0f} MiB; at most {MAX_TEXT / 2**20:.0f} MiB are read")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise FormatError("json nested too deeply") from error


def parse_yaml(text: str) -> Any:
    """The value of a yaml text without anchors and aliases, by which a few lines grow to gigabytes;
    ValueError on any other."""
    import yaml

    if len(text) > MAX_YAML:
        raise FormatError(f"yaml of {len(text)} characters; at most {MAX_YAML} are read")
    try:
        depth = 0
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            name = type(token).__name__
            depth += ("Start" in name) - ("End" in name)  # of sequences, mappings and the stream
            if isinstance(token, yaml.AliasToken):
                raise FormatError("yaml with an alias (*name); write the value out instead")
            if depth > MAX_DEPTH:
                raise FormatError(f"yaml nested more than {MAX_DEPTH} levels deep")
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FormatError(str(error)) from error
    except (
        RecursionError,
        OverflowError,
        TypeError,
        AttributeError,
        LookupError,
    ) as error:  # yaml does not wrap these
        raise FormatError(f"{type(error).__name__}: {error}") from error
    check_plain(value)
    return value


def check_plain(value: Any, depth: int = MAX_DEPTH, budget: int = MAX_VALUES) -> None:
    """ValueError where a nested value is deeper than `depth` or holds more than `budget` values, shared parts
    counted each time."""
    left = budget
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        found, level = stack.pop()
        if isinstance(found, str | bytes | bytearray) or not isinstance(found, Collection):
            continue
        left -= len(found) * (2 if isinstance(found, Mapping) else 1)
        if left < 0:
            raise FormatError(f"more than {budget} values")
        if level > depth:
            raise FormatError(f"nested more than {depth} levels deep")
        children = [*found.keys(), *found.values()] if isinstance(found, Mapping) else found
        stack += [(child, level + 1) for child in children if not isinstance(child, str | int | float | None)]


class HoldsObjects(FormatError):
    """An array of Python objects, which would have to be run to be read."""


def read_npz(
    file: IO[bytes] | bytes,
    limit: int = MAX_NPZ,
    only: Collection[str] | None = None,
    needed: Collection[str] | None = None,
) -> dict[str, np.ndarray]:
    """Name -> array of an .npz, or of those in `only`; ValueError where it is damaged, holds objects, or
    unpacks to more than `limit`.

    Args:
        needed: names that must not be objects; such arrays of other names are left out. None: of all.
    """
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        with zipfile.ZipFile(stream) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            members = [info for info in members if only is None or info.filename.removesuffix(".npy") in only]
            size = sum(info.file_size for info in members)
            if size > limit or len(members) > 10_000:
                raise FormatError(
                    f"{len(members)} arrays that unpack to {size} bytes; at most {limit} are read"
                )
            arrays: dict[str, np.ndarray] = {}
            for info in members:
                name = info.filename.removesuffix(".npy")
                try:
                    arrays[name] = _member(archive, info)
                except HoldsObjects:
                    if needed is None or name in needed:
                        raise
            return arrays
    except ValueError:
        raise
    # zipfile and zlib raise BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error ...
    except Exception as error:
        raise FormatError(f"a damaged archive ({type(error).__name__}: {error})") from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array, whose header must agree with the size that the archive tells, and the archive with what
    unpacks."""
    with archive.open(info) as stream:
        try:
            version = np.lib.format.read_magic(stream)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, fortran, dtype = read(stream, max_header_size=_MAX_HEADER)
        except Exception as error:  # the header is Python syntax: its parser raises anything
            raise FormatError(
                f"{info.filename!r}: not the header of an array ({type(error).__name__})"
            ) from error
        if dtype.hasobject:
            raise HoldsObjects(f"{info.filename!r}: holds Python objects, which are not read")
        size = math.prod(shape) * dtype.itemsize
        if any(n < 0 for n in shape) or len(shape) > 32 or size > info.file_size:
            raise FormatError(
                f"{info.filename!r}: claims the shape {shape} of {dtype}, {size} bytes, in "
                f"{info.file_size} bytes"
            )
        data = stream.read(size)
    if len(data) != size:
        raise FormatError(f"{info.filename!r}: cut short: expected {size} bytes, got {len(data)}")
    if size == 0:
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy(order="K")


def open_picture(source: Path | IO[bytes], limit: int, modes: Sequence[str]) -> Image.Image:
    """A picture of the usual formats, decoded; ValueError where it is damaged, of another mode, or has more
    than `limit` pixels."""
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is lower
            image = Image.open(source, formats=PICTURES)
        if image.width * image.height > limit:
            raise FormatError(
                f"{image.width} x {image.height} px; at most {limit / 1e6:.0f} megapixels are read"
            )
        if image.mode not in modes:
            raise FormatError(f"colours are {image.mode}, expected {' or '.join(modes)}")
        image.load()
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow's readers of damaged files raise anything
        name = f"{source}: " if isinstance(source, Path) else ""
        raise FormatError(f"{name}not a picture that can be read: {error}") from error
    return image
