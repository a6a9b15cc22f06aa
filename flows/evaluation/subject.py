"""One test person through the real stages, as a photo of a work folder, and everything measured on the
outcome."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from turnaround.flows.evaluation.measures import backs, baselines, detail, matting, measure
from turnaround.flows.evaluation.measures.final import final
from turnaround.flows.evaluation.measures.fine import FineTruth
from turnaround.flows.evaluation.memory import DETAIL, MATTING, Measured, sources_digest
from turnaround.flows.evaluation.pictures import detail as detail_pictures
from turnaround.flows.evaluation.pictures import views as pictures
from turnaround.flows.evaluation.setting import ABLATIONS, IMAGE_BRANCH, Run, Setting
from turnaround.flows.evaluation.suite import TestPerson
from turnaround.flows.runs.execute import lend_device
from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.metrics import vgg
from turnaround.pipeline.store.recipe import Recipe
from turnaround.pipeline.store.store import Record
from turnaround.pipeline.values.types import View

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What is done with every person."""

    setting: Setting
    ablations: tuple[str, ...] = ()
    matting: bool = True
    hgm: bool = False


def evaluate_person(person: TestPerson, plan: Plan) -> dict[str, Any]:
    """All figures of one person; what fails is reported under "failed", never raised."""
    try:
        run = plan.setting.run(person.photo)
        return {"name": person.name, **(_Case(person, plan).everything(run) if run.ok else run.failure)}
    except Exception as error:
        log.warning("%s could not be measured", person.name, exc_info=error)
        return {"name": person.name, "failed": "measuring", "message": f"{type(error).__name__}: {error}"}


class _Case:
    """One person, their truth, and what is known of them."""

    def __init__(self, person: TestPerson, plan: Plan) -> None:
        self.person, self.plan = person, plan
        self.truth_digest = person.digest()
        self.measured = Measured(plan.setting.folder / "measured" / f"{person.name}.json", self.truth_digest)
        self.truth = lru_cache(maxsize=1)(lambda: measure.true_surface(person))
        self._turns: dict[str, measure.Pictures] = {}

    def everything(self, run: Run) -> dict[str, Any]:
        """All figures of a finished run, its baselines and ablations."""
        records, plan = run.records, self.plan
        seconds = {stage: record.manifest["seconds"] for stage, record in records.items()}
        report: dict[str, Any] = {
            "truth": self.truth_digest,
            **self.outcome(records),
            "back_view": self.back_view(records),
        }
        if plan.hgm:
            report["hgm_protocol"] = self._pictured("hgm", final(records), measure.hgm_protocol)
        if plan.matting:
            report["matting"] = self.matting()
        report["pictures"] = self.pictures(records)
        report["seconds"] = {**seconds, "total": sum(seconds.values())}
        report["keys"] = {stage: record.key for stage, record in records.items()}
        report["baselines"] = self.baselines(records)
        report["ablations"] = {name: self.ablation(name) for name in plan.ablations}
        report["body"] = report["body"] | self.side_views(report)
        return report

    def outcome(self, records: dict[str, Record]) -> dict[str, Any]:
        """Novel views, geometry and body of the full pipeline or of an ablation."""
        mesh, estimate, refine = records["mesh"], records["estimate"], records["refine"]
        found = {
            "novel": self._pictured("novel", final(records), measure.novel_views),
            "geometry": self.measured(
                "geometry", [mesh.key], lambda: measure.geometry(mesh.load("mesh"), self.truth())
            ),
            "body": self.measured("body", [estimate.key, refine.key], lambda: self._body(estimate, refine)),
        }
        return (
            found
            if self.person.fine is None
            else found | {"detail": self.detail(final(records), self.person.fine)}
        )

    def detail(self, record: Record, truth: FineTruth) -> dict[str, Any]:
        """The figures at 1,024 px of a stage's Gaussians."""
        keys = [record.key, sources_digest(DETAIL), "vgg" if vgg.network() else "none"]
        return self.measured("detail", keys, lambda: detail.detail(record.load("gaussians"), truth))

    def turn(self, record: Record) -> measure.Pictures:
        """The twelve views of a stage's Gaussians; the last one is kept."""
        if record.key not in self._turns:
            self._turns = {record.key: measure.render_turn(record.load("gaussians"), self.person.size)}
        return self._turns[record.key]

    def _pictured(self, part: str, record: Record, metric: Any) -> dict[str, Any]:
        return self.measured(part, [record.key], lambda: metric(self.turn(record), self.person))

    def _body(self, estimate: Record, refine: Record) -> dict[str, Any]:
        model = body_model(self.plan.setting.body_file())
        return measure.posed_errors(model, estimate.load("body"), refine.load("body"), self.person)

    def back_view(self, records: dict[str, Record]) -> dict[str, Any]:
        """The rows of the back view; the pictures are kept for what is measured over all people."""
        back, fused, file = records["back_view"], final(records), self.back_file()

        def compute() -> dict[str, Any]:
            shown = {name: back.load(name) for name in ("coarse", "refined")} | {
                "fused": self.turn(fused)[0][measure.BACK]
            }
            backs.keep(file, shown, self.person)
            return {name: backs.back_view(image, self.person) for name, image in shown.items()}

        return self.measured("back_view", [back.key, fused.key], compute, [file])

    def back_file(self) -> Path:
        """Where the views from behind are kept."""
        return self.plan.setting.folder / "backs" / f"{self.person.name}.npz"

    def matting(self) -> list[dict[str, Any]]:
        """Errors of the mask over each kind of background."""
        prepare = self.plan.setting.stage("prepare")
        key = Recipe.of(prepare, {}, zoo.digest).key

        def compute() -> list[dict[str, Any]]:
            with lend_device(prepare, self.plan.setting.device) as device:
                return matting.matting(prepare, self.person, device)

        return self.measured("matting", [key, sources_digest(MATTING)], compute)

    def baselines(self, records: dict[str, Record]) -> dict[str, Any]:
        """Coarse model, image branch alone, painted body, and a white picture."""
        white = self.measured(
            "white", [], lambda: measure.novel_views(baselines.white(self.person.size), self.person)
        )
        found = {"coarse": {"novel": self._pictured("novel", records["coarse"], measure.novel_views)}}
        alone = self.plan.setting.variant(self.person.photo, "image_branch", IMAGE_BRANCH, until="coarse")
        if alone.ok:
            found["image_branch"] = {
                "novel": self._pictured("novel", alone.records["coarse"], measure.novel_views)
            }
        prepare, refine = records["prepare"], records["refine"]
        painted = self.measured(
            "painted", [prepare.key, refine.key], lambda: self._painted(prepare.load("view"), refine)
        )
        return {**found, "painted_body": painted, "white": {"novel": white}}

    def _painted(self, view: View, refine: Record) -> dict[str, Any]:
        try:
            mesh = baselines.painted_body(
                body_model(self.plan.setting.body_file()), refine.load("body"), view
            )
        except ValueError as error:
            return {"failed": "painting", "message": str(error)}
        shown = baselines.render_mesh(mesh, self.person.size)
        return {
            "novel": measure.novel_views(shown, self.person),
            "geometry": measure.geometry(mesh, self.truth()),
        }

    def ablation(self, name: str) -> dict[str, Any]:
        """The figures with one part switched off."""
        run = self.plan.setting.variant(self.person.photo, name, ABLATIONS[name])
        return self.outcome(run.records) if run.ok else run.failure

    def side_views(self, report: dict[str, Any]) -> dict[str, float | None]:
        """MPJPE of the refinement with and without the side views, where it was run so."""
        fit = getattr(self.plan.setting.stage("refine").config, "fit", None)
        switched = None if fit is None else fit.side_weight > 0
        known = {
            "side_views": report if switched else None,
            "no_side_views": report if switched is False else None,
        }
        found = {name: own or report["ablations"].get(name) or {} for name, own in known.items()}
        return {
            f"mpjpe_{name}_mm": run.get("body", {}).get("mpjpe_refined_mm") for name, run in found.items()
        }

    def pictures(self, records: dict[str, Record]) -> dict[str, str]:
        """The page's pictures: name -> file, relative to the folder."""
        folder = self.plan.setting.folder
        files = {name: folder / "pictures" / f"{self.person.name}_{name}.jpg" for name in pictures.KINDS}
        seen = ("prepare", "estimate", "refine", "back_view", "mesh")
        keys = [pictures.VERSION, *(records[stage].key for stage in seen), final(records).key]
        drawn = self.measured("pictures", keys, lambda: self._draw(files, records), files.values())
        return (
            drawn
            if self.person.fine is None
            else drawn | self.detail_pictures(final(records), self.person.fine)
        )

    def detail_pictures(self, record: Record, truth: FineTruth) -> dict[str, str]:
        """The page's picture of the person at 1,024 px."""
        folder = self.plan.setting.folder
        file = folder / "pictures" / f"{self.person.name}_detail.jpg"
        keys = [detail_pictures.VERSION, record.key]
        draw = lambda: detail_pictures.draw(file, record.load("gaussians"), truth)  # noqa: E731
        self.measured("detail_pictures", keys, draw, [file])
        return {"detail": file.relative_to(folder).as_posix()}

    def _draw(self, files: dict[str, Path], records: dict[str, Record]) -> dict[str, str]:
        pictures.draw(
            files, self.person, records, self.turn(final(records)), body_model(self.plan.setting.body_file())
        )
        return {name: file.relative_to(self.plan.setting.folder).as_posix() for name, file in files.items()}


@lru_cache(maxsize=2)
def body_model(file: Path | None) -> BodyModel:
    """The body model, read once."""
    return BodyModel.load(file)
