"""`run --watch FOLDER`: photos that land in a folder, each once it is whole, until Ctrl-C."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from turnaround.flows.runs import interrupts
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.photos.sidecars import SUFFIXES, owner, parse

QUIET = 2.0  # seconds without a change after which a file is whole
_BEAT = 0.5  # seconds between looks

Look = tuple[tuple[str, int, int], ...]  # of a photo and what lies beside it: name, bytes, time of change


@dataclass
class Watched:
    """A folder and what of it is done; a photo that changes, or gets a mask beside it, is done again."""

    folder: Path
    recursive: bool = False
    quiet: float = QUIET
    clock: Callable[[], float] = time.monotonic
    _seen: dict[Path, tuple[Look, float]] = field(default_factory=dict)  # how it looked, and since when
    _done: dict[Path, Look] = field(default_factory=dict)

    def ready(self) -> list[Path]:
        """Photos that are whole and not done as they are now, by name."""
        now, whole = self.clock(), []
        for photo, look in self._photos():
            before, since = self._seen.get(photo, ((), now))
            if look != before:
                self._seen[photo] = (look, now)
            elif (
                now - since >= self.quiet
                and self._done.get(photo) != look
                and all(size for _, size, _ in look)
            ):
                whole.append(photo)
        return whole

    def taken(self, photos: Sequence[Path]) -> None:
        """These are done, or failed: as they are now they are not done again."""
        for photo in photos:
            self._done[photo] = self._seen[photo][0]

    def _photos(self) -> Iterator[tuple[Path, Look]]:
        """Every photo with how it looks; a folder that is not there has none."""
        for top, folders, files in os.walk(self.folder):
            folders[:] = (
                sorted(name for name in folders if not name.startswith(".")) if self.recursive else []
            )
            for name in sorted(files):
                if _is_photo(file := Path(top, name)):
                    beside = [other for other in sorted(files) if other == name or _belongs(other, file)]
                    looks = (_look(Path(top, other)) for other in beside)
                    yield file, tuple(look for look in looks if look is not None)


def _is_photo(file: Path) -> bool:
    """Whether it is a photo of its own; what is named as a mask or back view waits for its photo."""
    if file.suffix.lower() not in SUFFIXES or file.name.startswith("."):
        return False
    parsed = parse(file.name)
    return parsed is None or (parsed.mark != "." and owner(file) is None)


def _belongs(name: str, photo: Path) -> bool:
    parsed = parse(name)
    return parsed is not None and parsed.head in (photo.stem, photo.name)


def _look(file: Path) -> tuple[str, int, int] | None:
    try:
        status = file.stat()
    except OSError:  # gone meanwhile
        return None
    return file.name, status.st_size, status.st_mtime_ns


def watch(
    folder: Watched, do: Callable[[list[Path]], None], say: Callable[[str], None], beat: float = _BEAT
) -> None:
    """Do photos as they land, until Ctrl-C; during a photo Ctrl-C is the caller's to end.

    ValueError where the folder does not exist.
    """
    if not folder.folder.is_dir():
        raise CallError(f"--watch {folder.folder}: expected a folder; make it first")
    say(f"watching {folder.folder} for photos; Ctrl-C ends")
    while True:
        photos = folder.ready()
        if photos:
            do(photos)
            folder.taken(photos)
            continue
        try:
            with interrupts.raised():
                time.sleep(beat)
        except KeyboardInterrupt:
            return
