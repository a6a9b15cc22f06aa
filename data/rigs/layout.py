"""Our documented layout (docs/multiview.md): cameras.json, images/, perhaps masks/ and bodies/."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from turnaround.data.rigs.cameras import read_cameras
from turnaround.data.rigs.frames import check_complete, gather, moments
from turnaround.data.rigs.moment import KnownBody, Moment

BODIES = (".npz", ".json", ".pkl")


def is_rig(folder: Path) -> bool:
    """Whether a folder is one person's of this layout; its cameras.json may be its parent's."""
    return (folder / "images").is_dir() and camera_file(folder) is not None


def camera_file(folder: Path) -> Path | None:
    """The person's own cameras.json, or the one that all people beside them share."""
    return next(
        (place / "cameras.json" for place in (folder, folder.parent) if (place / "cameras.json").is_file()),
        None,
    )


def read_rig(folder: Path) -> list[Moment]:
    """All moments of one person; RigError where the folder as a whole is wrong."""
    file = camera_file(folder)
    assert file is not None
    known = read_cameras(file)
    frames = gather(folder / "images", known.cameras)
    check_complete(folder / "images", frames, known.cameras)
    masks = folder / "masks"
    masked = (masks, gather(masks, known.cameras)) if masks.is_dir() else None
    found = moments(folder.name, known.cameras, frames, masked)
    return [replace(moment, up=known.up, body=_body(folder, moment.frame)) for moment in found]


def _body(folder: Path, frame: str) -> KnownBody | None:
    """SMPL-X parameters of a frame, where there are some."""
    files = (folder / "bodies" / f"{frame}{suffix}" for suffix in BODIES)
    return next((KnownBody("smplx", file) for file in files if file.is_file()), None)
