"""What a person gave in the place of something computed, with where it came from: subjects/<name>/given/."""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path
from typing import Any

from pipeline.source import NONE

FOLDER, FILE = "given", "given.json"


def folder(root: Path, name: str) -> Path:
    """Where a subject's given files lie."""
    return root / "subjects" / name / FOLDER


def entries(root: Path, name: str) -> dict[str, dict[str, Any]]:
    """ "stage.output" -> file, takes (what the file takes the place of), sha256, origin, origin_sha256, when, replaces.

    ValueError where given.json cannot be read: what a person gave must not be forgotten silently.
    """
    file = folder(root, name) / FILE
    try:
        found: dict[str, dict[str, Any]] = json.loads(file.read_text())
        if not all({"file", "takes"} <= set(entry) for entry in found.values()):
            raise ValueError("an entry lacks `file` or `takes`")
        return found
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{file} cannot be read ({error}); mend it, or delete the folder {file.parent} to do without") from error


def files(root: Path, name: str) -> dict[str, Path]:
    """What is given -> its file, as `Photo.at` takes it: "photo.mask" for what lies beside a photo, else "stage.output"."""
    place = folder(root, name)
    return {entry["takes"]: place / entry["file"] for entry in entries(root, name).values()}


def told(entry: dict[str, Any]) -> str:
    """Where a given file came from, in words."""
    was = "nothing" if entry["replaces"] == NONE else str(entry["replaces"])[:12]
    return f"given {entry['when']} from {entry['origin']} (sha256 {str(entry['origin_sha256'])[:12]}), in the place of {was}"


def of_stage(found: dict[str, dict[str, Any]], stage: str, inputs: Container[str]) -> dict[str, dict[str, Any]]:
    """Those entries that concern a stage: its own outputs, and what it takes from beside the photo."""
    return {what: entry for what, entry in found.items() if what.startswith(f"{stage}.") or entry["takes"] in inputs}
