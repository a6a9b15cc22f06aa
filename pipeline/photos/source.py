"""The photo and the files a person may lay beside it: `alice.jpg`, `alice.mask.png`, `alice.smplx.npz`,
`alice.back.png`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from turnaround.pipeline.photos import sidecars
from turnaround.pipeline.photos.gather import pictures
from turnaround.pipeline.photos.naming import Wanted, assign
from turnaround.pipeline.stage import PHOTO, SOURCES
from turnaround.pipeline.store.digest import DigestMemo

NONE = "none"  # the digest of a sidecar that is not there


@dataclass(frozen=True)
class Photo:
    """One subject: its name and its files."""

    name: str
    image: Path
    mask: Path | None = None
    body: Path | None = None
    back: Path | None = None
    given: Mapping[str, Path] = field(
        default_factory=dict
    )  # "stage.output" -> the user's file that takes its place

    @staticmethod
    def at(image: Path, name: str | None = None, given: Mapping[str, Path] | None = None) -> Photo:
        """The photo at a path, with the sidecars found beside it.

        name: of the subject; the file's own without suffix by default.
        given: files that take the place of outputs ("fuse.gaussians"), or of what lies beside the photo
        ("photo.mask").
        """
        found: dict[str, Path | None] = {
            kind: image.with_name(files[0].name) for kind, files in sidecars.beside(image).items()
        }
        outputs: dict[str, Path] = {}
        for what, file in (given or {}).items():
            owner, _, kind = what.partition(".")
            if owner == PHOTO:
                found[kind] = file
            else:
                outputs[what] = file
        return Photo(name or image.stem, image, **found, given=outputs)

    def file(self, source: str) -> Path | None:
        """The path of `image`, `mask`, `body` or `back`."""
        return getattr(self, source)

    def digests(self, memo: DigestMemo) -> dict[str, str]:
        """Content digest of each source; OSError where the photo cannot be read."""
        return {name: memo.digest(file) if (file := self.file(name)) else NONE for name in SOURCES}

    def load(self, source: str) -> bytes | None:
        """The bytes of one source, None where there is no such file."""
        file = self.file(source)
        return None if file is None else file.read_bytes()


def find_photos(paths: Iterable[Path]) -> list[Photo]:
    """The photos at these paths, named as if nothing had been named before; a folder gives its pictures
    without the sidecars.

    ValueError for a path that does not exist or a folder without a picture.
    """
    files = pictures(paths)
    names = assign([Wanted(file) for file in files], {})
    return [Photo.at(file, names[Wanted(file)]) for file in files]
