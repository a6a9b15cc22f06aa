"""What the rest of the program asks of stage runs, wherever they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from turnaround.pipeline.store.digest import DigestMemo
from turnaround.pipeline.store.manifest import Record
from turnaround.pipeline.store.recipe import Recipe


class LinkedRuns(Protocol):
    """The current runs of subjects, to be read."""

    def linked(self, subject: str, stage: str) -> Record | None:
        """Find the run of `stage` that is the subject's; None where there is none."""
        ...

    def subject(self, name: str) -> Path:
        """Tell the folder of a subject; ValueError for a name that is not that of a folder."""
        ...


class Runs(LinkedRuns, Protocol):
    """Finds, publishes and links stage runs: `Store` does, and `Tiered` with another store behind it."""

    @property
    def root(self) -> Path:
        """Tell the work folder."""
        ...

    @property
    def memo(self) -> DigestMemo:
        """Give the digests of files that are known."""
        ...

    def prepare(self) -> None:
        """Make the folders; StoreError where the work folder cannot be written."""
        ...

    def path(self, stage: str, key: str) -> Path:
        """Tell where a run is, or would be."""
        ...

    def find(self, stage: str, key: str) -> Record | None:
        """Find a complete run, or None."""
        ...

    def lock(self, stage: str, key: str) -> AbstractContextManager[None]:
        """Hold the key's lock: one thread of one process computes it."""
        ...

    def at_work(self) -> AbstractContextManager[None]:
        """Hold off whoever deletes; as many as like do so at once."""
        ...

    def save(
        self, recipe: Recipe, kinds: Mapping[str, str], outputs: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> Record:
        """Publish a run under the key's lock; StoreError where the disk does not take it."""
        ...

    def set_aside(self, path: Path) -> Path:
        """Move a damaged run out of the cache, so that it is made again; where it lies then."""
        ...

    def link(self, subject: str, position: int, record: Record) -> None:
        """Point a subject at the record, as its stage number `position`."""
        ...
