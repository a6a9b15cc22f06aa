"""What the work folder remembers of a subject: its photo, the settings of its last run, its failures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.source import Photo

FILE = "subject.json"


@dataclass(frozen=True)
class Memory:
    """subjects/<name>/subject.json."""

    image: str  # path of the photo
    config: str = "default"  # preset or yaml file
    overrides: tuple[str, ...] = ()  # `--set` of the last run, and of reruns since
    failures: Mapping[str, str] = field(default_factory=dict)  # stage -> message

    def photo(self) -> Photo:
        """The photo with the sidecars that lie beside it now."""
        return Photo.at(Path(self.image))

    def failing(self, stage: str, message: str | None) -> Memory:
        """With the failure of a stage noted, or with None forgotten."""
        failures = {name: text for name, text in self.failures.items() if name != stage}
        return replace(self, failures=failures if message is None else failures | {stage: message})


def names(root: Path) -> list[str]:
    """The subjects of a work folder."""
    return sorted(path.parent.name for path in (root / "subjects").glob(f"*/{FILE}"))


def recall(root: Path, name: str) -> Memory:
    """What is known of a subject; ValueError with the known ones where it is nothing."""
    try:
        values: dict[str, Any] = json.loads((root / "subjects" / name / FILE).read_text())
        return Memory(values["image"], values["config"], tuple(values["overrides"]), values["failures"])
    except FileNotFoundError as error:
        known = ", ".join(names(root)) or "none yet: start with `turnaround run PHOTO`"
        raise ValueError(f"{root} knows no subject {name!r}; there are: {known}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{root / 'subjects' / name / FILE} cannot be read ({error}); run the photo again") from error


def remember(root: Path, name: str, memory: Memory) -> None:
    """Write it in one rename; unchanged content is not written."""
    folder = root / "subjects" / name
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(memory.__dict__ | {"overrides": list(memory.overrides)}, indent=1, sort_keys=True) + "\n"
    file = folder / FILE
    if file.is_file() and file.read_text() == text:
        return
    temporary = folder / f".{FILE}.{os.getpid()}"
    temporary.write_text(text)
    os.replace(temporary, file)


def merge_overrides(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    """Later assignments of a key win; the order is kept."""
    values = {text.partition("=")[0]: text for text in (*old, *new)}
    return tuple(values.values())
