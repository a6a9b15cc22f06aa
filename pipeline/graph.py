"""The graph of stages: their order, running one of them for one subject, and why it would run again."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.formats.codecs import codec_for
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.stage import PHOTO, Stage
from turnaround.pipeline.store.recipe import Cause, Recipe, WeightDigest, causes, source_digest
from turnaround.pipeline.store.runs import Runs
from turnaround.pipeline.store.store import Kept, Record

DeviceFor = Callable[[Stage[Any]], AbstractContextManager[Any]]
State = Literal["FRESH", "MISSING", "FAILED", "STALE"]
_FACTS = (
    "seconds",
    "device",
    "packages",
    "source",
    "finished",
)  # of a run, that stay true where outputs are given
_PACKAGES = (
    "turnaround",
    "torch",
    "numpy",
    "pillow",
    "diffusers",
    "transformers",
    "fast-simplification",
    "smplx",
    "numba",
    "xatlas",
    "gsplat",
)


def ordered(stages: Sequence[Stage[Any]]) -> list[Stage[Any]]:
    """The stages so that each comes after what it needs, otherwise as given; ValueError for a graph that
    cannot run."""
    by_name = {stage.name: stage for stage in stages}
    if len(by_name) != len(stages):
        raise CallError(f"two stages share a name: {[stage.name for stage in stages]}")
    for stage in stages:
        for argument, need in stage.needs.items():
            owner, output = need.split(".")
            if owner != PHOTO and (owner not in by_name or output not in by_name[owner].makes):
                made = sorted(f"{s.name}.{o}" for s in stages for o in s.makes)
                raise CallError(
                    f"stage {stage.name} needs {need!r} for `{argument}`, which no stage makes; there are "
                    f"{made}"
                )
    sorter = TopologicalSorter({stage.name: upstream(stage) for stage in stages})
    try:
        sorter.prepare()
    except CycleError as error:
        raise CallError(f"the stages need each other in a circle: {' -> '.join(error.args[1])}") from error
    order: list[Stage[Any]] = []
    waiting = list(stages)
    while waiting:
        done = {stage.name for stage in order}
        order.append(next(stage for stage in waiting if done.issuperset(upstream(stage))))
        waiting.remove(order[-1])
    return order


def upstream(stage: Stage[Any]) -> list[str]:
    """Names of the stages that `stage` needs, in the order of its arguments."""
    return list(
        dict.fromkeys(owner for need in stage.needs.values() if (owner := need.split(".")[0]) != PHOTO)
    )


def downstream(stages: Sequence[Stage[Any]], name: str) -> list[str]:
    """Names of the stages that need `name`, directly or not, in order."""
    reached = {name}
    for stage in ordered(stages):
        if reached.intersection(upstream(stage)):
            reached.add(stage.name)
    return [stage.name for stage in ordered(stages) if stage.name in reached and stage.name != name]


@dataclass(frozen=True)
class Subject:
    """One photo on its way through the stages: where its runs are kept and what has been done."""

    photo: Photo
    store: Runs
    weight_digest: WeightDigest
    sources: Mapping[str, str]  # digests of the photo and its sidecars
    done: dict[str, Record] = field(default_factory=dict)

    @staticmethod
    def open(photo: Photo, store: Runs, weight_digest: WeightDigest) -> Subject:
        """A subject of which nothing is done yet; OSError where the photo cannot be read."""
        return Subject(photo, store, weight_digest, photo.digests(store.memo))

    def recipe(self, stage: Stage[Any]) -> Recipe:
        """What determines the stage's outputs now; KeyError where an upstream stage is not done."""
        given = {output: self.store.memo.digest(file) for output, file in self.given(stage).items()}
        return Recipe.of(
            stage, {need: self._digest(need) for need in stage.needs.values()}, self.weight_digest, given
        )

    def given(self, stage: Stage[Any]) -> dict[str, Path]:
        """Outputs of the stage that a person gave -> their files."""
        return {
            output: self.photo.given[name]
            for output in stage.makes
            if (name := f"{stage.name}.{output}") in self.photo.given
        }

    def _digest(self, need: str) -> str:
        owner, output = need.split(".")
        return self.sources[output] if owner == PHOTO else self.done[owner].digest(output)

    def load(self, need: str) -> Any:
        """The value of one need, read from disk."""
        owner, output = need.split(".")
        return self.photo.load(output) if owner == PHOTO else self.done[owner].load(output)


@dataclass(frozen=True)
class Outcome:
    """A stage's record, and whether it had been there."""

    record: Record
    fresh: bool


def run_stage(stage: Stage[Any], subject: Subject, device: DeviceFor, *, force: bool = False) -> Outcome:
    """Find or compute one stage of one subject, and note it in `subject.done`.

    device: lends a torch.device to a stage; asked only when something has to be computed.
    Raises StageError, StoreError, and whatever the stage raises; nothing is published then.
    """
    recipe = subject.recipe(stage)

    def make() -> Record:
        with device(stage) as chosen:
            return _compute(stage, recipe.computed, subject, chosen)

    def replace() -> Record:
        base = _found_or(make, recipe.computed, subject.store, force=force).record
        return _replace(stage, recipe, subject, base)

    outcome = _found_or(replace if recipe.given else make, recipe, subject.store, force=force)
    subject.done[stage.name] = outcome.record
    return outcome


def _found_or(make: Callable[[], Record], recipe: Recipe, store: Runs, *, force: bool) -> Outcome:
    """The run of the store, or the one that `make` publishes under the key's lock."""
    found = None if force else store.find(recipe.stage, recipe.key)
    if found is not None:
        return Outcome(found, True)
    with store.lock(recipe.stage, recipe.key):
        found = (
            None if force else store.find(recipe.stage, recipe.key)
        )  # another process may have made it meanwhile
        return Outcome(found, True) if found is not None else Outcome(make(), False)


def _replace(stage: Stage[Any], recipe: Recipe, subject: Subject, base: Record) -> Record:
    """The run `base` with some outputs taken from the files that a person gave; the others are the same
    bytes."""
    given = subject.given(stage)
    outputs = {
        name: codec_for(kind).load(given[name]) if name in given else Kept(base, name)
        for name, kind in stage.makes.items()
    }
    facts = {name: base.manifest[name] for name in _FACTS}
    return subject.store.save(
        recipe, dict(stage.makes), outputs, facts | {"subject": subject.photo.name, "computed": base.key}
    )


def _compute(stage: Stage[Any], recipe: Recipe, subject: Subject, device: Any) -> Record:
    started = time.perf_counter()
    inputs = {argument: subject.load(need) for argument, need in stage.needs.items()}
    outputs = stage.run(device=device, **inputs)._asdict()
    seconds = time.perf_counter() - started
    facts = {
        "seconds": round(seconds, 3),
        "device": str(device),
        "packages": package_versions(),
        "source": source_digest(stage),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "subject": subject.photo.name,
    }
    return subject.store.save(recipe, dict(stage.makes), outputs, facts)


@lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter, without importing them."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Status:
    """What a stage of a subject is like, and why."""

    stage: str
    state: State
    causes: tuple[Cause, ...] = ()
    note: str = ""  # a failure's message, or that the code changed and the version did not
    record: Record | None = None

    def __str__(self) -> str:
        kinds = list(dict.fromkeys(cause.kind for cause in self.causes))
        return f"{self.state}({', '.join(kinds)})" if kinds else self.state


def why(stage: Stage[Any], subject: Subject, failure: str | None = None) -> Status:
    """Compare what a subject's link points at with what the stage would make now.

    `subject.done` holds the linked records of the stages before. Raises what the weights' digests raise.
    """
    record = subject.store.linked(subject.photo.name, stage.name)
    absent = [name for name in upstream(stage) if name not in subject.done]
    if failure is not None:
        return Status(stage.name, "FAILED", note=failure, record=record)
    if record is None or absent:
        note = f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not done" if absent else ""
        return Status(stage.name, "MISSING", note=note, record=record)
    found = tuple(causes(Recipe.recorded(record.manifest), subject.recipe(stage)))
    changed = record.manifest.get("source") not in (None, source_digest(stage))
    note = "code changed, version did not" if changed and not found else ""
    return Status(stage.name, "STALE" if found else "FRESH", found, note, record)


def statuses(stages: Sequence[Stage[Any]], subject: Subject, failures: Mapping[str, str]) -> list[Status]:
    """The status of every stage; what comes after a stale stage is stale by INPUT."""
    unsettled: set[str] = set()
    result: list[Status] = []
    for stage in ordered(stages):
        status = why(stage, subject, failures.get(stage.name))
        late = [name for name in upstream(stage) if name in unsettled]
        if status.state == "FRESH" and late:
            status = Status(
                stage.name,
                "STALE",
                (Cause("INPUT", late[0], "done", "will be made again"),),
                "",
                status.record,
            )
        if status.state != "FRESH":
            unsettled.add(stage.name)
        if status.record is not None:
            subject.done[stage.name] = status.record
        result.append(status)
    return result
