"""From what a person names - photos, folders, patterns, lists - to picture files, in an order that does not
change."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

log = logging.getLogger(__name__)

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".tif",
    ".tiff",
    ".bmp",
    ".gif",
    ".heic",
)  # what a folder is searched for
OTHER_PICTURES = (
    ".avif",
    ".heif",
    ".jxl",
    ".jp2",
    ".psd",
    ".svg",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".orf",
    ".rw2",
    ".raf",
)
LIST_MARK = "@"  # `@list.txt` is a list
_WORK = ("cache", "subjects", "runs")  # folders by which a work folder is known
_TOLD = 8  # faults of a list that are told one by one


def pictures(paths: Iterable[Path], *, recursive: bool = False, lists: Iterable[Path] = ()) -> list[Path]:
    """The picture files at these paths, each once, folders in the order of their names.

    Args:
        paths: photos, folders, patterns (`photos/**/*.jpg`) or lists (`@list.txt`).
        recursive: look into the folders of folders, too; hidden ones and work folders are left out.
        lists: text files: one path a line, relative to the list; empty lines and lines that begin with # are
        skipped.

    Raises:
        ValueError: something does not exist, a folder or a pattern has no picture, or a list leads out of its
        folder.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        text = str(path)
        listed = text.startswith(LIST_MARK) and not path.exists()
        for file in _listed(Path(text[len(LIST_MARK) :]), recursive) if listed else _at(path, recursive):
            found.setdefault(_absolute(file), file)
    for file in (file for path in lists for file in _listed(path, recursive)):
        found.setdefault(_absolute(file), file)
    return list(found.values())


def _absolute(file: Path) -> Path:
    return Path(os.path.abspath(file))  # a link keeps its own name: two links to one file are two subjects


def _at(path: Path, recursive: bool) -> list[Path]:
    if path.is_file():
        return [] if _belongs_to_a_photo(path) else [path]
    if path.is_dir():
        return _in_folder(path, recursive)
    if glob.has_magic(str(path)):
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        files = [match for match in matches if match.is_file() and _is_photo(match)]
        if not files:
            raise ValueError(f"{path}: no photo matches this pattern ({', '.join(SUFFIXES)})")
        return files
    raise ValueError(f"{path} does not exist; give a photo, a folder of photos, a pattern in quotes or @LIST")


def _in_folder(folder: Path, recursive: bool) -> list[Path]:
    everything = (
        list(_walk(folder)) if recursive else [file for file in sorted(folder.iterdir()) if file.is_file()]
    )
    files = [file for file in everything if _is_photo(file)]
    unread = sorted({file.suffix.lower() for file in everything if file.suffix.lower() in OTHER_PICTURES})
    if unread:
        count = sum(file.suffix.lower() in unread for file in everything)
        log.warning(
            "%s: %d pictures are left out (%s cannot be read; save them as JPEG or PNG)",
            folder,
            count,
            ", ".join(unread),
        )
    if not files:
        deeper = (
            ""
            if recursive or not any(path.is_dir() for path in folder.iterdir())
            else "; --recursive looks into its folders"
        )
        raise ValueError(f"{folder} holds no photo ({', '.join(SUFFIXES)}){deeper}")
    return files


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, depth first, by name."""
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not _is_work(Path(top, name))
        )
        yield from (Path(top, name) for name in sorted(files))


def _is_work(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in _WORK)


def _is_photo(file: Path) -> bool:
    return (
        file.suffix.lower() in SUFFIXES
        and not file.name.startswith(".")
        and not file.stem.endswith((".mask", ".back"))
    )


def _belongs_to_a_photo(file: Path) -> bool:
    """Whether it is the mask or back view of a photo beside it: `photos/*.png` names those, too."""
    stem, _, kind = file.stem.rpartition(".")
    if kind not in ("mask", "back") or not any(
        file.with_name(stem + suffix).is_file() for suffix in SUFFIXES
    ):
        return False
    log.warning(
        "%s is the %s of a photo beside it, no photo of its own",
        file,
        {"mask": "mask", "back": "back view"}[kind],
    )
    return True


def _listed(list_file: Path, recursive: bool) -> list[Path]:
    """The pictures of a list; ValueError that tells every line at fault."""
    try:
        lines = list_file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"the list {list_file} cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"the list {list_file} is not text in UTF-8: {error}") from error
    files, faults = [], []
    for number, line in enumerate((line.strip() for line in lines), 1):
        if not line or line.startswith("#"):
            continue
        try:
            files += _at(_inside(list_file.parent, line), recursive)
        except ValueError as error:
            faults.append(f"  line {number}: {error}")
    if faults:
        more = [f"  and {len(faults) - _TOLD} more"] if len(faults) > _TOLD else []
        raise ValueError(
            "\n".join([f"the list {list_file} has {len(faults)} lines at fault:", *faults[:_TOLD], *more])
        )
    if not files:
        raise ValueError(f"the list {list_file} names no photo")
    return files


def _inside(folder: Path, line: str) -> Path:
    """A line of a list as a path; lists come from anywhere, so they may name only what lies below their own
    folder."""
    windows, posix = PureWindowsPath(line), PurePosixPath(line)
    if windows.drive or windows.root or posix.is_absolute() or ".." in (*windows.parts, *posix.parts):
        raise ValueError(
            f"{line!r} leads out of the list's folder; put the list above its photos and name them from there"
        )
    return folder / line
