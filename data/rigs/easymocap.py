"""ZJU-MoCap and EasyMocap: annots.npy (cams K, R, T in mm, D; ims), or intri.yml and extri.yml.

Sources: github.com/zju3dv/neuralbody (the data's description), github.com/skhu101/SHERF
(eg3d/training/NeuBody_dataset.py), github.com/zju3dv/EasyMocap (camera files; T in metres there).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

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
    cams, ims = content.get("cams"), content.get("ims")
    if not isinstance(cams, Mapping) or not {"K", "R", "T"} <= cams.keys() or not isinstance(ims, Sequence):
        raise RigError(f"{file}: expected 'cams' with K, R, T and D, and 'ims'; it has {sorted(content)}")
    lenses = cams.get("D")
    if (
        len(
            {len(cams[key]) for key in ("K", "R", "T")}
            | ({len(cams["K"])} if lenses is None else {len(lenses)})
        )
        > 1
    ):
        raise RigError(
            f"{file}: 'cams' has {', '.join(f'{len(v)} {k}' for k, v in cams.items())}; expected as many"
        )
    cameras: list[RigCamera] = []
    masks = next((folder / name for name in MASKS if (folder / name).is_dir()), None)
    found = []
    for index, entry in enumerate(ims):
        names = [_inside(file, name) for name in entry["ims"]] if isinstance(entry, Mapping) else []
        if not 2 <= len(names) <= len(cams["K"]):
            raise RigError(f"{file}: frame {index} has {len(names)} pictures of {len(cams['K'])} cameras")
        if not cameras:
            cameras = [
                camera_of(
                    f"{file}, camera {k}", name.parts[-2] if len(name.parts) > 1 else str(k),
                    cams["K"][k], cams["R"][k], cams["T"][k], () if lenses is None else lenses[k],
                    unit=MILLIMETRE,
                )
                for k, name in enumerate(names)
            ]  # fmt: skip
        found.append(_moment(folder, f"{index:06d}", names, cameras, masks))
    return found


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
        cameras[name] = camera_of(where, name, *values, distortion)
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


def _moment(
    folder: Path, frame: str, names: Sequence[PurePosixPath], cameras: Sequence[RigCamera], masks: Path | None
) -> Moment:
    views, fault = [], None
    for camera, name in zip(cameras, names, strict=False):
        mask = None if masks is None else masks / name.with_suffix(".png")
        missing = next((p for p in (folder / name, mask) if p is not None and not p.is_file()), None)
        if missing is not None and fault is None:
            fault = f"{missing} is missing; unpack it, or leave frame {frame} out of the annotations"
        views.append(RigView(camera, folder / name, mask, "labels"))
    return Moment(folder.name, frame, tuple(views), fault=fault)


def _inside(file: Path, name: Any) -> PurePosixPath:
    """A picture's path within the folder; RigError where it leads out of it."""
    path = PurePosixPath(str(name).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or not path.suffix:
        raise RigError(f"{file}: the picture {str(name)[:80]!r} is not within the folder")
    return path


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
