"""What a person gave in the place of something computed, with where it came from: subjects/<name>/given/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
