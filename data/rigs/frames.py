"""Pictures of several cameras in a folder: CAM/FRAME.jpg, FRAME/CAM.jpg, or CAM.jpg for a single moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from turnaround.data.rigs.moment import PICTURES, Moment, RigCamera, RigError, RigView

ONLY = "0"  # the frame's name where there is one moment
Frames = dict[str, dict[str, Path]]  # frame -> camera -> file


def gather(folder: Path, cameras: Collection[str]) -> Frames:
    """The pictures of named cameras, by frame in order; RigError where the folder and the names differ.

    A subfolder with a camera's name makes it CAM/FRAME, whatever the frames are called.
    """
    if not folder.is_dir():
        raise RigError(f"{folder}: no such folder; expected the pictures of {_some(cameras)} in it")
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    if set(folders) & set(cameras):
        unknown = sorted(set(folders) - set(cameras))
        if unknown:
            raise RigError(
                f"{folder}: {_some(unknown)} is no camera of cameras.json, which has {_some(cameras)}; "
                f"rename it, or add it there"
            )
        by_camera = {name: pictures(folder / name) for name in folders}
    elif folders:
        by_camera = {}
        for frame in folders:
            for camera, file in pictures(folder / frame).items():
                by_camera.setdefault(camera, {})[frame] = file
        _all_known(folder, by_camera, cameras)
    else:
        by_camera = {camera: {ONLY: file} for camera, file in pictures(folder).items()}
        _all_known(folder, by_camera, cameras)
    frames: Frames = {}
    for camera in cameras:
        for frame, file in by_camera.get(camera, {}).items():
            frames.setdefault(frame, {})[camera] = file
    return {frame: frames[frame] for frame in sorted(frames, key=_number)}


def pictures(folder: Path) -> dict[str, Path]:
    """Stem -> picture of a folder; RigError where two pictures have one stem."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in PICTURES or file.name[0] == ".":
            continue
        if file.stem in found:
            raise RigError(f"{folder}: {found[file.stem].name} and {file.name} have one name; remove one")
        found[file.stem] = file
    return found


def check_complete(folder: Path, frames: Frames, cameras: Collection[str]) -> None:
    """RigError where a camera has no picture at all, or no frame is there from all of them."""
    without = [camera for camera in cameras if not any(camera in views for views in frames.values())]
    if without:
        raise RigError(
            f"{folder}: no pictures of {_some(without)}, which cameras.json names; expected "
            f"{folder.name}/{without[0]}/FRAME.jpg, or remove the camera there"
        )
    if len(cameras) < 2:
        raise RigError(f"{folder}: one camera only ({_some(cameras)}); two or more see what one cannot")
    if not any(len(views) == len(cameras) for views in frames.values()):
        told = "; ".join(f"{camera}: {_span(frames, camera)}" for camera in list(cameras)[:4])
        raise RigError(
            f"{folder}: no frame is there from all {len(cameras)} cameras ({told}); give pictures of one "
            f"moment one name"
        )


def moments(
    person: str,
    cameras: Mapping[str, RigCamera],
    frames: Frames,
    masks: tuple[Path, Frames] | None,
    mask_is: Literal["soft", "labels"] = "soft",
) -> list[Moment]:
    """All frames of a person; one that lacks a picture or a mask tells so as its `fault`.

    Args:
        masks: their folder and the files in it; None: there are none.
    """
    found = []
    for frame, files in frames.items():
        views, faults = [], []
        lacking = [camera for camera in cameras if camera not in files]
        if lacking:
            place = next(iter(files.values())).parent
            faults.append(
                f"{place}: frame {frame} has no picture of {_some(lacking)}; add it, or remove the frame"
            )
        for camera, file in files.items():
            mask = None if masks is None else masks[1].get(frame, {}).get(camera)
            if masks is not None and mask is None:
                faults.append(
                    f"{masks[0]}: no mask of frame {frame}, camera {camera}; add it, or move the folder away "
                    f"to have all masks made here"
                )
            views.append(RigView(cameras[camera], file, mask, mask_is))
        found.append(Moment(person, frame, tuple(views), fault=faults[0] if faults else None))
    return found


def _all_known(folder: Path, by_camera: Mapping[str, object], cameras: Collection[str]) -> None:
    unknown = sorted(set(by_camera) - set(cameras))
    if unknown or not by_camera:
        raise RigError(
            f"{folder}: {_some(unknown) or 'no picture there'} is no camera of cameras.json, which has "
            f"{_some(cameras)}; expected CAM/FRAME.jpg, FRAME/CAM.jpg, or CAM.jpg for a single moment"
        )


def _span(frames: Frames, camera: str) -> str:
    names = [frame for frame, views in frames.items() if camera in views]
    return f"{len(names)} frames, {names[0]} to {names[-1]}"


def _number(frame: str) -> tuple[int, int, str]:
    return (0, int(frame), frame) if frame.isascii() and frame.isdigit() else (1, 0, frame)


def _some(names: Collection[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")
