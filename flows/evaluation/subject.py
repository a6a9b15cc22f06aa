"""One test person through the real stages, as a photo of a work folder, and everything measured on the outcome."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.evaluation import baselines, measure, page
from flows.evaluation.people import TestPerson
from flows.execute import Event, Job, Result, reconstruct_one
from flows.subjects import Memory
from models import zoo
from models.body import BodyModel
from pipeline.config import load_settings
from pipeline.source import Photo
from pipeline.stage import Stage
from pipeline.store import Record, Store
from stages import classes

LAST = "mesh"  # the turntable shows, it does not measure
FIXED = ("stages.prepare.framing=frame",)  # the suite's camera is known: the picture is not cut
# each switches one part off; the stages before it come out of the cache
ABLATIONS: dict[str, tuple[str, ...]] = {
    "no_body_branch": ("stages.coarse.use_body=false", "stages.fuse.use_body=false", "stages.refine.feed_body_from=1000000"),
    "no_refinement": ("stages.refine.enabled=false",),
    "one_view": ("stages.fuse.use_back=false",),
    "no_diffusion": ("stages.back_view.enabled=false",),
    "no_side_views": ("stages.refine.side_views=false",),  # the default preset's own setting
    "side_views": ("stages.refine.side_views=true",),
}


@dataclass(frozen=True)
class Setting:
    """How the stages are run."""

    config: str
    overrides: tuple[str, ...]
    work: Path
    device: str
    event: Event | None = None

    def job(self, photo: Photo, extra: Sequence[str] = ()) -> Job:
        """The stages on one photo; ConfigError for settings that do not exist."""
        overrides = (*FIXED, *self.overrides, *extra)
        settings = load_settings(self.config, classes(), overrides)
        memory = Memory(str(photo.image), self.config, overrides)
        return Job(photo, self.work, tuple(settings.build(classes())), zoo.digest, memory, self.device, until=LAST)

    def stage(self, name: str) -> Stage[Any]:
        """One stage with its settings."""
        built = load_settings(self.config, classes(), (*FIXED, *self.overrides)).build(classes())
        return next(stage for stage in built if stage.name == name)

    def body_model(self) -> BodyModel:
        """The body model that the stages use."""
        body = load_settings(self.config, classes(), self.overrides).body
        return BodyModel.load(None if body == "body" else Path(body))


def evaluate_person(person: TestPerson, setting: Setting, ablations: Sequence[str], pages: Path) -> dict[str, Any]:
    """All figures of one person; a failure of the stages is reported under "failed", never raised."""
    result, records = _run(person.photo, setting)
    if not result.ok:
        return {"name": person.name, "failed": result.failed, "message": result.message}
    pictures = measure.render_turn(records["fuse"].load("gaussians"), person.size)
    view = records["prepare"].load("view")
    page.write_strip(pages, person, view.image, pictures)
    truth = measure.true_surface(person)
    seconds = {stage: record.manifest["seconds"] for stage, record in records.items()}
    report: dict[str, Any] = {
        "name": person.name,
        "novel": measure.novel_views(pictures, person),
        "hgm_protocol": measure.hgm_protocol(pictures, person),
        "geometry": measure.geometry(records["mesh"].load("mesh"), truth),
        "back_view": {name: measure.back_view(records["back_view"].load(name), person) for name in ("coarse", "refined")},
        "seconds": {**seconds, "total": sum(seconds.values())},
        "keys": {stage: record.key for stage, record in records.items()},
    }
    model = setting.body_model()
    report["body"] = _body_errors(model, records, person)
    report["baselines"] = _baselines(person, records, model, truth)
    report["ablations"] = {name: _ablation(name, person, setting, model, truth) for name in ablations}
    return report


def _run(image: Path, setting: Setting, extra: Sequence[str] = ()) -> tuple[Result, dict[str, Record]]:
    result = reconstruct_one(setting.job(Photo.at(image), extra), event=setting.event)
    store = Store(setting.work)
    records: dict[str, Record] = {}
    for stage, outcome in result.stages.items():
        record = store.find(stage, outcome["key"]) if outcome["key"] else None
        if record is not None:
            records[stage] = record
    return result, records


def _body_errors(model: BodyModel, records: dict[str, Record], person: TestPerson) -> dict[str, float]:
    initial, refined = (model(records[stage].load("body")).joints.detach() for stage in ("estimate", "refine"))
    return measure.body_errors(initial, refined, person)


def _baselines(person: TestPerson, records: dict[str, Record], model: BodyModel, truth: Any) -> dict[str, Any]:
    coarse = measure.render_turn(records["coarse"].load("gaussians"), person.size)
    mesh = baselines.painted_body(model, records["refine"].load("body"), records["prepare"].load("view"))
    return {
        "coarse": {"novel": measure.novel_views(coarse, person)},
        "painted_body": {
            "novel": measure.novel_views(baselines.render_mesh(mesh, person.size), person),
            "geometry": measure.geometry(mesh, truth),
        },
        "white": {"novel": measure.novel_views(baselines.white(person.size), person)},
    }


def _ablation(name: str, person: TestPerson, setting: Setting, model: BodyModel, truth: Any) -> dict[str, Any]:
    # a photo of its own, so that the subject's links keep pointing at the full pipeline
    photo = person.photo.with_name(f"{person.name}_{name}.png")
    shutil.copyfile(person.photo, photo)
    result, records = _run(photo, setting, ABLATIONS[name])
    if not result.ok:
        return {"failed": result.failed, "message": result.message}
    pictures = measure.render_turn(records["fuse"].load("gaussians"), person.size)
    return {
        "novel": measure.novel_views(pictures, person),
        "geometry": measure.geometry(records["mesh"].load("mesh"), truth),
        "body": _body_errors(model, records, person),
    }
