"""`sweep`: subjects under every combination of some settings. Variants share the store and leave the subjects
as they are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turnaround.flows.prefect.runners import default_workers, run_direct
from turnaround.flows.runs.execute import Job, Result, check_device
from turnaround.flows.runs.progress import Progress
from turnaround.flows.runs.rerun import grouped
from turnaround.flows.subjects import memory as subjects
from turnaround.flows.subjects.project import Project, up_to
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.store import Store

_MOST = 200  # combinations; more is a slip of the comma


@dataclass(frozen=True)
class Variant:
    """One combination: its settings as `--set` takes them, and what it is called."""

    settings: tuple[str, ...]
    label: str


def variants(sets: Sequence[str]) -> list[Variant]:
    """Every combination of `key=value,value,...`; the last key varies fastest.

    Commas within brackets, braces or quotes belong to a value: `a=[1,2],[3,4]` has two. ValueError for a key
    without values.
    """
    axes: dict[str, list[str]] = {}
    for text in sets:
        key, equals, values = text.partition("=")
        if not equals or not key or key in axes:
            raise CallError(
                f"--set {text}: expected KEY=VALUE,VALUE,..., each key once, e.g. "
                f"stages.refine.fit.iterations=15,45,90"
            )
        axes[key] = list(dict.fromkeys(split_values(values)))
    if not axes:
        raise CallError(
            "nothing to sweep: give --set KEY=VALUE,VALUE,..., e.g. --set "
            "stages.refine.fit.iterations=15,45,90"
        )
    names = {key: short if _unique(short := key.rpartition(".")[2], axes) else key for key in axes}
    found: list[Variant] = []
    for values in itertools.product(*axes.values()):
        pairs = list(zip(axes, values, strict=True))
        found.append(
            Variant(
                tuple(f"{key}={value}" for key, value in pairs),
                ", ".join(f"{names[key]}={value}" for key, value in pairs),
            )
        )
    if len(found) > _MOST:
        raise CallError(
            f"{len(found)} combinations are more than anybody looks at (at most {_MOST}); leave out some "
            f"values"
        )
    return found


def _unique(short: str, axes: Sequence[str] | dict[str, list[str]]) -> bool:
    return sum(key.rpartition(".")[2] == short for key in axes) == 1


def split_values(text: str) -> list[str]:
    """At the commas that are not within brackets, braces or quotes; ValueError where these do not match or a
    value is empty."""
    parts, inside, quote = [""], [], ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[{":
            inside.append({"[": "]", "{": "}"}[letter])
        elif letter in "]}":
            if not inside or inside.pop() != letter:
                raise CallError(f"{text!r}: {letter!r} closes nothing")
        elif letter == "," and not inside:
            parts.append("")
            continue
        parts[-1] += letter
    if inside or quote:
        raise CallError(f"{text!r}: {(inside or [quote])[-1]!r} is missing")
    values = [part.strip() for part in parts]
    if not all(values):
        raise CallError(f"{text!r}: a value is empty; write '' for the empty text")
    return values


def sweep(
    project: Project,
    root: Path,
    patterns: Sequence[str],
    sets: Sequence[str],
    *,
    device: str = "auto",
    until: str | None = None,
    workers: int = 0,
) -> dict[str, list[Result]]:
    """Run all variants of the subjects that match; label -> results in the order of the subjects.

    Only stages that differ from what the store has are computed. The subjects' links and remembered settings
    stay. ValueError for unknown subjects or settings, before anything is computed.
    """
    chosen, names = variants(sets), subjects.matching(root, patterns)
    check_device(device)
    Store(root).prepare()
    planned = {variant.label: _jobs(project, root, names, variant, device, until) for variant in chosen}
    results: dict[str, list[Result]] = {}
    for label, jobs in planned.items():
        at_a_time = workers or default_workers(len(jobs))
        with Progress(jobs, label, at_a_time) as progress:
            results[label] = run_direct(jobs, at_a_time, progress.event, progress.finished)
    return results


def _jobs(
    project: Project, root: Path, names: Sequence[str], variant: Variant, device: str, until: str | None
) -> list[Job]:
    jobs: dict[str, Job] = {}
    for (config, merged), photos in grouped(root, names, variant.settings, project).items():
        stages = up_to(project.build(project.settings(config, merged)), until)
        project.check_weights(stages)
        for photo in photos:
            memory = subjects.Memory(str(photo.image), config, merged)
            jobs[photo.name] = Job(
                photo, root, stages, project.weight_digest, memory, device, until=until, apart=True
            )
    return [jobs[name] for name in names]
