"""From what a person names - photos, folders, patterns, lists - to picture files, in an order that does not
change."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.photos import sidecars
from turnaround.pipeline.photos.left_out import LeftOut, reason, tell_unusual
from turnaround.pipeline.photos.sidecars import SUFFIXES

log = logging.getLogger(__name__)

LIST_MARK = "@"  # `@list.txt` is a list
_WORK = ("cache", "subjects", "runs")  # folders by which a work folder is known
_TOLD = 8  # faults of a list that are told one by one


def pictures(paths: Iterable[Path], *, recursive: bool = False, lists: Iterable[Path] = ()) -> list[Path]:
    """The picture files at these paths, each once, folders in the order of their names.

    What looks like a picture or like a file beside one and is left out is told in one line.

    Args:
        paths: photos, folders, patterns (`photos/**/*.jpg`) or lists (`@list.txt`).
        recursive: look into the folders of folders, too, linked ones as well; hidden ones and work folders
        are left out.
        lists: text files: one path a line, relative to the list; empty lines and lines that begin with # are
        skipped.

    Raises:
        ValueError: something does not exist, a folder or a pattern has no picture, or a list leads out of its
        folder.
    """
    found: dict[Path, Path] = {}
    left = LeftOut()
    for path in paths:
        text = str(path)
        listed = text.startswith(LIST_MARK) and not os.path.exists(path)
        files = (
            _listed(Path(text[len(LIST_MARK) :]), recursive, left) if listed else _at(path, recursive, left)
        )
        found |= {_absolute(file): file for file in files if _absolute(file) not in found}
    for file in (file for path in lists for file in _listed(path, recursive, left)):
        found.setdefault(_absolute(file), file)
    left.tell(found)
    tell_unusual(found.values())
    if not found:
        raise CallError(
            "no photo is left of what was named; a mask or a body is none: name the photo beside it"
        )
    return list(found.values())


def _absolute(file: Path) -> Path:
    return Path(os.path.abspath(file))  # a link keeps its own name: two links to one file are two subjects


def _at(path: Path, recursive: bool, left: LeftOut) -> list[Path]:
    if os.path.isfile(path):
        return [] if _belongs_to_a_photo(path, left) else [path]
    if os.path.isdir(path):
        return _in_folder(path, recursive, left)
    if glob.has_magic(str(path)):
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        files = [match for match in matches if _is_photo(match, left)]
        if not files:
            raise CallError(f"{path}: no photo matches this pattern ({', '.join(SUFFIXES)})")
        return files
    raise CallError(f"{path} does not exist; give a photo, a folder of photos, a pattern in quotes or @LIST")


def _in_folder(folder: Path, recursive: bool, left: LeftOut) -> list[Path]:
    try:
        everything = (
            list(_walk(folder, left)) if recursive else [folder / name for name in sorted(os.listdir(folder))]
        )
    except OSError as error:
        raise CallError(f"{folder} cannot be read ({error.strerror or error})") from error
    files = [file for file in everything if _is_photo(file, left)]
    if not files:
        left.tell({})
        deeper = (
            ""
            if recursive or not any(path.is_dir() for path in folder.iterdir())
            else "; --recursive looks into its folders"
        )
        raise CallError(f"{folder} holds no photo ({', '.join(SUFFIXES)}){deeper}")
    return files


def _walk(top: Path, left: LeftOut) -> Iterator[Path]:
    """Every entry below a folder that is no folder itself, depth first, by name; each folder once, however
    many links lead to it."""
    root, searched = os.path.realpath(top), set[str]()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if (real := os.path.realpath(folder)) in searched:  # a link led here before
            continue
        searched.add(real)
        try:
            paths = [folder / name for name in sorted(os.listdir(folder))]
        except OSError as error:
            if folder == top:
                raise
            left.add(folder, f"a folder that cannot be read: {error.strerror}")
            continue
        folders = [path for path in paths if os.path.isdir(path)]
        others = set(folders)
        yield from (path for path in paths if path not in others)
        below = [path for path in folders if not path.name.startswith(".") and not _is_work(path)]
        waiting += [path for path in reversed(below) if _leads_away(path, root, left)]


def _leads_away(folder: Path, root: str, left: LeftOut) -> bool:
    """False for a link into the folder that is searched, or to one around it, which is noted."""
    if not os.path.islink(folder):
        return True
    target = os.path.realpath(folder)
    if os.path.commonpath([target, root]) not in (target, root):
        return True
    left.add(folder, f"a link to {target}, which is searched already or holds what is searched")
    return False


def _is_work(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in _WORK)


def _is_photo(file: Path, left: LeftOut) -> bool:
    """Whether what a folder or a pattern gave is a photo; what looks like one and is none is noted."""
    why = reason(file)
    if why is None and not os.path.isfile(file):
        why = (
            "" if os.path.isdir(file) else "a link that leads nowhere" if os.path.islink(file) else "no file"
        )
    if why:
        left.add(file, why)
    return why is None


def _belongs_to_a_photo(file: Path, left: LeftOut) -> bool:
    """Whether it is the mask, body or back view of a photo beside it: `photos/*` names those, too."""
    photo = sidecars.owner(file)
    if photo is None:
        return False
    if why := reason(file):
        left.add(file, why)
    else:
        left.belonging[file] = photo
    return True


def _listed(list_file: Path, recursive: bool, left: LeftOut) -> list[Path]:
    """The pictures of a list; ValueError that tells every line at fault."""
    try:
        data = list_file.read_bytes()
    except OSError as error:
        raise CallError(f"the list {list_file} cannot be read ({error.strerror or error})") from error
    if b"\0" in data:
        raise CallError(f"the list {list_file} is not text in UTF-8: it holds zero bytes; save it as UTF-8")
    lines = data.decode("utf-8-sig", "surrogateescape").split("\n")  # names are bytes, some of them no UTF-8
    files: list[Path] = []
    faults: list[str] = []
    for number, line in enumerate((line.strip() for line in lines), 1):
        if not line or line.startswith("#"):
            continue
        try:
            files += _at(_inside(list_file.parent, line), recursive, left)
        except ValueError as error:
            faults.append(f"  line {number}: {error}")
    if faults:
        more = [f"  and {len(faults) - _TOLD} more"] if len(faults) > _TOLD else []
        raise CallError(
            "\n".join([f"the list {list_file} has {len(faults)} lines at fault:", *faults[:_TOLD], *more])
        )
    if not files:
        raise CallError(f"the list {list_file} names no photo")
    return files


def _inside(folder: Path, line: str) -> Path:
    """A line of a list as a path; lists come from anywhere, so they may name only what lies below their own
    folder."""
    windows, posix = PureWindowsPath(line), PurePosixPath(line)
    if windows.drive or windows.root or posix.is_absolute() or ".." in (*windows.parts, *posix.parts):
        raise CallError(
            f"{line!r} leads out of the list's folder; put the list above its photos and name them from there"
        )
    return folder / line
