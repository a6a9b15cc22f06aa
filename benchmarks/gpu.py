"""All that a machine with a GPU is asked, by one command; every step in a process of its own with a time
limit.

    python -m benchmarks.gpu --out gpu [--minutes 9.5] [STEP ...]
    python -m benchmarks.gpu --out gpu --device cpu --quick          the same steps in small, on any machine

STEP.json says "done", "failed", "timeout" or "skipped" and why, and holds all that was measured until then: a
step writes after every figure. A step that fails, or that lacks a package, does not stop the next ones.
summary.json is the list of them. This file needs Python alone; the steps are in benchmarks/gpu_steps.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STEPS = {  # seconds that a step may take, in the order of what is wanted most
    "build": 420,  # the machine, its packages, gsplat's kernels compiled
    "tests": 420,  # those marked gpu; compiles the numba kernels on a new machine
    "renderer": 240,  # frames a second for 1, 12, 60 and 360 views, and parity with the CPU
    "refinement": 150,  # 45 iterations, 12 views, 256 and 512 pixels
    "networks": 400,  # each in float32 and bfloat16, then compiled
    "pipeline": 200,  # three photos, stage by stage, default preset
    "paper": 300,  # the same at the paper's sizes, with random weights
}
MODULE = "benchmarks.gpu_steps"
LINKS = ROOT / ".venv" / "links"  # the package `turnaround`, for machines where it is not installed
LOG = 6000  # characters of a step's output that are kept
REASONS = (
    "ModuleNotFoundError",
    "ImportError",
    "Skipped",
)  # last lines of a traceback that mean: not possible here


def run_step(name: str, out: Path, seconds: float, arguments: list[str]) -> dict[str, Any]:
    """Run a step, wait for it at most `seconds`, and complete what it wrote into `out`/name.json."""
    file = out / f"{name}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", MODULE, name, "--json", str(file), *arguments]
    path = os.pathsep.join(filter(None, [str(ROOT), str(LINKS), os.environ.get("PYTHONPATH")]))
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "MAX_JOBS": os.environ.get("MAX_JOBS") or str(os.cpu_count()),
    }
    started = time.monotonic()
    with tempfile.TemporaryFile("w+b") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
        log.seek(max(0, log.seek(0, os.SEEK_END) - LOG))
        text = log.read().decode(errors="replace")
    found = _read(file)
    found |= {"status": _status(code, text), "seconds": round(time.monotonic() - started, 1)}
    if found["status"] != "done":
        lines = text.strip().splitlines()
        found |= {
            "reason": f"more than {seconds:.0f} s"
            if code is None
            else (lines[-1] if lines else f"code {code}"),
            "log": text,
        }
    file.write_text(json.dumps(found, indent=1) + "\n")
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a step with all that it started, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the step leads a session of its own
    process.wait()


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):  # it ended before the first figure
        return {}


def _status(code: int | None, text: str) -> str:
    if code is None:
        return "timeout"
    if code == 0:
        return "done"
    lines = text.strip().splitlines()
    return "skipped" if lines and lines[-1].split(":")[0].split(".")[-1] in REASONS else "failed"


def main(argv: list[str] | None = None) -> int:
    """The command line; 0 where every step is done or was skipped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--out", type=Path, required=True, help="folder for the JSON files")
    parser.add_argument(
        "--minutes",
        type=float,
        default=float("inf"),
        help="of all steps together; what does not fit is skipped",
    )
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the steps")
    parser.add_argument("--quick", action="store_true", help="small cases, once each")
    options = parser.parse_args(argv)
    unknown = sorted(set(options.steps) - set(STEPS))
    if unknown:
        parser.error(f"no step is called {', '.join(unknown)}; there are {', '.join(STEPS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    subprocess.run(["sh", str(ROOT / "scripts" / "link_package.sh"), str(LINKS)], check=True)
    arguments = ["--device", options.device, *(["--quick"] if options.quick else [])]
    ends = time.monotonic() + 60 * options.minutes
    summary: dict[str, Any] = {}
    for name in options.steps or STEPS:
        left = ends - time.monotonic()
        if left < 5:
            found = {"status": "skipped", "reason": f"no time left of {options.minutes} minutes"}
        else:
            found = run_step(name, options.out.resolve(), min(STEPS[name], left), arguments)
        summary[name] = {key: found[key] for key in ("status", "seconds", "reason") if key in found}
        (options.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
        print(
            f"{name:12} {found['status']:8} {found.get('seconds', 0):6.1f} s  {found.get('reason', '')}",
            flush=True,
        )
    return 0 if all(entry["status"] in ("done", "skipped") for entry in summary.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
