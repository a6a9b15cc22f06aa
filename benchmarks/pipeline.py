"""Where a photo's time goes: seconds of every stage, and the share of the networks and of the splat renderer in it.

    python -m benchmarks.pipeline docs/demo [--json FILE]

The first photo warms up (compiles, loads), the medians are over the others. Peak memory is the process's.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, nullcontext
from pathlib import Path
from statistics import median

import torch
from torch import nn

import models.splat.cpu as splat_cpu
import stages
from models import zoo
from models.body import BodyModel
from pipeline.config import load_settings
from pipeline.graph import Subject, ordered, run_stage
from pipeline.source import Photo
from pipeline.store import Store

SPENT: dict[str, float] = defaultdict(float)
NESTED = {"networks": 0, "renderer": 0}


def timed(kind: str, function, skip=None):
    """`function` that adds its time to SPENT[kind]; calls inside such a call count once."""

    def wrapper(*args, **kwargs):
        if NESTED[kind] or (skip and isinstance(args[0], skip)):
            return function(*args, **kwargs)
        NESTED[kind] += 1
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            SPENT[kind] += time.perf_counter() - start
            NESTED[kind] -= 1

    return wrapper


def measure(photo: Path, store: Store) -> dict[str, dict[str, float]]:
    """Seconds of every stage of one photo: in all, in networks, in the renderer (CPU backend)."""
    subject = Subject.open(Photo(photo.stem, photo), store, zoo.digest)
    rows = {}
    for stage in ordered(load_settings("default", stages.classes()).build(stages.classes())):
        SPENT.clear()
        start = time.perf_counter()
        run_stage(stage, subject, lambda _: nullcontext(torch.device("cpu")))
        rows[stage.name] = {"all": time.perf_counter() - start, "networks": SPENT["networks"], "renderer": SPENT["renderer"]}
    return rows


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    # the body's skinning is a module too, but no network
    nn.Module.__call__ = timed("networks", nn.Module.__call__, BodyModel)  # type: ignore[method-assign]
    splat_cpu.render = timed("renderer", splat_cpu.render)
    photos = sorted(p for p in arguments.folder.iterdir() if p.suffix in (".jpg", ".png"))
    with ExitStack() as stack:
        store = Store(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        runs = [measure(photo, store) for photo in photos]
    first, later = runs[0], runs[1:] or runs
    table = {
        name: {"cold": first[name]["all"], **{kind: median(run[name][kind] for run in later) for kind in first[name]}} for name in first
    }
    table["total"] = {kind: sum(row[kind] for row in table.values()) for kind in ("cold", "all", "networks", "renderer")}
    for name, row in table.items():
        print(f"{name:10}" + "".join(f"  {kind} {value:7.2f} s" for kind, value in row.items()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GB, {torch.get_num_threads()} threads")
    if arguments.json:
        arguments.json.write_text(json.dumps({"stages": table, "peak_memory_gb": peak, "threads": torch.get_num_threads()}, indent=2))


if __name__ == "__main__":
    main()
