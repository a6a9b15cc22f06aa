"""What a command works with: the stages with their settings, the work folder, and a subject's status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnaround import stages
from turnaround.flows.show.suggestions import no_stage
from turnaround.flows.subjects import memory as subjects
from turnaround.models import zoo
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.graph import Status, Subject, ordered, statuses
from turnaround.pipeline.settings import Settings, load_settings, renewed
from turnaround.pipeline.stage import Stage
from turnaround.pipeline.store.store import Store

StageClasses = Sequence[type[Stage[Any]]]


@dataclass(frozen=True)
class Project:
    """The stage classes and where weights come from; tests put toys here."""

    classes: Callable[[], StageClasses] = stages.classes
    weight_digest: Callable[[str], str] = zoo.digest

    def settings(self, config: str, overrides: Sequence[str]) -> Settings:
        """Checked settings of all stages."""
        return load_settings(config, self.classes(), overrides)

    def build(self, settings: Settings) -> tuple[Stage[Any], ...]:
        """The stages in order."""
        return tuple(ordered(settings.build(self.classes())))

    def check_weights(self, chosen: Sequence[Stage[Any]]) -> None:
        """Raise for the first weight that is missing, before anything is computed."""
        for stage in chosen:
            for name in stage.weights():
                try:
                    self.weight_digest(name)
                except zoo.MissingWeight as error:
                    raise zoo.MissingWeight(f"stage {stage.name}: {error}{remedy(name)}") from error

    def status(self, root: Path, name: str) -> list[Status]:
        """Every stage of a subject under the settings of its last run."""
        failures = subjects.recall(root, name).failures
        return statuses(self.stages_of(root, name), self.open(root, name), failures)

    def stages_of(self, root: Path, name: str) -> tuple[Stage[Any], ...]:
        """The stages in order under the settings of a subject's last run."""
        memory = subjects.recall(root, name)
        return self.build(self.settings(memory.config, self.renewed(memory.overrides)))

    def renewed(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """Settings that a work folder remembers, by the names that they have now."""
        return renewed(overrides, self.classes())

    def open(self, root: Path, name: str) -> Subject:
        """A subject of the work folder; ValueError where its photo is gone."""
        photo = subjects.photo(root, name)
        try:
            return Subject.open(photo, Store(root), self.weight_digest)
        except OSError as error:
            raise CallError(
                f"the photo of {name}, {photo.image}, cannot be read ({error.strerror}); put it back or run "
                f"another"
            ) from error


def remedy(name: str) -> str:
    """Licence and origin of a file of that name, where the project knows it."""
    known = next(
        (weight for weight in zoo.WEIGHTS.values() if weight.file == Path(name).name and not weight.embedded),
        None,
    )
    return (
        ""
        if known is None
        else f". {known.file} is {known.purpose} ({known.licence}): {known.source}; without it: "
        f"{known.instead}"
    )


def up_to(chosen: Sequence[Stage[Any]], until: str | None) -> tuple[Stage[Any], ...]:
    """The stages up to and with `until`; ValueError for a stage that does not exist."""
    names = [stage.name for stage in chosen]
    if until is None:
        return tuple(chosen)
    if until not in names:
        raise no_stage(until, names)
    return tuple(chosen[: names.index(until) + 1])
