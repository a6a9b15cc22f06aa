"""`rerun`: stages again for some subjects, under the settings of their last run and new ones on top."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turnaround.flows.runs.execute import Result
from turnaround.flows.runs.run import Request, run
from turnaround.flows.subjects import memory as subjects
from turnaround.flows.subjects.project import Project, up_to
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.graph import downstream
from turnaround.pipeline.photos.source import Photo

Settings = tuple[str, tuple[str, ...]]  # preset or file, and what is set on top


@dataclass(frozen=True)
class Again:
    """What to do again: one stage, or with `onwards` that stage and all that need it; without a stage what is
    not FRESH."""

    stage: str | None
    onwards: bool = False
    until: str | None = None  # the last stage that is done at all

    @staticmethod
    def of(stage: str | None, first: str | None, until: str | None, only: bool) -> Again:
        """From the words of the command line; ValueError where they contradict each other."""
        if stage and first:
            raise CallError("either `rerun STAGE`, or `rerun --from STAGE` for it and all that need it")
        if only and (first or until or not stage):
            raise CallError(
                "--only does one stage alone: `rerun STAGE --only`; it goes with neither --from nor --until"
            )
        chosen = stage or first
        return Again(chosen, onwards=first is not None, until=chosen if only else until)


def rerun_stage(
    root: Path,
    again: Again,
    patterns: Sequence[str],
    overrides: tuple[str, ...],
    device: str,
    project: Project,
) -> list[Result]:
    """Compute what `again` says anew for the subjects that match; what comes after follows as far as its
    inputs changed.

    Subjects of equal settings run together. ValueError for an unknown stage or subject.
    """
    groups = grouped(root, subjects.matching(root, patterns), overrides, project)
    forced = [
        _forced(again, project, settings) for settings in groups
    ]  # all is checked before anything is computed
    results: list[Result] = []
    for ((config, merged), photos), force in zip(groups.items(), forced, strict=True):
        request = Request(
            photos, root, config, merged, device, direct=True, until=again.until, force=force, again=True
        )
        results += run(request, project)
    return results


def grouped(
    root: Path, names: Sequence[str], overrides: tuple[str, ...], project: Project
) -> dict[Settings, list[Photo]]:
    """Subjects by the settings of their last run with `overrides` on top."""
    groups: dict[Settings, list[Photo]] = defaultdict(list)
    for name in names:
        memory = subjects.recall(root, name)
        photo = subjects.photo(root, name, Path(memory.image))
        merged = subjects.merge_overrides(project.renewed(memory.overrides), overrides)
        groups[memory.config, merged].append(photo)
    return dict(groups)


def _forced(again: Again, project: Project, settings: Settings) -> frozenset[str]:
    """The stages that are computed even where nothing changed; ValueError for stages that do not exist or go
    backwards."""
    config, merged = settings
    stages = project.build(project.settings(config, merged))
    if again.stage is None:
        up_to(stages, again.until)
        return frozenset()
    up_to(stages, again.stage)
    done = [stage.name for stage in up_to(stages, again.until)]
    if again.stage not in done:
        raise CallError(f"--until {again.until} ends before {again.stage}, which is to be done again")
    onwards = downstream(stages, again.stage) if again.onwards else []
    return frozenset({again.stage, *onwards} & set(done))
