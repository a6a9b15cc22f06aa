"""One photo stage by stage, in a fresh process and warm, where its time goes, its memory, and a folder
against single photos.

    python -m benchmarks.pipeline [--quick] [--json FILE]

The photos are those of docs/demo and copies of them, mirrored, brightened and with noise, so that the store
knows none. Numba's kernels are compiled before (the cold process finds them in its cache). `cpu_ms` is CPU
time, film encoder included.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

log = logging.getLogger("benchmarks.pipeline")

DEMO = Path(__file__).resolve().parent.parent / "docs" / "demo"
SIDES = ("stages.refine.fit.side_weight=1", "stages.refine.fit.feed_body_from=15")


def measure(quick: bool) -> dict[str, Any]:
    """Medians in milliseconds by name; `ratio_to` of a stage or share is its part of the warm photo.

    Names: pipeline_warm, pipeline_cold, pipeline_STAGE (warm), pipeline_STAGE_cold, pipeline_share_NAME,
    pipeline_refine_side_views, pipeline_folder (a photo of a folder that `turnaround run --direct` does, its
    start included).
    """
    count, folder_of = (2, 3) if quick else (7, 20)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        photos = varied(root / "photos", count + 1 + folder_of)
        cold = [in_fresh_process(photos[0], root / f"cold{k}") for k in range(1 if quick else 3)]
        half = (count + 1) // 2
        before = warm(photos[: half + 1], root / "warm")
        spent = cpu_seconds()
        seconds = run_folder(photos[count + 1 :], root)
        spent = cpu_seconds() - spent
        after = warm([photos[0], *photos[half + 1 : count + 1]], root / "warm2")
        sides = warm(photos[: 2 if quick else 4], root / "sides", SIDES)
    runs = [*before, *after]
    results = table(runs, cold, sides)
    single = results["pipeline_warm"]["median_ms"]
    each = seconds / folder_of
    extra = {"photos": folder_of, "cpu_ms": 1e3 * spent / folder_of}
    results["pipeline_folder"] = entry(each, 1, pipeline_warm=1e3 * each / single) | extra
    return results


def table(
    runs: list[dict[str, Any]], cold: list[dict[str, Any]], sides: list[dict[str, Any]]
) -> dict[str, Any]:
    """The entries of `measure` but the folder's."""
    total = median(sum(run["stages"].values()) for run in runs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
    warm_entry = entry(total, len(runs)) | {
        "cpu_ms": 1e3 * median(run["cpu"] for run in runs),
        "peak_mb": round(peak),
    }
    cold_cpu = 1e3 * median(run["cpu"] for run in cold)
    cold_total = median(run["seconds"] for run in cold)
    results = {
        "pipeline_warm": warm_entry,
        "pipeline_cold": entry(cold_total, len(cold), pipeline_warm=cold_total / total)
        | {"cpu_ms": cold_cpu, "peak_mb": max(run["peak_mb"] for run in cold)},
    }
    for name in runs[0]["stages"]:
        seconds = median(run["stages"][name] for run in runs)
        first = median(run["stages"][name] for run in cold)
        results[f"pipeline_{name}"] = entry(seconds, len(runs), pipeline_warm=seconds / total)
        results[f"pipeline_{name}_cold"] = entry(first, len(cold), **{f"pipeline_{name}": first / seconds})
    for name in runs[0]["shares"]:
        seconds = median(run["shares"].get(name, 0.0) for run in runs)
        results[f"pipeline_share_{name}"] = entry(seconds, len(runs), pipeline_warm=seconds / total)
    refine = median(run["stages"]["refine"] for run in runs)
    with_sides = median(run["stages"]["refine"] for run in sides)
    return results | {
        "pipeline_refine_side_views": entry(with_sides, len(sides), pipeline_refine=with_sides / refine)
    }


def cpu_seconds() -> float:
    """CPU seconds of this process and of those that it waited for: on a busy machine they say more than the
    clock."""
    users = [resource.getrusage(user) for user in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(user.ru_utime + user.ru_stime for user in users)


def entry(seconds: float, count: int, **ratio_to: float) -> dict[str, Any]:
    """One figure."""
    return {"median_ms": 1e3 * seconds, "n": count, "ratio_to": ratio_to}


def varied(folder: Path, count: int) -> list[Path]:
    """`count` photos, no two with the same pixels; their people stay whole."""
    import numpy as np
    from PIL import Image, ImageEnhance, ImageOps

    folder.mkdir(parents=True)
    sources = sorted(DEMO.glob("*.jpg"))
    photos = []
    for k, source in zip(range(count), itertools.cycle(sources), strict=False):
        image = Image.open(source).convert("RGB")
        image = ImageOps.mirror(image) if k // len(sources) % 2 else image
        image = ImageEnhance.Brightness(image).enhance(1 + 0.01 * (k // len(sources)))
        noise = np.random.default_rng(k).normal(0, 1, (image.height, image.width, 3))
        pixels = (np.asarray(image) + noise).round().clip(0, 255).astype(np.uint8)
        photos.append(folder / f"person_{k:03d}.png")
        Image.fromarray(pixels).save(photos[-1], compress_level=1)
    return photos


def warm(photos: list[Path], root: Path, overrides: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Seconds of every stage and share for all photos but the first, which loads and compiles."""
    from benchmarks.shares import Shares

    with Shares() as shares:
        runs = []
        for photo in photos:
            shares.start()
            before = cpu_seconds()
            stages = one(photo, root, overrides)
            cpu = cpu_seconds() - before
            named = dict(shares.seconds)
            runs.append(
                {
                    "cpu": cpu,
                    "stages": stages,
                    "shares": named | {"rest": max(0.0, sum(stages.values()) - sum(named.values()))},
                }
            )
    return runs[1:]


def one(photo: Path, root: Path, overrides: tuple[str, ...] = ()) -> dict[str, float]:
    """Seconds of every stage of one photo on the CPU, with reading and writing the store."""
    import torch

    from turnaround import stages
    from turnaround.models import zoo
    from turnaround.pipeline.graph import Subject, ordered, run_stage
    from turnaround.pipeline.photos.source import Photo
    from turnaround.pipeline.settings import load_settings
    from turnaround.pipeline.store.store import Store

    store = Store(root)
    store.prepare()
    subject = Subject.open(Photo(photo.stem, photo), store, zoo.digest)
    seconds = {}
    for stage in ordered(load_settings("default", stages.classes(), overrides).build(stages.classes())):
        started = time.perf_counter()
        run_stage(stage, subject, lambda _: nullcontext(torch.device("cpu")))
        seconds[stage.name] = time.perf_counter() - started
    return seconds


def in_fresh_process(photo: Path, root: Path) -> dict[str, Any]:
    """One photo by a process of its own: its seconds from start to end, those of the stages, its peak of
    memory."""
    file = root.with_suffix(".json")
    started = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "benchmarks.pipeline",
        "--one",
        str(photo),
        "--work",
        str(root),
        "--json",
        str(file),
    ]
    subprocess.run(command, check=True, cwd=Path(__file__).resolve().parent.parent)
    return {"seconds": time.perf_counter() - started, **json.loads(file.read_text())}


def run_folder(photos: list[Path], root: Path) -> float:
    """Seconds of `turnaround run --direct` on a folder of these photos."""
    folder = root / "folder"
    folder.mkdir()
    for photo in photos:
        photo.rename(folder / photo.name)
    started = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "turnaround.flows.cli.app",
        "run",
        str(folder),
        "--work",
        str(root / "folder_work"),
        "--direct",
        "--device",
        "cpu",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).resolve().parent.parent, check=False
    )
    if done.returncode:
        raise RuntimeError(f"turnaround run ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - started


def main() -> None:
    """The command line; `--one` is one photo in this process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.one:
        results: dict[str, Any] = {"stages": one(options.one, options.work)}
        results |= {
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "cpu": cpu_seconds(),
        }
    else:
        from benchmarks.suite import as_text

        results = measure(options.quick)
        log.info("%s", as_text(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
