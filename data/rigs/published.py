"""HuMMan-Recon, and RenderPeople as SHERF stores it: cameras.json {NAME: {K, R, T}}, COLOUR/CAM/FRAME and
MASK/CAM/FRAME.

Both in metres, OpenCV axes, T_camera_world. Sources: github.com/caizhongang/humman_toolbox
(humman_recon/README.md) and github.com/skhu101/SHERF (eg3d/training/RenderPeople_dataset.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from turnaround.data.rigs.cameras import camera_of, read_json
from turnaround.data.rigs.frames import check_complete, gather, moments
from turnaround.data.rigs.moment import KnownBody, Moment, RigCamera, RigError


@dataclass(frozen=True)
class Published:
    """How a dataset names things."""

    prefix: str  # of the cameras of colour in cameras.json
    folder_prefix: str  # of their folders, in its place
    colour: str
    masks: tuple[str, ...]  # the first that is there
    mask_is: Literal["soft", "labels"]


DATASETS = {
    "humman": Published(
        "kinect_color_", "kinect_", "kinect_color", ("kinect_mask_manual", "kinect_mask"), "soft"
    ),
    "renderpeople": Published("camera", "camera", "img", ("mask",), "labels"),
}


def is_published(dataset: str, folder: Path) -> bool:
    """Whether a folder is one sequence of the dataset."""
    return (folder / "cameras.json").is_file() and (folder / DATASETS[dataset].colour).is_dir()


def read_published(dataset: str, folder: Path) -> list[Moment]:
    """All moments of a sequence; RigError where the folder as a whole is wrong."""
    known = DATASETS[dataset]
    file = folder / "cameras.json"
    content = read_json(file)
    cameras: dict[str, RigCamera] = {}
    for key, entry in content.items():
        if str(key).startswith(known.prefix):
            name = known.folder_prefix + str(key).removeprefix(known.prefix)
            cameras[name] = _camera(f"{file}, camera {key!r}", name, entry)
    if not cameras:
        raise RigError(
            f"{file}: no cameras {known.prefix}NNN; it has {', '.join(map(str, list(content)[:4]))}"
        )
    colour = folder / known.colour
    frames = gather(colour, cameras)
    check_complete(colour, frames, cameras)
    masks = next((folder / name for name in known.masks if (folder / name).is_dir()), None)
    masked = None if masks is None else (masks, gather(masks, cameras))
    found = moments(folder.name, cameras, frames, masked, known.mask_is)
    return [replace(moment, body=_body(dataset, folder, moment.frame)) for moment in found]


def _camera(where: str, name: str, entry: Any) -> RigCamera:
    if not isinstance(entry, Mapping) or not {"K", "R", "T"} <= entry.keys():
        raise RigError(f"{where}: expected K, R and T")
    return camera_of(where, name, entry["K"], entry["R"], entry["T"])


def _body(dataset: str, folder: Path, frame: str) -> KnownBody | None:
    """HuMMan's, where the textured mesh is there, to which an SMPL-X body can be fitted."""
    file = folder / "smpl_params" / f"{frame}.npz"
    mesh = folder / "textured_meshes" / f"{frame}.obj"
    if dataset != "humman" or not (file.is_file() and mesh.is_file()):
        return None
    return KnownBody("humman", file, f"{folder.name}_{frame}")
