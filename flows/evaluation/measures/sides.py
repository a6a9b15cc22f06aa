"""Bodies of test people from all sides: the stages up to `refine` on the pictures of people-sides."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from turnaround.flows.evaluation import page, report
from turnaround.flows.evaluation.measures.measure import posed_errors, resized
from turnaround.flows.evaluation.memory import Measured, sources_digest
from turnaround.flows.evaluation.pictures.bodies import over, turned
from turnaround.flows.evaluation.pictures.sides import COUNT, SIDES, SIZE, SidePicture, side_pictures
from turnaround.flows.evaluation.pictures.views import write_jpeg
from turnaround.flows.evaluation.report import Figures, Form, Telling
from turnaround.flows.evaluation.setting import FIXED, Setting
from turnaround.flows.evaluation.subject import body_model
from turnaround.flows.evaluation.summary import means, medians, rounded
from turnaround.flows.evaluation.tables import Column, body_rows, table
from turnaround.models.metrics.image import iou
from turnaround.pipeline.formats.codecs import load_image
from turnaround.pipeline.formats.preview import contact_sheet
from turnaround.pipeline.store.store import Record, Store
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.crop import networks_copy
from turnaround.pipeline.values.types import Body

__all__ = ["COUNT", "SUITE", "evaluate_sides"]
log = logging.getLogger(__name__)
SUITE, UNTIL = "people-sides", "refine"
# the picture's square is the camera of the labels; a person whom the photo cuts off is to be guessed
SETTINGS = (*FIXED, "stages.prepare.allow_truncated=true")
SOURCES = tuple(f"flows/evaluation/{name}.py" for name in ("measures/sides", "pictures/bodies"))
SHOWN = (  # of a group, on the page
    "count", "failed", "mpjpe_initial_mm", "mpjpe_refined_mm", "pa_mpjpe_refined_mm", "pelvis_refined_mm",
    "hands_mm", "angle_deg",
)  # fmt: skip
CELL, SIDE = 256, 90  # pixels of a picture on the page; degrees from which the side is seen
COLUMNS = (
    Column("side", "side", True),
    Column("pose", "kind", True),
    Column("MPJPE est.", "body.mpjpe_initial_mm", False),
    Column("MPJPE ref.", "body.mpjpe_refined_mm", False),
    Column("PA ref.", "body.pa_mpjpe_refined_mm", False),
    Column("pelvis", "body.pelvis_refined_mm", False),
    Column("hands mm", "body.hands_mm", False),
    Column("angle", "body.angle_deg", False),
    Column("mask IoU", "mask_iou", True),
    Column("seconds", "seconds.total", False),
)


def evaluate_sides(limit: int, setting: Setting, telling: Telling, workers: int = 1) -> Figures:
    """Run and measure the first `limit` pictures.

    Returns:
        The report of docs/evaluation.md; it and the page lie in the setting's folder too.

    Raises:
        ValueError: a setting that does not exist, or no wardrobe.
        StageError: not one picture's body was found.
    """
    setting = dataclasses.replace(setting, fixed=SETTINGS)
    setting.stages()
    Store(setting.work).prepare()
    pictures = side_pictures(limit, setting.folder)
    form = Form(partial(_report, report.header(SUITE, setting, resolution=SIZE)), _line)
    found = report.each(pictures, partial(evaluate_picture, setting=setting), workers)
    figures = report.suite(found, limit, form, telling, setting.folder)
    log.info("pictures: %s", write_page(setting.folder, figures))
    return figures


def evaluate_picture(picture: SidePicture, setting: Setting) -> Figures:
    """All figures of one picture, or why there are none; see `report.tried`."""

    def measure() -> Figures:
        run = setting.run(picture.photo, until=UNTIL)
        return _measured(picture, setting, run.records) if run.ok else run.failure

    known = {"name": picture.name, "kind": picture.kind, "side": picture.side, "yaw_deg": picture.yaw}
    return known | {"background": picture.background} | report.tried(picture.name, measure)


def _measured(picture: SidePicture, setting: Setting, records: Mapping[str, Record]) -> Figures:
    truth = picture.digest()
    initial, refined = (records[stage].load("body") for stage in ("estimate", UNTIL))
    view = networks_copy(records["prepare"].load("view"))
    seconds = {stage: record.manifest["seconds"] for stage, record in records.items()}
    errors = posed_errors(body_model(setting.body_file()), initial, refined, picture)
    measured = Measured(setting.folder / "measured" / f"{picture.name}.json", truth)
    sheet = setting.folder / "pictures" / f"{picture.name}_body.jpg"
    keys, error = [records[UNTIL].key, sources_digest(SOURCES)], errors["mpjpe_refined_mm"]
    measured("sheet", keys, lambda: _draw(sheet, picture, setting, refined, error), [sheet])
    return {
        "truth": truth,
        "body": errors,
        "mask_iou": iou(view.mask, resized(picture.mask[..., None], len(view.mask))[..., 0]).item(),
        "poor": bool(records["refine"].load("trace").get("poor_fit")),
        "seconds": {**seconds, "total": sum(seconds.values())},
        "keys": {stage: record.key for stage, record in records.items()},
        "pictures": {"body": sheet.relative_to(setting.folder).as_posix()},
    }


def _draw(file: Path, picture: SidePicture, setting: Setting, refined: Body, error: float) -> bool:
    """The photo, the refined body over it, and the refined and the true body from the side."""
    model = body_model(setting.body_file())
    photo = resized(load_image(picture.photo)[..., :3], CELL)
    cells = {
        f"{picture.name}": photo,
        f"refined body {error:.0f} mm": over(photo, model, refined, canonical_camera(CELL)),
        f"refined from {SIDE}": turned(model, refined, [SIDE], CELL)[0],
        f"true from {SIDE}": turned(model, picture.body, [SIDE], CELL)[0],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_jpeg(file, contact_sheet(cells, columns=len(cells)))
    return True


def _report(head: Figures, subjects: Sequence[Figures]) -> Figures:
    known = {**head, **report.counts(subjects), **summarize(subjects)}
    return rounded({**known, "peak_memory_gb": report.peak_memory_gb(), "subjects": list(subjects)})


def summarize(subjects: Sequence[Mapping[str, Any]]) -> Figures:
    """Means and medians over the pictures, and means by the side that is seen and by the kind of pose."""
    done = [subject for subject in subjects if "failed" not in subject]
    bodies = [subject["body"] for subject in done]
    kinds = sorted({subject["kind"] for subject in subjects})
    return {
        "body": means(bodies),
        "body_median": medians([_plain(body) for body in bodies]),
        "mask_iou": means([subject["mask_iou"] for subject in done]),
        "poor": sum(subject["poor"] for subject in done),
        "by_side": {side: _group(subjects, "side", side) for side in SIDES},
        "by_kind": {kind: _group(subjects, "kind", kind) for kind in kinds},
        "seconds": means([subject["seconds"] for subject in done]),
    }


def _group(subjects: Sequence[Mapping[str, Any]], key: str, value: str) -> Figures:
    """How many of a group there are and failed, and the means of the others."""
    group = [subject for subject in subjects if subject[key] == value]
    errors = means([_plain(subject["body"]) for subject in group if "failed" not in subject]) or {}
    return {**report.counts(group), **errors}


def _plain(body: Mapping[str, Any]) -> Figures:
    return {name: value for name, value in body.items() if name != "per_joint_mm"}


def _line(subject: Figures) -> str:
    who = f"{subject['name']} ({subject['side']}, {subject['kind']})"
    if "failed" in subject:
        return f"{who} failed in {subject['failed']}: {subject['message']}"
    body = subject["body"]
    return (
        f"{who} body {body['mpjpe_initial_mm']:.0f} to {body['mpjpe_refined_mm']:.0f} mm, "
        f"hands {body['hands_mm']:.0f} mm, angle {body['angle_deg']:.0f} degrees"
    )


def write_page(folder: Path, figures: Mapping[str, Any]) -> Path:
    """`index.html` in `folder`: tables of the groups, then all pictures, the worst body first."""
    done = [subject for subject in figures["subjects"] if "failed" not in subject]
    order = sorted(done, key=lambda subject: -subject["body"]["mpjpe_refined_mm"])
    found = [
        ("Body, means in mm and degrees", table(body_rows(figures["body"]))),
        ("Medians", table(body_rows(figures["body_median"]))),
        ("By the side that is seen", table(_shown(figures["by_side"]))),
        ("By the kind of pose", table(_shown(figures["by_kind"]))),
        ("Seconds", table({"mean": figures["seconds"]})),
    ]
    title = f"{SUITE}: {figures['count']} pictures, {figures['failed']} failed"
    gallery = page.Gallery(title, page.facts(figures), found, order, COLUMNS, figures["subjects"], "pictures")
    return page.write_gallery(folder, gallery)


def _shown(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: {key: figures.get(key) for key in SHOWN} for name, figures in groups.items()}
