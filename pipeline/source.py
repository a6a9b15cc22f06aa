"""The photo and the files a person may lay beside it: `alice.jpg`, `alice.mask.png`, `alice.smplx.npz`, `alice.back.png`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.digest import DigestMemo
from pipeline.stage import SOURCES

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic")  # what a folder is searched for
_SIDECARS = {
    "mask": tuple(f".mask{s}" for s in (".png", ".jpg", ".webp", ".tif")),
    "body": (".smplx.npz", ".smplx.json", ".smplx.pkl"),
    "back": tuple(f".back{s}" for s in (".png", ".jpg", ".webp")),
}
NONE = "none"  # the digest of a sidecar that is not there


@dataclass(frozen=True)
class Photo:
    """One subject: its name and its files."""

    name: str
    image: Path
    mask: Path | None = None
    body: Path | None = None
    back: Path | None = None

    @staticmethod
    def at(image: Path) -> Photo:
        """The photo at a path, with the sidecars found beside it."""
        found = {}
        for kind, endings in _SIDECARS.items():
            files = (image.with_name(image.stem + ending) for ending in endings)
            found[kind] = next((file for file in files if file.is_file()), None)
        return Photo(image.stem, image, **found)

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
    """The photos at these paths; a folder gives its pictures without the sidecars.

    ValueError for a path that does not exist, a folder without a picture, or two photos of one name.
    """
    found: dict[str, Photo] = {}
    for path in paths:
        for file in _pictures(path):
            photo = Photo.at(file)
            if photo.name.startswith("."):  # "...jpg" would be the subject ".."
                raise ValueError(f"{file} would be subject {photo.name!r}, which cannot be a folder; rename it")
            other = found.get(photo.name)
            if other is not None and other.image.resolve() != file.resolve():
                raise ValueError(f"{other.image} and {file} would both be subject {photo.name!r}; rename one of them")
            found[photo.name] = photo
    return list(found.values())


def _pictures(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path} does not exist; give a photo or a folder of photos")
    files = [f for f in sorted(path.iterdir()) if f.is_file() and f.suffix.lower() in SUFFIXES and not f.name.startswith(".")]
    files = [f for f in files if not f.stem.endswith((".mask", ".back"))]
    if not files:
        raise ValueError(f"{path} holds no photo ({', '.join(SUFFIXES)})")
    return files
