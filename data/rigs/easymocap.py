"""ZJU-MoCap and EasyMocap: annots.npy (cams K, R, T in mm, D; ims), or intri.yml and extri.yml.

Sources: github.com/zju3dv/neuralbody (the data's description), github.com/skhu101/SHERF
(eg3d/training/NeuBody_dataset.py), github.com/zju3dv/EasyMocap (camera files; T in metres there).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from turnaround.data.rigs.cameras import array, camera_of, read_json
from turnaround.data.rigs.frames import check_complete, gather, moments
from turnaround.data.rigs.moment import Moment, RigCamera, RigError, RigView
from turnaround.models.estimator.given.pickles import load_npy
from turnaround.pipeline.formats.untrusted import parse_yaml

MASKS = ("mask_cihp", "mask")  # values are classes: what is not 0 is the person
MILLIMETRE = 0.001
WITHOUT_PICKLE = (
    'if you trust the file, write annots.json beside it: python -c "import json, numpy as np; a = '
    "np.load('annots.npy', allow_pickle=True).item(); json.dump({'cams': {k: np.asarray(v).tolist() for k, v "
    "in a['cams'].items()}, 'ims': [{'ims': [str(n) for n in i['ims']]} for i in a['ims']]}, "
    "open('annots.json', 'w'))\""
)


def is_zju(folder: Path) -> bool:
    """Whether a folder is a sequence with annotations in one file."""
    return any((folder / f"annots.{suffix}").is_file() for suffix in ("json", "npy"))


def is_easymocap(folder: Path) -> bool:
    """Whether a folder has EasyMocap's own camera files."""
    return (folder / "intri.yml").is_file() and (folder / "extri.yml").is_file()


def read_zju(folder: Path) -> list[Moment]:
    """All moments of a sequence; RigError where annotations cannot be read or do not fit together."""
    file, content = _annotations(folder)
    ims = content.get("ims")
    if not isinstance(ims, Sequence) or not ims:
        raise RigError(f"{file}: expected 'cams' and 'ims'; it has {sorted(map(str, content))[:6]}")
    frames = [_pictures(file, index, entry) for index, entry in enumerate(ims)]
    cameras = _cameras(file, content.get("cams"), [path.parent.name for path in frames[0]])
    masks = next((folder / name for name in MASKS if (folder / name).is_dir()), None)
    return [_moment(folder, f"{k:06d}", names, cameras, masks) for k, names in enumerate(frames)]


def read_easymocap(folder: Path) -> list[Moment]:
    """All moments of images/CAM/FRAME and perhaps mask/CAM/FRAME; RigError where cameras are wrong."""
    inner, outer = (_opencv_yaml(folder / name) for name in ("intri.yml", "extri.yml"))
    cameras: dict[str, RigCamera] = {}
    for name in map(str, inner.get("names") or []):
        where = f"{folder}, camera {name!r}"
        keys = (f"K_{name}", f"Rot_{name}", f"T_{name}")
        values = [
            _matrix(where, source, key) for source, key in zip((inner, outer, outer), keys, strict=True)
        ]
        distortion = _matrix(where, inner, f"dist_{name}") if f"dist_{name}" in inner else ()
        cameras[name] = camera_of(where, name, values[0], values[1], values[2], distortion)
    if not cameras:
        raise RigError(f'{folder / "intri.yml"}: no "names" of cameras; calibrate again with EasyMocap')
    frames = gather(folder / "images", cameras)
    check_complete(folder / "images", frames, cameras)
    masks = next((folder / name for name in MASKS if (folder / name).is_dir()), None)
    return moments(
        folder.name, cameras, frames, None if masks is None else (masks, gather(masks, cameras)), "labels"
    )


def _annotations(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    file = folder / "annots.json"
    if file.is_file():
        return file, read_json(file)
    file = folder / "annots.npy"
    try:
        content = load_npy(file.read_bytes())
    except (OSError, ValueError) as error:
        raise RigError(f"{file}: {error}; {WITHOUT_PICKLE}") from error
    if not isinstance(content, Mapping):
        raise RigError(f"{file}: expected a dictionary with 'cams' and 'ims'; {WITHOUT_PICKLE}")
    return file, content


def _pictures(file: Path, index: int, entry: Any) -> list[PurePosixPath]:
    """The paths of a frame within the folder; RigError where one leads out of it."""
    names = entry.get("ims") if isinstance(entry, Mapping) else None
    if not isinstance(names, Sequence | np.ndarray) or isinstance(names, str) or len(names) < 2:
        raise RigError(f"{file}: frame {index} has no 'ims' of two or more cameras")
    paths = [PurePosixPath(str(name).replace("\\", "/")) for name in names]
    for path in paths:
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or len(path.parts) < 2:
            raise RigError(
                f"{file}: the picture {str(path)[:80]!r} is not within the folder; expected CAM/FRAME"
            )
    return paths


def _cameras(file: Path, cams: Any, names: Sequence[str]) -> list[RigCamera]:
    """The cameras in the order of the first frame's pictures, of which there may be fewer."""
    if not isinstance(cams, Mapping) or not {"K", "R", "T"} <= cams.keys():
        raise RigError(f"{file}: expected 'cams' with K, R, T and D")
    counts = {key: len(cams[key]) for key in ("K", "R", "T", "D") if key in cams}
    if len(set(counts.values())) > 1 or counts["K"] < len(names):
        raise RigError(
            f"{file}: {len(names)} pictures a frame, and of cameras {counts}; expected as many of each"
        )
    lenses = cams.get("D", [()] * len(names))
    return [
        camera_of(
            f"{file}, camera {name!r}",
            name,
            cams["K"][k],
            cams["R"][k],
            cams["T"][k],
            lenses[k],
            unit=MILLIMETRE,
        )
        for k, name in enumerate(names)
    ]


def _moment(
    folder: Path, frame: str, names: Sequence[PurePosixPath], cameras: Sequence[RigCamera], masks: Path | None
) -> Moment:
    if [path.parent.name for path in names] != [camera.name for camera in cameras]:
        return Moment(
            folder.name,
            frame,
            (),
            fault=f"{folder}: frame {frame} has other cameras than the first; remove it",
        )
    views, fault = [], None
    for camera, name in zip(cameras, names, strict=True):
        mask = None if masks is None else masks / name.with_suffix(".png")
        missing = next((p for p in (folder / name, mask) if p is not None and not p.is_file()), None)
        if missing is not None and fault is None:
            fault = f"{missing} is missing; unpack it, or leave frame {frame} out of the annotations"
        views.append(RigView(camera, folder / name, mask, "labels"))
    return Moment(folder.name, frame, tuple(views), fault=fault)


def _opencv_yaml(file: Path) -> Mapping[str, Any]:
    """The content of a file that cv2.FileStorage writes."""
    try:
        text = re.sub(r"^%YAML.*$", "", file.read_text(), count=1, flags=re.M).replace("!!opencv-matrix", "")
        value = parse_yaml(text)
    except (OSError, ValueError) as error:
        raise RigError(f"{file}: cannot be read as OpenCV's yaml ({error})") from error
    if not isinstance(value, Mapping):
        raise RigError(f"{file}: expected names and matrices of cameras")
    return value


def _matrix(where: str, source: Mapping[str, Any], key: str) -> Any:
    value = source.get(key)
    if not isinstance(value, Mapping) or not {"rows", "cols", "data"} <= value.keys():
        raise RigError(f"{where}: no matrix {key}; calibrate again with EasyMocap")
    data = array(f"{where}, {key}", value["data"], None)
    if data.size != int(value["rows"]) * int(value["cols"]):
        raise RigError(f"{where}: {key} has {data.size} numbers, not {value['rows']} x {value['cols']}")
    return data.reshape(int(value["rows"]), int(value["cols"]))
