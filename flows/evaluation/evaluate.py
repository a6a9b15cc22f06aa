"""`evaluate`: a suite of test people through the real stages, measured, as one JSON report and a page of
pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from turnaround.flows.evaluation import page, report
from turnaround.flows.evaluation import suite as people
from turnaround.flows.evaluation.measures import backs, poses, sides
from turnaround.flows.evaluation.report import Figures, Form, Progress, Telling
from turnaround.flows.evaluation.setting import ABLATIONS, Setting
from turnaround.flows.evaluation.subject import Plan, evaluate_person
from turnaround.flows.evaluation.summary import rounded, summarize
from turnaround.models.metrics import vgg_files
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.packages.registry import RegistryError
from turnaround.pipeline.store.store import Store

log = logging.getLogger(__name__)
PROTOCOLS = ("headline", "hgm")
LIMIT = 24  # people of a suite, where nothing else is asked for


def evaluate(
    suite: str = "people-test",
    limit: int | None = None,
    json_path: Path | None = None,
    *,
    config: str = "default",
    overrides: Sequence[str] = (),
    work: Path = Path("work/evaluate"),
    device: str = "auto",
    protocol: str = "headline",
    ablations: bool | Sequence[str] = False,
    matting: bool = True,
    detail: bool = False,
    size: int = 256,
    workers: int = 1,
    progress: Progress | None = None,
) -> Figures:
    """Run and measure the first `limit` people of `suite`.

    Args:
        suite: `people-test`, `people-sides`, `people-poses`, or what flows/evaluation/suite.py knows besides.
        limit: people, or pictures of `people-sides`; by default LIMIT, and all pictures of `people-sides`.
        json_path: the report is written here too, anew after each person.
        overrides: settings `a.b=value`, as of `--set`.
        work: a work folder; people, figures, pictures and the page lie in its `evaluation` folder. What
            is there is not done again, so the same call goes on after a stop.
        protocol: `hgm` adds the released HGM script's figures to the headline's.
        ablations: all of them, or some by name.
        matting: also the mask over held-out backgrounds.
        detail: from photos of 1,024 px, and compared at 1,024 px too. Without the masks' figures, whose
        backgrounds are of
            photos of 512 px; without VGG distances where their network can be neither found nor fetched.
        size: pixels of the compared views.
        workers: processes, each with a person of its own.
        progress: called with people done, people in all, and a line about the last one.

    Returns:
        The report: the format is that of docs/evaluation.md; keys may be added, never renamed.

    Raises:
        ValueError: an unknown suite, protocol, ablation or setting, or no wardrobe.
        StageError: not one person could be reconstructed.
    """
    if protocol not in PROTOCOLS:
        raise CallError(f"--protocol {protocol}: expected one of {', '.join(PROTOCOLS)}")
    setting = Setting(config, tuple(overrides), work, device)
    setting.stages()  # a wrong setting is the call's fault, not each person's
    plan = Plan(setting, _chosen(ablations), matting and not detail, protocol == "hgm")
    telling = Telling(json_path, progress)
    if suite == sides.SUITE:
        if plan.ablations or plan.hgm or detail:
            raise CallError(
                f"--suite {suite} measures the body alone: leave out --ablations, --protocol and --detail"
            )
        return sides.evaluate_sides(limit or sides.COUNT, setting, telling, workers)
    if suite == poses.SUITE:
        if plan.ablations or plan.hgm or detail:
            raise CallError(
                f"--suite {suite} measures other poses alone: leave out --ablations, --protocol and --detail"
            )
        return poses.evaluate_poses(limit or LIMIT, setting, telling, size=size, workers=workers)
    Store(work).prepare()
    limit = limit or LIMIT
    wanted = people.people(suite, limit, setting.folder, size, detail)
    if detail:
        _fetch_vgg()
    found = report.each(wanted, partial(evaluate_person, plan=plan), workers)
    form = Form(partial(_report, report.header(suite, setting, resolution=size, protocol=protocol)), _line)
    return _conclude(report.gather(found, limit, form, telling), setting.folder, json_path)


def _fetch_vgg() -> None:
    """The network of the VGG distance, once; a warning where it cannot be had."""
    try:
        vgg_files.fetch_vgg()
    except (RegistryError, OSError) as error:
        log.warning("no VGG distances (null in the report): %s", error)


def _conclude(figures: Figures, folder: Path, json_path: Path | None) -> Figures:
    """What is measured over all people together, the report and the page."""
    report.require_some(figures)
    subjects = figures["subjects"]
    files = [folder / "backs" / f"{subject['name']}.npz" for subject in subjects if "failed" not in subject]
    for name, values in rounded(backs.over_people(files)).items():
        figures["back_view"][name] |= values
    report.write(figures, json_path)
    report.write(figures, folder / page.REPORT)
    log.info("pictures: %s", page.write_page(folder, figures))
    return figures


def _chosen(ablations: bool | Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(ABLATIONS) if ablations is True else tuple(ablations or ())
    unknown = [name for name in chosen if name not in ABLATIONS]
    if unknown:
        raise CallError(f"ablations {unknown} are unknown; there are {', '.join(ABLATIONS)}")
    return chosen


def _report(head: Figures, subjects: Sequence[Figures]) -> Figures:
    known = {**head, **report.counts(subjects), **summarize(subjects)}
    return rounded({**known, "peak_memory_gb": report.peak_memory_gb(), "subjects": list(subjects)})


def _line(subject: dict[str, Any]) -> str:
    if "failed" in subject:
        return f"{subject['name']} failed in {subject['failed']}: {subject['message']}"
    new, body = subject["novel"]["all"], subject["body"]
    return (
        f"{subject['name']} {new['psnr']:.2f} dB, SSIM {new['ssim']:.3f}, IoU {new['iou']:.3f}, "
        f"body {body['mpjpe_initial_mm']:.0f} to {body['mpjpe_refined_mm']:.0f} mm, "
        f"{subject['seconds']['total']:.0f} s"
    )
