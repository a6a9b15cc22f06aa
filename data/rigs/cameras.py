"""Calibrated cameras as files write them, checked: cameras.json of our layout, and K, R, T of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from turnaround.data.rigs.distortion import Lens
from turnaround.data.rigs.moment import RigCamera, RigError
from turnaround.pipeline.formats.untrusted import parse_json

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
AXES = {"opencv": (1.0, 1.0, 1.0), "opengl": (1.0, -1.0, -1.0)}  # of a camera, in OpenCV's
PIXEL_CENTER = {"opencv": 0.0, "opengl": 0.5}  # of the first pixel, unless told: calibrations; renderers
OF_FILE = {"units", "convention", "cameras", "pixel_center", "up", "note"}
OF_CAMERA = {"K", "R", "t", "T_camera_world", "T_world_camera", "width", "height", "distortion"}
MOST = 512  # cameras
OFF_ROTATION = 2e-3  # of R R^T from 1: what rounding to four digits leaves


@dataclass(frozen=True)
class CameraFile:
    """The content of our cameras.json."""

    cameras: dict[str, RigCamera]
    up: tuple[float, float, float] | None


def read_json(file: Path) -> Mapping[str, Any]:
    """The object of a json file; RigError where it cannot be read or is none."""
    try:
        value = parse_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise RigError(f"{file}: cannot be read as json ({error})") from error
    if not isinstance(value, Mapping):
        raise RigError(f"{file}: expected an object of cameras, got {type(value).__name__}")
    return value


def read_cameras(file: Path) -> CameraFile:
    """Our cameras.json (docs/multiview.md); RigError names the key that is missing or wrong."""
    content = read_json(file)
    _known(f"{file}", content, OF_FILE)
    units, convention = (
        _choice(file, content, "units", UNITS), _choice(file, content, "convention", AXES),
    )  # fmt: skip
    entries = content.get("cameras")
    if not isinstance(entries, Mapping) or not entries or len(entries) > MOST:
        raise RigError(f'{file}: expected "cameras": {{NAME: {{...}}}}, 2 to {MOST} of them')
    pixel_center = content.get("pixel_center", PIXEL_CENTER[convention])
    if isinstance(pixel_center, bool) or pixel_center not in (0, 0.5):
        raise RigError(f'{file}: "pixel_center" is {str(pixel_center)[:40]}, expected 0 or 0.5')
    cameras = {}
    for name, entry in entries.items():
        where = f"{file}, camera {name!r}"
        if not isinstance(entry, Mapping):
            raise RigError(f"{where}: expected an object, got {type(entry).__name__}")
        _known(where, entry, OF_CAMERA)
        R, t = _placement(where, entry, convention)
        size = _size(where, entry)
        cameras[str(name)] = camera_of(
            where, str(name), entry.get("K"), R, t, entry.get("distortion", ()),
            unit=UNITS[units], pixel_center=pixel_center, size=size,
        )  # fmt: skip
    up = None
    if "up" in content:
        values = array(f'{file}, "up"', content["up"], (3,))
        length = float(np.linalg.norm(values))
        if length < 1e-6:
            raise RigError(f'{file}: "up" is zero; expected the world\'s direction against gravity')
        up = (float(values[0] / length), float(values[1] / length), float(values[2] / length))
    return CameraFile(cameras, up)


def camera_of(
    where: str,
    name: str,
    K: Any,
    R: Any,
    t: Any,
    distortion: Any = (),
    *,
    unit: float = 1.0,
    pixel_center: float = 0.0,
    size: tuple[int, int] | None = None,
) -> RigCamera:
    """A checked camera of K (3,3), R (3,3) and t (3,), x_camera = R x_world + t, OpenCV axes.

    Args:
        where: file and camera, for messages.
        distortion: k1, k2, p1, p2 and perhaps k3; nothing for none.
        unit: metres of one unit of t.
        pixel_center: coordinate of the first pixel's centre in K.

    Raises:
        RigError: K cannot be inverted, R is no rotation, or anything has a wrong shape.
    """
    k = array(f'{where}, "K"', K, (3, 3)).copy()
    if min(k[0, 0], k[1, 1]) <= 0 or k[2, 2] == 0:
        raise RigError(
            f'{where}: "K" cannot be inverted, or mirrors: its focal lengths are {k[0, 0]:g} and {k[1, 1]:g} '
            f"px; expected positive ones, in pixels"
        )
    if np.abs(k[2] - (0, 0, 1)).max() > 1e-9 or abs(k[1, 0]) > 1e-6:
        raise RigError(f'{where}: "K" is {k.tolist()}, expected [[fx, s, cx], [0, fy, cy], [0, 0, 1]]')
    k[:2, 2] += 0.5 - pixel_center
    T = np.eye(4)
    T[:3, :3] = rotation(where, array(f'{where}, "R"', R, (3, 3)))
    T[:3, 3] = array(f'{where}, "t"', t, (3,)) * unit
    return RigCamera(name, k, T, lens_of(where, distortion), size)


def lens_of(where: str, distortion: Any) -> Lens:
    """RigError unless it has none, four or five numbers; more than these are other models' lenses."""
    values = array(f'{where}, "distortion"', distortion, None).reshape(-1)
    if len(values) > 5 and not values[5:].any():
        values = values[:5]
    if len(values) not in (0, 4, 5):
        raise RigError(
            f'{where}: "distortion" has {len(values)} numbers, expected [k1, k2, p1, p2, k3]; undistort '
            f"pictures of other lens models (fisheye, rational) first and leave it out"
        )
    return Lens(*(float(value) for value in values))


def rotation(where: str, R: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3 3"]:
    """The rotation nearest to R; RigError where R is none."""
    U, values, Vt = np.linalg.svd(R)
    if values[2] < 1e-6 * max(values[0], 1e-12):
        raise RigError(f'{where}: "R" is singular, {np.round(R, 4).tolist()}; expected a rotation')
    if np.abs(R @ R.T - np.eye(3)).max() > OFF_ROTATION:
        raise RigError(
            f'{where}: "R" is no rotation: its rows have lengths '
            f"{np.round(np.linalg.norm(R, axis=1), 4).tolist()}, R R^T is off by "
            f"{np.abs(R @ R.T - np.eye(3)).max():.2g}; write it with at least five digits, without scale"
        )
    if np.linalg.det(R) < 0:
        raise RigError(f'{where}: "R" mirrors (determinant -1); expected a rotation')
    return U @ Vt


def array(where: str, value: Any, shape: tuple[int, ...] | None) -> Float64[np.ndarray, "..."]:
    """Finite numbers; of `shape` up to axes of length 1, where it is given."""
    try:
        values = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise RigError(f"{where}: expected numbers{_as(shape)} ({error})") from error
    if shape is not None:
        squeezed = tuple(n for n in values.shape if n != 1)
        if squeezed != shape:
            raise RigError(f"{where}: has shape {values.shape}, expected{_as(shape)}")
        values = values.reshape(shape)
    if not np.isfinite(values).all():
        raise RigError(f"{where}: holds numbers that are not finite")
    return values


def _as(shape: tuple[int, ...] | None) -> str:
    return "" if shape is None else " " + " x ".join(map(str, shape))


def _placement(where: str, entry: Mapping[str, Any], convention: str) -> tuple[np.ndarray, np.ndarray]:
    """R and t in OpenCV's camera axes, in the file's unit."""
    ways = [name for name in ("R", "T_camera_world", "T_world_camera") if name in entry]
    if len(ways) != 1 or ("t" in entry) != (ways == ["R"]):
        raise RigError(
            f'{where}: expected where it stands once: "R" and "t" (x_camera = R x_world + t), or '
            f'"T_camera_world", or its inverse "T_world_camera"; got {sorted(entry) or "nothing"}'
        )
    if ways == ["R"]:
        R, t = array(f'{where}, "R"', entry["R"], (3, 3)), array(f'{where}, "t"', entry["t"], (3,))
    else:
        T = array(f'{where}, "{ways[0]}"', entry[ways[0]], (4, 4))
        if np.abs(T[3] - (0, 0, 0, 1)).max() > 1e-9:
            raise RigError(f'{where}: the last row of "{ways[0]}" is {T[3].tolist()}, expected [0, 0, 0, 1]')
        R, t = T[:3, :3], T[:3, 3]
        if ways == ["T_world_camera"]:
            R = rotation(where, R).T
            t = -R @ t
    axes = np.array(AXES[convention])
    return R * axes[:, None], t * axes


def _size(where: str, entry: Mapping[str, Any]) -> tuple[int, int] | None:
    values = [entry.get(name) for name in ("width", "height")]
    if values == [None, None]:
        return None
    if not all(isinstance(value, int) and value > 0 for value in values):
        raise RigError(f'{where}: "width" and "height" are {values}, expected both, in whole pixels')
    return int(values[0]), int(values[1])  # type: ignore[arg-type]


def _choice(file: Path, content: Mapping[str, Any], key: str, among: Mapping[str, Any]) -> str:
    value = content.get(key)
    if not isinstance(value, str) or value not in among:
        told = "is missing" if value is None else f"is {str(value)[:40]!r}"
        raise RigError(f'{file}: "{key}" {told}, expected one of {", ".join(among)}')
    return str(value)


def _known(where: str, content: Mapping[str, Any], keys: set[str]) -> None:
    unknown = sorted(set(map(str, content)) - keys)
    if unknown:
        raise RigError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(keys))}")
