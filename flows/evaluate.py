"""`evaluate`: a suite of test people through the real stages, measured, as one JSON report and a page of pictures."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flows.evaluation import page, people
from flows.evaluation.subject import ABLATIONS, Setting, evaluate_person
from flows.evaluation.summary import rounded, summarize
from pipeline.stage import StageError
from pipeline.store import Store

log = logging.getLogger(__name__)


def evaluate(
    suite: str = "people-test",
    limit: int = 24,
    json_path: Path | None = None,
    *,
    config: str = "default",
    overrides: Sequence[str] = (),
    work: Path = Path("work/evaluate"),
    device: str = "auto",
    ablations: bool | Sequence[str] = False,
    size: int = 256,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Run and measure the first `limit` people of `suite`.

    Args:
        json_path: the report is written here too, anew after each person.
        overrides: settings `a.b=value`, as of `--set`.
        work: a work folder; people, pictures and the page lie in its `evaluation` folder. What is there is not done again.
        ablations: all of them, or some by name.
        size: pixels of the compared views.
        progress: called with people done, people in all, and a line about the last one.

    Returns:
        The report: the format is that of docs/results.md; keys may be added, never renamed.

    Raises:
        ValueError: an unknown suite, ablation or setting, or no wardrobe.
        StageError: not one person could be reconstructed.
    """
    chosen = tuple(ABLATIONS) if ablations is True else tuple(ablations or ())
    unknown = [name for name in chosen if name not in ABLATIONS]
    if unknown:
        raise ValueError(f"ablations {unknown} are unknown; there are {', '.join(ABLATIONS)}")
    Store(work).prepare()
    folder = work / "evaluation"
    setting = Setting(config, tuple(overrides), work, device)
    subjects: list[dict[str, Any]] = []
    report: dict[str, Any] = {}
    for person in people.people(suite, limit, folder, size):
        subjects.append(evaluate_person(person, setting, chosen, folder / "people"))
        report = _report(subjects, suite, size, setting)
        _write(report, json_path)
        line = _line(subjects[-1])
        log.info("%d of %d: %s", len(subjects), limit, line)
        if progress:
            progress(len(subjects), limit, line)
    if report["count"] == 0:
        first = subjects[0]
        raise StageError(
            f"none of {len(subjects)} people could be reconstructed; {first['name']} failed in {first['failed']}: {first['message']}"
        )
    log.info("pictures: %s", page.write_page(folder, report, subjects))
    return report


def _report(subjects: Sequence[dict[str, Any]], suite: str, size: int, setting: Setting) -> dict[str, Any]:
    done = sum("failed" not in subject for subject in subjects)
    head = {"suite": suite, "count": done, "failed": len(subjects) - done, "resolution": size, "config": setting.config}
    head |= {"overrides": list(setting.overrides), "commit": _commit(), "device": _device(setting.device)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts in KiB
    return rounded({**head, **summarize(subjects), "peak_memory_gb": peak, "subjects": list(subjects)})


def _write(report: dict[str, Any], path: Path | None) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(report, indent=1) + "\n")
    temporary.replace(path)


def _line(subject: dict[str, Any]) -> str:
    if "failed" in subject:
        return f"{subject['name']} failed in {subject['failed']}: {subject['message']}"
    new, body = subject["novel"]["all"], subject["body"]
    return (
        f"{subject['name']} {new['psnr']:.2f} dB, SSIM {new['ssim']:.3f}, IoU {new['iou']:.3f}, "
        f"body {body['mpjpe_initial_mm']:.0f} to {body['mpjpe_refined_mm']:.0f} mm, {subject['seconds']['total']:.0f} s"
    )


def _device(wanted: str) -> str:
    """The name of the device that `auto` means here."""
    import torch

    if wanted == "cpu" or not torch.cuda.is_available():
        return "cpu"
    return torch.cuda.get_device_name()


def _commit() -> str | None:
    """The repository's commit, with + when files differ from it; None outside of a repository."""
    root = Path(__file__).resolve().parent.parent
    try:
        run = lambda *words: subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()  # noqa: E731
        return run("rev-parse", "--short=12", "HEAD") + ("+" if run("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
