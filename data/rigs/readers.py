"""Which layout a folder has, and the people in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from turnaround.data.rigs.easymocap import is_easymocap, is_zju, read_easymocap, read_zju
from turnaround.data.rigs.layout import is_rig, read_rig
from turnaround.data.rigs.moment import Moment
from turnaround.data.rigs.published import is_published, read_published
from turnaround.pipeline.errors import CallError


@dataclass(frozen=True)
class Layout:
    """A way to keep pictures of several cameras."""

    asks: str  # what of a person's folder tells it
    matches: Callable[[Path], bool]
    read: Callable[[Path], list[Moment]]


LAYOUTS = {
    "rig": Layout("cameras.json and images/", is_rig, read_rig),
    "zju": Layout("annots.npy or annots.json", is_zju, read_zju),
    "easymocap": Layout("intri.yml, extri.yml and images/", is_easymocap, read_easymocap),
    "humman": Layout(
        "cameras.json and kinect_color/", partial(is_published, "humman"), partial(read_published, "humman")
    ),
    "renderpeople": Layout(
        "cameras.json and img/",
        partial(is_published, "renderpeople"),
        partial(read_published, "renderpeople"),
    ),
}


def people_in(root: Path, layout: str = "auto") -> tuple[str, list[Path]]:
    """The layout of a folder and the folders of its people: itself, or those in it.

    Raises:
        CallError: no such folder, no layout that is known, or several.
    """
    if not root.is_dir():
        raise CallError(f"{root}: no such folder; expected pictures of several calibrated cameras in it")
    if layout != "auto" and layout not in LAYOUTS:
        raise CallError(f"--layout {layout}: expected one of auto, {', '.join(LAYOUTS)}")
    inner = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    found = {}
    for name in LAYOUTS if layout == "auto" else (layout,):
        matches = LAYOUTS[name].matches
        found[name] = [root] if matches(root) else [folder for folder in inner if matches(folder)]
    told = [name for name, folders in found.items() if folders]
    if not told:
        known = "; ".join(f"{name}: {LAYOUTS[name].asks}" for name in found)
        raise CallError(
            f"{root}: no pictures of a rig; expected in it, or in each person's folder in it, {known} (see "
            f"docs/multiview.md)"
        )
    if len(told) > 1:
        raise CallError(f"{root}: it has {' and '.join(told)}; say which is meant with --layout")
    return told[0], found[told[0]]
