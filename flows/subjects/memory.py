"""What the work folder remembers of a subject: its photo, the settings of its last run, its failures."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turnaround.flows.show.suggestions import meant
from turnaround.flows.subjects import given
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import write_atomic
from turnaround.pipeline.photos.naming import NAMES_FILE, Wanted, assign, fold, image_of, is_plain
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.store.store import Store

FILE = "subject.json"
_FEW = 12  # subjects that a message names
NAMES = NAMES_FILE  # in subjects/: path of a photo (and "#2" for its second person) -> name of the subject


@dataclass(frozen=True)
class Memory:
    """subjects/<name>/subject.json."""

    image: str  # path of the photo
    config: str = "default"  # preset or yaml file
    overrides: tuple[str, ...] = ()  # `--set` of the last run, and of reruns since
    failures: Mapping[str, str] = field(default_factory=dict)  # stage -> message

    def failing(self, stage: str, message: str | None) -> Memory:
        """With the failure of a stage noted, or with None forgotten."""
        failures = {name: text for name, text in self.failures.items() if name != stage}
        return replace(self, failures=failures if message is None else failures | {stage: message})


def names(root: Path) -> list[str]:
    """The subjects of a work folder."""
    return sorted(path.parent.name for path in (root / "subjects").glob(f"*/{FILE}"))


def matching(root: Path, patterns: Sequence[str]) -> list[str]:
    """The subjects that any of the patterns (`ali*`) means, all of them for none; ValueError for a pattern
    that means nobody."""
    known = names(root)
    if not known and not patterns:
        raise CallError(f"{root} holds no subjects yet; start with `turnaround run PHOTO`")
    for pattern in patterns:
        if pattern not in known and not fnmatch.filter(known, pattern):
            raise _unknown(root, pattern)
    exact = set(patterns) & set(known)
    return [
        name
        for name in known
        if not patterns or name in exact or any(fnmatch.fnmatchcase(name, p) for p in patterns)
    ]


def recall(root: Path, name: str) -> Memory:
    """What is known of a subject; ValueError with the known ones where it is nothing."""
    try:
        values: dict[str, Any] = json.loads((Store(root).subject(name) / FILE).read_text(encoding="utf-8"))
        memory = Memory(values["image"], values["config"], tuple(values["overrides"]), values["failures"])
        texts: list[Any] = [memory.image, memory.config, *memory.overrides, *memory.failures.values()]
        if not all(isinstance(text, str) for text in texts) or "\0" in memory.image:
            raise CallError("expected texts")
        return memory
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _unknown(root, name) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CallError(
            f"{root / 'subjects' / name / FILE} cannot be read ({error}); run the photo again"
        ) from error


def _unknown(root: Path, name: str) -> CallError:
    known = names(root)
    more = f" and {len(known) - _FEW} more (`turnaround status`)" if len(known) > _FEW else ""
    told = ", ".join(known[:_FEW]) + more or "none yet: start with `turnaround run PHOTO`"
    return CallError(f"{root} knows no subject {name!r}{meant(name, known)}; there are: {told}")


def photo(root: Path, name: str, image: Path | None = None) -> Photo:
    """A subject's photo with what lies beside it now and what `turnaround override` gave; ValueError for an
    unknown subject."""
    return Photo.at(image or Path(recall(root, name).image), name, given.files(root, name))


def remember(root: Path, name: str, memory: Memory) -> None:
    """Write it in one rename; unchanged content is not written."""
    values = memory.__dict__ | {"overrides": list(memory.overrides)}
    _write(Store(root).subject(name) / FILE, json.dumps(values, indent=1, sort_keys=True) + "\n")


def register(root: Path, wanted: Sequence[Wanted]) -> dict[Wanted, str]:
    """Names for photos and their people, kept in the work folder, so that every later run and every shard
    uses the same."""
    store = Store(root)
    file = root / "subjects" / NAMES
    with store.lock("subjects", "names"):
        known = _known(root, file)
        chosen = assign(wanted, known)
        merged = known | {item.key: name for item, name in chosen.items()}
        _write(file, json.dumps(merged, indent=0, sort_keys=True) + "\n")
    return chosen


def name_as(root: Path, item: Wanted, name: str) -> None:
    """Call a photo by a name of the user's choice from now on; CallError where another photo has it that is
    still there."""
    file = root / "subjects" / NAMES
    with Store(root).lock("subjects", "names"):
        known = _known(root, file)
        others = [key for key, held in known.items() if fold(held) == fold(name) and key != item.key]
        for key in others:
            if image_of(key).exists():
                raise CallError(
                    f"{root} calls another photo {name!r} already, {image_of(key)}; choose another name"
                )
        kept = {key: held for key, held in known.items() if key not in others}
        _write(file, json.dumps(kept | {item.key: name}, indent=0, sort_keys=True) + "\n")


def named(root: Path) -> dict[str, str]:
    """What every photo and person of a photo is called here: `Wanted.key` -> name."""
    return _known(root, root / "subjects" / NAMES)


def adopt(root: Path, moved: Mapping[Path, str]) -> None:
    """Let other files be the photos of these subjects from now on; their old paths are forgotten."""
    file = root / "subjects" / NAMES
    with Store(root).lock("subjects", "names"):
        taken = set(moved.values())
        kept = {key: name for key, name in _known(root, file).items() if name not in taken}
        merged = kept | {Wanted(image).key: name for image, name in moved.items()}
        _write(file, json.dumps(merged, indent=0, sort_keys=True) + "\n")


def _known(root: Path, file: Path) -> dict[str, str]:
    """What was named before; a file that cannot be read is made again from what every subject remembers of
    itself."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        known = {str(key): str(name) for key, name in values.items() if is_plain(str(name))}
    except (OSError, ValueError, AttributeError, RecursionError):
        known = {}
    for name in set(names(root)) - set(known.values()):
        try:
            known.setdefault(recall(root, name).image, name)
        except ValueError:
            continue
    return known


def _write(file: Path, text: str) -> None:
    """In one rename; unchanged content is not written."""
    if file.is_file() and file.read_text(encoding="utf-8", errors="replace") == text:
        return
    write_atomic(file, text.encode())


def merge_overrides(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    """Later assignments of a key win, and end those of settings inside of it; the order is kept."""
    values: dict[str, str] = {}
    for text in (*old, *new):
        key = text.partition("=")[0]
        if values.get(key) != text:
            values = {name: each for name, each in values.items() if not name.startswith(f"{key}.")}
        values[key] = text
    return tuple(values.values())
