"""What a call is given - a path, bytes, a PIL image, an array, a Body - as files of the work folder, as the
stages read them."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from turnaround.flows.subjects import given, memory
from turnaround.flows.subjects import overrides as overriding
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import write_atomic
from turnaround.pipeline.photos.gather import pictures
from turnaround.pipeline.photos.naming import Wanted, is_plain
from turnaround.pipeline.store.digest import bytes_digest

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from turnaround.pipeline.values.types import Body

Pixels: TypeAlias = "np.ndarray[Any, Any]"
"""(h, w, 3) or (h, w, 4), uint8, or floats in [0, 1]; sRGB, alpha straight. A mask: (h, w), also bool."""
Picture: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | Pixels"
"""A path, the bytes of a picture file, a PIL image, or pixels."""
BodyFile: TypeAlias = "str | os.PathLike[str] | bytes | Body | Mapping[str, Any]"
"""A path or the bytes of an SMPL-X file (.npz, .json, .pkl), a Body, or a mapping of SMPL-X arrays."""

FOLDER = "photos"  # of the work folder: photos that came without a file
_OURS = "reconstruct("  # how the origin of a gift begins that a call brought
_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")  # modes that a PNG holds; other pictures become TIFF
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}  # else the format's name


def placed(root: Path, photo: Picture, name: str | None) -> tuple[Path, str]:
    """The photo's file, written below `root` where it is none yet, and the name of its subject there.

    CallError for a path that is no file, pixels that are no picture, a name that cannot be that of a folder
    or is that of another photo.
    """
    if name is not None and not is_plain(name):
        raise CallError(f"name={name!r}: expected a plain file name without / and of at most 180 bytes")
    path = _path(photo)
    if path is not None:
        image = _file(path)
    else:
        data, suffix = picture_bytes(photo, "photo")
        image = _kept(root, data, suffix, name or f"photo-{bytes_digest(data)[:8]}")
    wanted = Wanted(image)
    if name is not None:
        memory.name_as(root, wanted, name)
    return image, memory.register(root, [wanted])[wanted]


def _file(path: Path) -> Path:
    if path.is_dir():
        raise CallError(f"{path} is a folder; turnaround.reconstruct_folder({str(path)!r}) does its photos")
    found = pictures([path])
    if len(found) != 1:
        raise CallError(f"{path} means {len(found)} photos; turnaround.reconstruct_folder does several")
    return found[0]


def _kept(root: Path, data: bytes, suffix: str, name: str) -> Path:
    """The photo as a file of the work folder; what was there under the same name is replaced."""
    folder = root / FOLDER
    file = folder / f"{name}{suffix}"
    for other in folder.glob(f"{escape(name)}.*"):
        if other != file and other.stem == name:
            other.unlink()
    if not file.is_file() or file.read_bytes() != data:
        write_atomic(file, data)
    return file


def give(root: Path, name: str, kind: str, value: Picture | BodyFile | None) -> None:
    """Lay a mask, body or back view beside a subject's photo, as `turnaround override NAME/photo/KIND FILE`
    does.

    None takes back what an earlier call brought; what a person gave by `override` stays.
    """
    what = f"photo.{kind}"
    before = given.entries(root, name).get(what)
    ours = before is not None and before["origin"].startswith(_OURS)
    if value is None:
        if ours:
            overriding.take_back(root, name, what)
        return
    data, suffix = body_bytes(value) if kind == "body" else picture_bytes(value, kind)
    if ours and before is not None and before["sha256"] == bytes_digest(data):
        return
    path = _path(value)
    origin = type(value).__name__ if path is None else os.path.abspath(path)
    overriding.place(root, name, what, data, suffix, f"{_OURS}{kind}={origin})")


def picture_bytes(value: Any, what: str) -> tuple[bytes, str]:
    """A picture as the bytes of a file, and its suffix: files and bytes as they are, pixels without loss.

    what: photo, mask or back, for messages. CallError for what is no picture.
    """
    if (path := _path(value)) is not None:
        return _read(path, what), path.suffix
    if isinstance(value, bytes | bytearray):
        return bytes(value), _suffix(bytes(value))
    if hasattr(value, "getbands"):
        return _of_pil(value)
    return _of_pil(_image(value, what))


def body_bytes(value: Any) -> tuple[bytes, str]:
    """A body as the bytes of an SMPL-X file, and its suffix; CallError for what is none."""
    import numpy as np

    if (path := _path(value)) is not None:
        return _read(path, "body"), path.suffix
    if isinstance(value, bytes | bytearray):
        data = bytes(value)
        return data, ".npz" if data[:2] == b"PK" else ".json" if data[:1] in b"{[" else ".pkl"
    mapping = isinstance(value, Mapping)
    fields: dict[str, Any] = dict(value) if mapping else dict(getattr(value, "__dict__", {}))  # type: ignore[arg-type]
    if "body_pose" not in fields and not mapping:
        raise CallError(
            f"body: expected a path, bytes, a Body or a mapping of arrays, got {type(value).__name__}"
        )
    stream = io.BytesIO()
    arrays = {str(name): _array(field) for name, field in fields.items()}
    odd = [name for name, array in arrays.items() if array.dtype.kind not in "biufUS"]
    if odd:
        raise CallError(f"body: {', '.join(odd)} hold no numbers; give arrays, or the path of the file")
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue(), ".npz"


def _path(value: Any) -> Path | None:
    """What is a path, as one."""
    return Path(os.fspath(value)) if isinstance(value, str) or hasattr(value, "__fspath__") else None


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CallError(
            f"{what}: {path} cannot be read ({error.strerror or error}); give another file"
        ) from error


def _suffix(data: bytes) -> str:
    """By what the bytes are; `.bin` for those that no reader knows, of which the run tells."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            found = image.format or "bin"
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        found = "bin"
    return _SUFFIXES.get(found, f".{found.lower()}")


def _of_pil(image: Image.Image) -> tuple[bytes, str]:
    """Without loss, with its profile and its orientation."""
    if image.mode in ("RGBa", "La", "RGBX", "HSV"):
        image = image.convert({"RGBa": "RGBA", "La": "LA"}.get(image.mode, "RGB"))
    stream, profile = io.BytesIO(), image.info.get("icc_profile")
    form = "png" if image.mode in _PNG else "tiff"
    image.save(stream, form, icc_profile=profile, exif=image.getexif().tobytes())
    return stream.getvalue(), ".png" if form == "png" else ".tif"


def _image(value: Any, what: str) -> Image.Image:
    """Pixels as a PIL image; CallError names shape or type, what is expected, and what to do."""
    import numpy as np
    from PIL import Image

    pixels = _array(value)
    shapes = ((2,), ()) if what == "mask" else ((3,), (3, 4))
    if pixels.ndim not in shapes[0] or (pixels.ndim == 3 and pixels.shape[2] not in shapes[1]):
        expected = "(h, w)" if what == "mask" else "(h, w, 3) or (h, w, 4)"
        first = pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4)
        hint = "; move its channels to the end" if first else ""
        raise CallError(
            f"{what}: expected an array of shape {expected}, got {pixels.shape} of {pixels.dtype}{hint}"
        )
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind == "f":
        low, high = float(pixels.min(initial=0)), float(pixels.max(initial=0))
        if not (low >= -0.01 and high <= 1.01):  # also for NaN
            raise CallError(
                f"{what}: expected floats from 0 to 1, got {low:g} to {high:g}; divide them, or give uint8"
            )
        pixels = np.round(pixels.clip(0, 1) * 255).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise CallError(f"{what}: expected uint8, or floats from 0 to 1, got {pixels.dtype}")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _array(value: Any) -> np.ndarray[Any, Any]:
    """A tensor on any device, a list or an array as numpy."""
    import numpy as np

    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
