"""What a person gave in the place of something computed, with where it came from: subjects/<name>/given/."""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path
from typing import Any

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.photos.source import NONE

FOLDER, FILE = "given", "given.json"
_FIELDS = ("file", "takes", "sha256", "origin", "origin_sha256", "when", "replaces")


def folder(root: Path, name: str) -> Path:
    """Where a subject's given files lie."""
    return root / "subjects" / name / FOLDER


def entries(root: Path, name: str) -> dict[str, dict[str, Any]]:
    """ "stage.output" -> file, takes (what the file takes the place of), sha256, origin, origin_sha256, when,
    replaces.

    ValueError where given.json cannot be read: what a person gave must not be forgotten silently.
    """
    file = folder(root, name) / FILE
    try:
        found: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        for what, entry in found.items():
            _check(what, entry, file.parent)
        return found
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise CallError(
            f"{file} cannot be read ({error}); mend it, or delete the folder {file.parent} to do without"
        ) from error


def _check(what: str, entry: dict[str, Any], place: Path) -> None:
    """ValueError for an entry of another form, or whose file is not one of this folder: work folders come
    from strangers, too."""
    lacking = [name for name in _FIELDS if not isinstance(entry.get(name), str)]
    if lacking:
        raise CallError(f"{what!r} lacks {', '.join(lacking)}")
    name = entry["file"]
    if (
        "." not in what
        or name in ("", ".", "..", FILE)
        or any(letter in name for letter in "/\\\0")
        or (place / name).is_symlink()
    ):
        raise CallError(f"{name!r} is not a file of this folder")


def files(root: Path, name: str) -> dict[str, Path]:
    """What is given -> its file, as `Photo.at` takes it: "photo.mask" for what lies beside a photo, else
    "stage.output".

    A mask given as `prepare.mask` goes before one given as `photo.mask`, from which it was drawn.
    """
    place = folder(root, name)
    found = sorted(entries(root, name).items(), key=lambda item: item[0] != item[1]["takes"])
    return {entry["takes"]: place / entry["file"] for _, entry in found}


def told(entry: dict[str, Any]) -> str:
    """Where a given file came from, in words."""
    was = "nothing" if entry["replaces"] == NONE else str(entry["replaces"])[:12]
    return (
        f"given {entry['when']} from {entry['origin']} (sha256 {str(entry['origin_sha256'])[:12]}), in "
        f"the place of {was}"
    )


def of_stage(
    found: dict[str, dict[str, Any]], stage: str, inputs: Container[str]
) -> dict[str, dict[str, Any]]:
    """Those entries that concern a stage: its own outputs, and what it takes from beside the photo."""
    return {
        what: entry
        for what, entry in found.items()
        if what.startswith(f"{stage}.") or entry["takes"] in inputs
    }
