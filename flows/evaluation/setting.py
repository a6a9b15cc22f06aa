"""How a suite's people go through the stages: settings, the switches of the ablations, one run and its
records."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnaround.flows.evaluation.measures.final import last
from turnaround.flows.runs.execute import Event, Job, Result, reconstruct_one
from turnaround.flows.subjects.memory import Memory
from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.settings import load_settings
from turnaround.pipeline.stage import Stage
from turnaround.pipeline.store.store import Record, Store
from turnaround.stages import classes

FIXED = ("stages.prepare.framing=frame",)  # the suite's camera is known: the picture is not cut
# each switches one part off; the stages before it come out of the cache
ABLATIONS: dict[str, tuple[str, ...]] = {
    "no_body_branch": (
        "stages.coarse.use_body=false",
        "stages.fuse.use_body=false",
        "stages.refine.fit.feed_body_from=1000000",
    ),
    "no_refinement": ("stages.refine.enabled=false",),
    "one_view": ("stages.fuse.use_back=false",),
    "no_diffusion": (
        "stages.back_view.refiner=none",
    ),  # the default preset's own setting without trained weights
    "no_exemplar": ("stages.back_view.exemplar=false",),
    "network_back": ("stages.back_view.enabled=false",),
    "mirror_copy": ("stages.back_view.mirror=true", "stages.back_view.refiner=none"),
    "no_layer": ("stages.detail.layer=false",),
    "no_ring": ("stages.detail.ring=false",),
    "no_side_views": ("stages.refine.fit.side_weight=0",),  # the default preset's own setting
    "side_views": ("stages.refine.fit.side_weight=1",),
}
IMAGE_BRANCH = (
    "stages.coarse.use_body=false",
)  # the picture alone, as LGM has it; only up to the coarse stage


@dataclass(frozen=True)
class Run:
    """What became of one photo, and the records of its stages."""

    result: Result
    records: dict[str, Record]

    @property
    def ok(self) -> bool:
        """Whether all stages are done."""
        return self.result.ok

    @property
    def failure(self) -> dict[str, Any]:
        """Which stage failed and why."""
        return {"failed": self.result.failed, "message": self.result.message}


@dataclass(frozen=True)
class Setting:
    """How the stages are run."""

    config: str
    overrides: tuple[str, ...]
    work: Path
    device: str
    event: Event | None = None
    fixed: tuple[str, ...] = FIXED  # settings that belong to the suite

    @property
    def folder(self) -> Path:
        """Where the evaluation keeps people, figures and pictures."""
        return self.work / "evaluation"

    def stages(self, extra: Sequence[str] = ()) -> tuple[Stage[Any], ...]:
        """The stages; ConfigError for settings that do not exist."""
        settings = load_settings(self.config, classes(), (*self.fixed, *self.overrides, *extra))
        return tuple(settings.build(classes()))

    def stage(self, name: str) -> Stage[Any]:
        """One stage with its settings."""
        return next(stage for stage in self.stages() if stage.name == name)

    def run(
        self, photo: Path | Photo, extra: Sequence[str] = (), until: str | None = None, apart: bool = False
    ) -> Run:
        """The stages on one photo; what is in the store is not done again.

        until: the last stage to run; by default the last one that measuring needs.
        apart: the subject's links and what is remembered of it stay as they are.
        """
        subject = photo if isinstance(photo, Photo) else Photo.at(photo)
        memory = Memory(os.path.abspath(subject.image), self.config, (*self.fixed, *self.overrides, *extra))
        stages = self.stages(extra)
        job = Job(
            subject,
            self.work,
            stages,
            zoo.digest,
            memory,
            self.device,
            until=until or last({s.name for s in stages}),
            apart=apart,
        )
        result = reconstruct_one(job, event=self.event)
        store = Store(self.work)
        keys = {stage: outcome["key"] for stage, outcome in result.stages.items() if outcome["key"]}
        found = {stage: store.find(stage, key) for stage, key in keys.items()}
        return Run(result, {stage: record for stage, record in found.items() if record is not None})

    def variant(self, photo: Path, name: str, extra: Sequence[str], until: str | None = None) -> Run:
        """Other settings on a copy of the photo, so that the subject's links keep pointing at the full
        pipeline."""
        copy = self.folder / "variants" / f"{photo.stem}_{name}{photo.suffix}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, copy)
        return self.run(copy, extra, until)

    def body_file(self) -> Path | None:
        """The user's body model; None for the free one."""
        body = load_settings(self.config, classes(), self.overrides).body
        return None if body == "body" else Path(body)

    def body_model(self) -> BodyModel:
        """The body model that the stages use."""
        return BodyModel.load(self.body_file())
