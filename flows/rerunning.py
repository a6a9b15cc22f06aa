"""`rerun`: one stage again for some subjects, under the settings of their last run and new ones on top."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from flows import subjects
from flows.execute import Result
from flows.project import Project, up_to
from flows.running import Request, run
from pipeline.source import Photo


def rerun_stage(
    root: Path, stage: str, names: list[str], only: bool, overrides: tuple[str, ...], device: str, project: Project
) -> list[Result]:
    """Compute `stage` anew for `names` (all subjects by default); what comes after follows unless `only`.

    Subjects of equal settings run together. ValueError for an unknown stage or subject.
    """
    chosen = names or subjects.names(root)
    if not chosen:
        raise ValueError(f"{root} holds no subjects yet; start with `turnaround run PHOTO`")
    groups: dict[tuple[str, tuple[str, ...]], list[Photo]] = defaultdict(list)
    for name in chosen:
        memory = subjects.recall(root, name)
        groups[memory.config, subjects.merge_overrides(memory.overrides, overrides)].append(memory.photo())
    for config, merged in groups:  # all settings are checked before anything is computed
        up_to(project.build(project.settings(config, merged)), stage)
    results = []
    for (config, merged), photos in groups.items():
        until = stage if only else None
        request = Request(photos, root, config, merged, device, direct=True, until=until, force=frozenset({stage}))
        results += run(request, project)
    return results
