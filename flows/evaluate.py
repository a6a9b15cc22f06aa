"""`evaluate`: a suite of test people through the real stages, measured, as one JSON report and a page of pictures."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from flows.evaluation import backs, page, people
from flows.evaluation.setting import ABLATIONS, Setting
from flows.evaluation.subject import Plan, evaluate_person
from flows.evaluation.summary import rounded, summarize
from pipeline.stage import StageError
from pipeline.store import Store

log = logging.getLogger(__name__)
PROTOCOLS = ("headline", "hgm")
Progress = Callable[[int, int, str], None]


def evaluate(
    suite: str = "people-test",
    limit: int = 24,
    json_path: Path | None = None,
    *,
    config: str = "default",
    overrides: Sequence[str] = (),
    work: Path = Path("work/evaluate"),
    device: str = "auto",
    protocol: str = "headline",
    ablations: bool | Sequence[str] = False,
    matting: bool = True,
    size: int = 256,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run and measure the first `limit` people of `suite`.

    Args:
        suite: `people-test`, or what flows/evaluation/people.py knows besides.
        json_path: the report is written here too, anew after each person.
        overrides: settings `a.b=value`, as of `--set`.
        work: a work folder; people, figures, pictures and the page lie in its `evaluation` folder. What is there is not
            done again, so the same call goes on after a stop.
        protocol: `hgm` adds the released HGM script's figures to the headline's.
        ablations: all of them, or some by name.
        matting: also the mask over held-out backgrounds.
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
        raise ValueError(f"--protocol {protocol}: expected one of {', '.join(PROTOCOLS)}")
    setting = Setting(config, tuple(overrides), work, device)
    setting.stages()  # a wrong setting is the call's fault, not each person's
    plan = Plan(setting, _chosen(ablations), matting, protocol == "hgm")
    Store(work).prepare()
    head = {"suite": suite, "resolution": size, "protocol": protocol, "config": config, "overrides": list(overrides)}
    head |= {"commit": _commit(), "device": _device(device)}
    subjects: list[dict[str, Any]] = []
    for figures in _all(people.people(suite, limit, setting.folder, size), plan, workers):
        subjects.append(figures)
        _write(_report(head, subjects), json_path)
        log.info("%d of %d: %s", len(subjects), limit, _line(figures))
        if progress:
            progress(len(subjects), limit, _line(figures))
    return _conclude(_report(head, subjects), setting.folder, json_path)


def _conclude(report: dict[str, Any], folder: Path, json_path: Path | None) -> dict[str, Any]:
    """What is measured over all people together, the report and the page."""
    subjects = report["subjects"]
    if report["count"] == 0:
        causes = "; ".join(f"{s['name']} failed in {s['failed']}: {s['message']}" for s in subjects[:1])
        raise StageError(f"none of {len(subjects)} people could be reconstructed; {causes}")
    files = [folder / "backs" / f"{subject['name']}.npz" for subject in subjects if "failed" not in subject]
    for name, values in rounded(backs.over_people(files)).items():
        report["back_view"][name] |= values
    _write(report, json_path)
    _write(report, folder / page.REPORT)
    log.info("pictures: %s", page.write_page(folder, report))
    return report


def _all(suite: Iterable[people.TestPerson], plan: Plan, workers: int) -> Iterator[dict[str, Any]]:
    """The figures of everybody, in order; with several workers no more people wait than there are workers."""
    if workers <= 1:
        yield from (evaluate_person(person, plan) for person in suite)
        return
    from collections import deque
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[dict[str, Any]]] = deque()
        for person in suite:
            waiting.append(pool.submit(evaluate_person, person, plan))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _chosen(ablations: bool | Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(ABLATIONS) if ablations is True else tuple(ablations or ())
    unknown = [name for name in chosen if name not in ABLATIONS]
    if unknown:
        raise ValueError(f"ablations {unknown} are unknown; there are {', '.join(ABLATIONS)}")
    return chosen


def _report(head: dict[str, Any], subjects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    done = sum("failed" not in subject for subject in subjects)
    counts = {"count": done, "failed": len(subjects) - done}
    users = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)  # the largest process
    peak = max(resource.getrusage(user).ru_maxrss for user in users) / 2**20  # Linux counts in KiB
    return rounded({**head, **counts, **summarize(subjects), "peak_memory_gb": peak, "subjects": list(subjects)})


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
