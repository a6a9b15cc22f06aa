"""The files that a person lays beside a photo, by their names however they are written: `alice.mask.png`, and
near misses such as `alice.mask.PNG`, `alice_mask.jpeg` or `alice.jpg.smplx.NPZ`."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from turnaround.pipeline.photos.naming import fold

log = logging.getLogger(__name__)

# what a folder is searched for
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".heic", ".heif", ".hif", ".avif", ".jpe", ".jfif", ".jif", ".apng", ".jp2", ".j2k", ".jpx", ".jpf"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
BODIES = (".npz", ".json", ".pkl")
READ: Mapping[str, Sequence[str]] = {  # kind -> suffixes, the first that is there is taken
    "mask": (
        ".png",
        ".jpg",
        ".webp",
        ".tif",
        *(s for s in SUFFIXES if s not in (".png", ".jpg", ".webp", ".tif")),
    ),
    "body": BODIES,
    "back": (".png", ".jpg", ".webp", *(s for s in SUFFIXES if s not in (".png", ".jpg", ".webp"))),
}
WORDS = {"mask": "mask", "body": "smplx", "back": "back"}  # kind -> how it is written in a file's name
_NAME = re.compile(r"(.+?)([._ -])(mask|masks|matte|smplx|back)(\.[a-z0-9]+)", re.IGNORECASE | re.DOTALL)
_KINDS = {word: kind for kind, word in WORDS.items()} | {"masks": "mask", "matte": "mask"}
_SETTLED = 1.0  # seconds; a folder changed later than this may change again without its time showing it


class Sidecar(NamedTuple):
    """A file that is named as one that belongs to a photo."""

    name: str
    head: str  # what its photo is called, with or without suffix
    mark: str  # what stands between that and the kind: "." by rule
    kind: str  # mask, body or back
    suffix: str  # in small letters

    @property
    def readable(self) -> bool:
        """Whether files of this suffix can be read."""
        return self.suffix in READ[self.kind]

    @property
    def claims(self) -> bool:
        """Whether it is no photo of its own beside one that it may belong to; `x_back.png` is: of a back."""
        return self.mark == "." or self.kind != "back"


@dataclass(frozen=True)
class Folder:
    """What lies in a folder."""

    sidecars: Mapping[str, Sequence[Sidecar]]  # folded head -> files
    photos: Mapping[str, Mapping[str, str]]  # folded name of a picture, with and without suffix -> as it is
    # written -> the picture's file


def parse(name: str) -> Sidecar | None:
    """What a file's name says of the photo it belongs to; None where it says nothing."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    head, mark, word, suffix = found.groups()
    return Sidecar(name, head, mark, _KINDS[word.lower()], suffix.lower())


def beside(image: Path) -> dict[str, list[Sidecar]]:
    """Kind -> the files that belong to a photo, the one to take first."""
    folder = in_folder(image.parent)
    found: dict[str, list[Sidecar]] = {}
    for head in dict.fromkeys((image.stem, image.name)):
        for file in folder.sidecars.get(fold(head), ()):
            written = folder.photos.get(fold(head), {})
            if file.head != head and file.head in written:
                continue  # of X.jpg, not of x.jpg
            if file.readable and file.claims and file.name != image.name:
                found.setdefault(file.kind, []).append(file)
    for files in found.values():
        files.sort(key=lambda file: _preference(file, image))
    return found


def _preference(file: Sidecar, image: Path) -> tuple[object, ...]:
    small = file.name.endswith(f"{WORDS[file.kind]}{file.suffix}")
    place = READ[file.kind].index(file.suffix)
    return not is_usual(file, image), file.mark != ".", file.head != image.stem, not small, place, file.name


def is_usual(file: Sidecar, image: Path) -> bool:
    """Whether it is named by the rule: NAME.mask.png beside NAME.jpg."""
    return (
        file.name.lower() == f"{image.stem.lower()}.{WORDS[file.kind]}{file.suffix}"
        and file.head == image.stem
    )


def owner(file: Path) -> Path | None:
    """The photo beside `file` to which that belongs by its name; None where it is a file of its own."""
    parsed = parse(file.name)
    if parsed is None or not parsed.claims:
        return None
    return photo_called(file.parent, parsed.head)


def photo_called(folder: Path, name: str) -> Path | None:
    """The picture of a folder that is called so, with or without suffix, or else in other capitals."""
    written = in_folder(folder).photos.get(fold(name))
    return folder / (written.get(name) or min(written.values())) if written else None


def in_folder(folder: Path) -> Folder:
    """What lies in a folder, listed once while it does not change."""
    try:
        changed = os.stat(folder).st_mtime_ns
    except OSError as error:
        log.debug("%s cannot be looked at: %s", folder, error)
        return Folder({}, {})
    settled = changed / 1e9 <= time.time() - _SETTLED
    return _listed(str(folder.absolute()), changed) if settled else _list(str(folder))


@lru_cache(maxsize=16)
def _listed(folder: str, _changed: int) -> Folder:
    return _list(folder)


def _list(folder: str) -> Folder:
    sidecars: dict[str, list[Sidecar]] = {}
    photos: dict[str, dict[str, str]] = {}
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if _is_file(entry))
    except OSError as error:
        log.warning(
            "%s cannot be listed (%s): masks and bodies beside its photos are not seen",
            folder,
            error.strerror,
        )
        names = []
    for name in names:
        parsed = parse(name)
        if parsed is not None:
            sidecars.setdefault(fold(parsed.head), []).append(parsed)
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in SUFFIXES and not name.startswith("."):
            for written in (stem, name):
                photos.setdefault(fold(written), {}).setdefault(written, name)
    return Folder(sidecars, photos)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
