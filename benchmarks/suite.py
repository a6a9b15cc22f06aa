"""Every benchmark by one command, each in a process of its own: `turnaround bench`, or `python -m
benchmarks.suite`.

A part is a module with `measure(quick)`, which returns {"name": {"median_ms": 0, "n": 0, "ratio_to":
{"other": 0}}}: medians of runs interleaved in one process, so that ratios hold on a busy machine too. Keys
may be added to an entry.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

log = logging.getLogger("benchmarks.suite")

PARTS = {
    "splat": "the renderer: forward, backward and memory against a plain-torch list of pairs",
    "refinement": "45 iterations over 12 views, and the body masks in them",
    "networks": "every network and the sparse convolution, fp32 against what runs",
    "landmarks": "the landmark networks on one thread, and a person with them",
    "pipeline": "one photo stage by stage, cold and warm, a folder against single photos, memory",
    "animation": "a frame of a film: 150,000 Gaussians skinned and drawn at 512 px",
    "startup": "--help, status and a finished second run on many subjects",
}


def measure_part(name: str, quick: bool) -> dict[str, Any]:
    """Run one part in this process."""
    return importlib.import_module(f"benchmarks.{name}").measure(quick=quick)


def measure_all(names: Sequence[str], quick: bool) -> dict[str, Any]:
    """Run parts one after the other, each in a fresh process; ValueError for an unknown one, RuntimeError for
    one that fails."""
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        raise ValueError(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    results: dict[str, Any] = {}
    for name in names or PARTS:
        started = time.perf_counter()
        results.update(_in_child(name, quick))
        log.info("%s: %.0f s", name, time.perf_counter() - started)
    return {**results, "setting": setting(quick)}


def _in_child(name: str, quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part.json"
        command = [
            sys.executable,
            "-m",
            "benchmarks.suite",
            "--child",
            name,
            "--json",
            str(out),
            *(["--quick"] if quick else []),
        ]
        root = Path(__file__).resolve().parent.parent
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")])),
        }
        finished = subprocess.run(command, env=environment, check=False)
        if finished.returncode:
            raise RuntimeError(
                f"benchmark {name} ended with code {finished.returncode}; its own output is above"
            )
        return json.loads(out.read_text())


def setting(quick: bool) -> dict[str, Any]:
    """The machine and the versions that the figures belong to."""
    import numba
    import torch

    model = next(
        (line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")),
        platform.processor(),
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "numba": numba.__version__,
        "python": platform.python_version(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "commit": commit.stdout.strip() or None,
        "quick": quick,
    }


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.is_file() else []


def as_text(results: dict[str, Any]) -> str:
    """A table of names, medians and ratios."""
    lines = []
    for name, entry in results.items():
        if name == "setting" or "median_ms" not in entry:
            continue
        ratios = ", ".join(f"{ratio:.2f} x {other}" for other, ratio in entry.get("ratio_to", {}).items())
        lines.append(f"{name:44} {entry['median_ms']:12.2f} ms  n {entry['n']:<4} {ratios}".rstrip())
    return "\n".join(lines)


def main() -> None:
    """The command line; `--child` is one part in this process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller cases")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    results = (
        measure_part(options.child, options.quick)
        if options.child
        else measure_all(options.parts, options.quick)
    )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    log.info("%s", as_text(results))


if __name__ == "__main__":
    main()
