"""Which photos a `run` is about: from paths, folders, patterns and lists to named subjects, whole or one
shard of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turnaround.flows.subjects import adoption, memory
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.photos.gather import pictures
from turnaround.pipeline.photos.naming import Wanted, of_shard
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.store.store import Store


@dataclass(frozen=True)
class Choice:
    """What the command line said about photos."""

    paths: Sequence[Path]
    recursive: bool = False
    lists: Sequence[Path] = ()
    limit: int | None = None  # the first so many of what is left
    shard: tuple[int, int] | None = None  # part i of n, 1 <= i <= n
    adopt: bool = False  # photos that were moved go on as the subjects that they were


def choose(root: Path, choice: Choice) -> list[Photo]:
    """The photos, each with the name it has in this work folder; ValueError where there is none."""
    if not choice.paths and not choice.lists:
        raise CallError("Missing argument: give photos, folders, patterns or @LIST (`turnaround run --help`)")
    files = pictures(choice.paths, recursive=choice.recursive, lists=choice.lists)
    Store(root).prepare()
    moved = adoption.twins(root, files)
    if choice.adopt:
        memory.adopt(root, moved)
    named = memory.register(
        root, [Wanted(file) for file in files]
    )  # all of them: a shard must not change a name
    adoption.tell({file: name for file, name in moved.items() if named[Wanted(file)] != name})
    chosen = [(file, named[Wanted(file)]) for file in files]
    if choice.shard is not None:
        chosen = [(file, name) for file, name in chosen if of_shard(name, choice.shard)]
    return [memory.photo(root, name, file) for file, name in chosen[: choice.limit]]


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """`2/5` as (2, 5); ValueError for anything else than i/n with 1 <= i <= n."""
    if text is None:
        return None
    part, _, parts = text.partition("/")
    if not (
        part.isascii()
        and parts.isascii()
        and part.isdigit()
        and parts.isdigit()
        and 1 <= int(part) <= int(parts)
    ):
        raise CallError(f"--shard {text}: expected i/n with i from 1 to n, e.g. --shard 2/5")
    return int(part), int(parts)
