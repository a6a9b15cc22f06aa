"""The runs of one reconstruction, kept by their keys: what a person has does not change when its photo is
done again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from turnaround.pipeline.errors import MissingFile
from turnaround.pipeline.store.store import Record, Store


class KeptRuns:
    """The `LinkedRuns` of a work folder in which every subject's links lead to these runs, whatever the
    links on disk lead to meanwhile."""

    def __init__(self, root: Path, keys: Mapping[str, str]) -> None:
        self._store = Store(root)
        self.keys = dict(keys)  # stage -> key

    def __reduce__(self) -> tuple[type[KeptRuns], tuple[Path, dict[str, str]]]:
        return type(self), (self.root, self.keys)

    @property
    def root(self) -> Path:
        """The work folder."""
        return self._store.root

    def subject(self, name: str) -> Path:
        """Tell the folder of a subject; ValueError for a name that is not that of a folder."""
        return self._store.subject(name)

    def linked(self, subject: str, stage: str) -> Record | None:
        """The run of a stage, or None where it was not asked for; MissingFile where it is there no longer."""
        if stage not in self.keys:
            return None
        record = self._store.find(stage, self.keys[stage])
        if record is None:
            raise MissingFile(
                f"{self._store.path(stage, self.keys[stage])} is gone or damaged (`turnaround gc` "
                f"deletes what no subject points at any more); reconstruct {subject} again"
            )
        return record
