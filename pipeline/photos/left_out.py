"""Files that look like pictures, or like files beside one, and are not taken, or are taken under another name
than the usual: told in one line each, since silence would let a person believe that they count."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Container, Iterable
from pathlib import Path

from turnaround.pipeline.photos import sidecars
from turnaround.pipeline.photos.sidecars import BODIES, SUFFIXES, WORDS, Sidecar
from turnaround.pipeline.shown import shown

log = logging.getLogger(__name__)

# pictures that nothing here reads; raw files of cameras among them
OTHER_PICTURES = (
    *(
        ".jxl",
        ".psd",
        ".psb",
        ".svg",
        ".xcf",
        ".kra",
        ".exr",
        ".hdr",
        ".tga",
        ".ico",
        ".icns",
        ".pcx",
        ".eps",
        ".ai",
    ),
    *(
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".nrw",
        ".arw",
        ".orf",
        ".rw2",
        ".raf",
        ".pef",
        ".srw",
        ".3fr",
        ".erf",
        ".x3f",
    ),
)
_NUMBERS = (*BODIES, ".pickle", ".pt", ".pth", ".npy", ".mat")  # what bodies are kept in, elsewhere too
_TOLD = 8  # files that a line names
_SAVE = "save it as JPEG or PNG"


class LeftOut:
    """File -> why it is not taken, in the order of finding."""

    def __init__(self) -> None:
        self.why: dict[Path, str] = {}
        self.belonging: dict[Path, Path] = {}  # file that was named as a photo -> the photo beside it

    def add(self, file: Path, why: str) -> None:
        """Note a file; the first reason stays."""
        self.why.setdefault(file, why)

    def tell(self, found: Container[Path]) -> None:
        """One line for all of them; what belongs to a photo of `found` (absolute paths) is no matter."""
        for file, photo in self.belonging.items():
            if Path(os.path.abspath(photo)) not in found:
                self.add(file, f"it belongs to {photo.name} and is no photo of its own")
        if self.why:
            count = f"{len(self.why)} files were" if len(self.why) > 1 else "1 file was"
            log.warning("%s left out: %s", count, _few(f"{shown(f)} ({why})" for f, why in self.why.items()))


def reason(file: Path) -> str | None:
    """Why a file of a folder that is searched is no photo of its own.

    "" where that is no matter: it is hidden, used beside a photo, or not like a picture. None for a photo.
    """
    suffix, parsed = file.suffix.lower(), sidecars.parse(file.name)
    if file.name.startswith("."):
        return ""
    if parsed is not None and (suffix in SUFFIXES or suffix in _NUMBERS or suffix in OTHER_PICTURES):
        found = _as_sidecar(file, parsed)
        if found is not None:
            return found
    if suffix in SUFFIXES:
        return None
    if suffix in OTHER_PICTURES:
        return f"{suffix} cannot be read; {_SAVE}"
    if suffix not in _NUMBERS or suffix == ".json":
        return ""
    heads = (file.stem, re.split(r"[._ -][^._ -]*$", file.stem)[0])  # x.npz, x.smpl.npz
    photo = next(filter(None, (sidecars.photo_called(file.parent, head) for head in heads)), None)
    return f"an SMPL-X body of {photo.name} must be called {photo.stem}.smplx.npz" if photo else ""


def _as_sidecar(file: Path, parsed: Sidecar) -> str | None:
    """What to say of a file named as one beside a photo; "" where it is used, None where it is none."""
    word = {"mask": "mask", "body": "body", "back": "view from behind"}[parsed.kind]
    picture = parsed.kind != "body"
    if (file.suffix.lower() in SUFFIXES) != picture and file.suffix.lower() not in OTHER_PICTURES:
        return None
    photo = sidecars.owner(file)
    if photo is None:
        if picture and parsed.mark != ".":
            return None  # nothing it could belong to: `red_mask.jpg` is a photo
        return f"the {word} of no photo here: none is called {parsed.head}"
    if not parsed.readable:
        can = _SAVE if picture else f"save it as {', '.join(BODIES)}"
        return f"the {word} of {photo.name}, but {parsed.suffix} cannot be read; {can}"
    taken = sidecars.beside(photo)[parsed.kind][0].name
    return "" if taken == file.name else f"the {word} of {photo.name} is {taken}"


def tell_unusual(photos: Iterable[Path]) -> None:
    """One line that names the files beside photos which are taken though they are not named by the rule."""
    unusual = [
        f"{shown(files[0].name)} as the {WORDS[kind]} file of {shown(photo.name)}"
        for photo in photos
        for kind, files in sidecars.beside(photo).items()
        if not sidecars.is_usual(files[0], photo)
    ]
    if unusual:
        log.warning("taken by their names: %s (by rule: NAME.mask.png, NAME.smplx.npz)", _few(unusual))


def _few(texts: Iterable[str]) -> str:
    texts = list(texts)
    return ", ".join(texts[:_TOLD]) + (f" and {len(texts) - _TOLD} more" if len(texts) > _TOLD else "")
