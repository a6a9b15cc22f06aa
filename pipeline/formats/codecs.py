"""How each kind of value is kept on disk: a suffix, a save and a load; the same value gives the same bytes.

What a stage hands on is what was read back from its files, so a cached run and a fresh one see the same
numbers. torch and the formats are imported by the codec that needs them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.png import save_png
from turnaround.pipeline.formats.untrusted import MAX_PIXELS
from turnaround.pipeline.stage import Kind
from turnaround.pipeline.values.arrays import as_array

MAX_BODY = 16 * 2**20  # bytes of a body's arrays


class Codec(NamedTuple):
    """One kind of file (or folder, where the suffix is empty); `save` may write further files of the same
    stem."""

    suffix: str
    save: Callable[[Any, Path], None]
    load: Callable[[Path], Any]


def codec_for(kind: Kind | str) -> Codec:
    """The codec of a kind; ValueError for an unknown one."""
    if kind not in _CODECS:
        raise FormatError(f"no codec for {kind!r}; there are {', '.join(sorted(_CODECS))}")
    return _CODECS[kind]


def save_image(value: Any, path: Path) -> None:
    """An Image, (h, w), (h, w, 3) or (h, w, 4) in [0, 1], as an 8-bit PNG; values outside are clipped."""
    kind = str(getattr(value, "dtype", ""))
    if "int" in kind:
        raise FormatError(f"{path.name}: a picture holds floats in [0, 1], got {kind}; divide by 255 first")
    array = as_array(value)
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] not in (3, 4)):
        raise FormatError(
            f"{path.name}: a picture has shape (h, w), (h, w, 3) or (h, w, 4), got {array.shape}"
        )
    save_png(_to_bytes(array, path.name), path)


def load_image(path: Path) -> Any:
    """float32 tensor (h, w), (h, w, 3) or (h, w, 4)."""
    import torch

    from turnaround.pipeline.formats.untrusted import open_picture

    with open_picture(path, MAX_PIXELS, ("L", "RGB", "RGBA")) as image:
        return torch.from_numpy(np.asarray(image).astype(np.float32) / np.float32(255))


def _to_bytes(array: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(array).all():
        raise FormatError(
            f"{name}: {np.count_nonzero(~np.isfinite(array))} values of the picture are not finite"
        )
    return np.round(array.clip(0, 1) * 255).astype(np.uint8)


def _save_images(value: Mapping[str, Any], path: Path) -> None:
    if not value:
        raise FormatError(f"{path.name}: no pictures to save")
    for name in value:
        if not name or "/" in name or name.startswith("."):
            raise FormatError(f"{path.name}: {name!r} cannot be a file name")
    path.mkdir()
    with ThreadPoolExecutor(min(4, len(value))) as pool:  # the encoder lets other threads run
        list(pool.map(save_image, value.values(), (path / f"{name}.png" for name in value)))


def _load_images(path: Path) -> dict[str, Any]:
    return {file.stem: load_image(file) for file in sorted(path.glob("*.png"))}


def _save_body(value: Any, path: Path) -> None:
    fields = {
        name: as_array(tensor).copy("C") for name, tensor in vars(value).items()
    }  # strides would change the bytes
    broken = [name for name, array in fields.items() if not np.isfinite(array).all()]
    if broken:
        raise FormatError(f"{path.name}: {', '.join(broken)} of the body are not finite")
    with path.open("wb") as stream:  # numpy stamps its entries 1980-01-01, so the bytes repeat
        np.savez(stream, **fields)  # type: ignore[arg-type]


def _load_body(path: Path) -> Any:
    from dataclasses import fields

    import torch

    from turnaround.pipeline.formats.untrusted import read_npz
    from turnaround.pipeline.values.types import Body

    try:
        with path.open("rb") as stream:
            arrays = read_npz(stream, MAX_BODY)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error
    expected = {field.name: getattr(Body.neutral(), field.name).shape for field in fields(Body)}
    wrong = [
        name
        for name, shape in expected.items()
        if name not in arrays or arrays[name].shape[-len(shape) :] != shape
    ]
    wrong += [
        name
        for name, array in arrays.items()
        if name not in expected or array.dtype != np.float32 or not np.isfinite(array).all()
    ]
    if wrong:
        raise FormatError(
            f"{path}: not a body: expected finite float32 of {sorted(expected)}, at fault are "
            f"{sorted(set(wrong))}"
        )
    return Body(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def _save_ply(value: Any, path: Path) -> None:
    from turnaround.pipeline.formats import ply

    ply.save(value, path)


def _load_ply(path: Path) -> Any:
    from turnaround.pipeline.formats import ply

    return ply.load(path)


def _save_glb(value: Any, path: Path) -> None:
    from turnaround.pipeline.formats import glb

    glb.save(value, path)


def _load_glb(path: Path) -> Any:
    from turnaround.pipeline.formats import glb

    return glb.load(path)


def _save_textured(value: Any, path: Path) -> None:
    from turnaround.pipeline.formats import textured_glb

    textured_glb.save(value, path)


def _load_textured(path: Path) -> Any:
    from turnaround.pipeline.formats import textured_glb

    return textured_glb.load(path)


def _save_view(value: Any, path: Path) -> None:
    from turnaround.pipeline.formats import view_png

    view_png.save(value, path)


def _load_view(path: Path) -> Any:
    from turnaround.pipeline.formats import view_png

    return view_png.load(path)


def _save_rig(value: Any, path: Path) -> None:
    from turnaround.pipeline.formats.rigged import rig_npz

    rig_npz.save(value, path)


def _load_rig(path: Path) -> Any:
    from turnaround.pipeline.formats.rigged import rig_npz

    return rig_npz.load(path)


def plain(value: Any) -> Any:
    """`value` with tensors and arrays as lists, for json; ValueError on numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if hasattr(value, "detach") or isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        raise FormatError(f"{value} cannot be kept in a trace; leave the entry out or use None")
    return value


def _save_trace(value: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(plain(value), indent=1, sort_keys=True, allow_nan=False) + "\n")


def _load_trace(path: Path) -> dict[str, Any]:
    from turnaround.pipeline.formats.untrusted import parse_json

    try:
        return parse_json(path.read_bytes())
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error


def _save_video(value: bytes, path: Path) -> None:
    if not value:
        raise FormatError(f"{path.name}: the video has no bytes")
    path.write_bytes(value)


_CODECS: dict[str, Codec] = {
    "Image": Codec(".png", save_image, load_image),
    "Images": Codec("", _save_images, _load_images),
    "View": Codec(".png", _save_view, _load_view),
    "Body": Codec(".npz", _save_body, _load_body),
    "Gaussians": Codec(".ply", _save_ply, _load_ply),
    "Mesh": Codec(".glb", _save_glb, _load_glb),
    "TexturedMesh": Codec(".glb", _save_textured, _load_textured),
    "Rig": Codec(".npz", _save_rig, _load_rig),
    "Trace": Codec(".json", _save_trace, _load_trace),
    "Video": Codec(".mp4", _save_video, Path.read_bytes),
}
