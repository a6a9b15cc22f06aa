"""How the splat renderer's time grows with the number of Gaussians, of pixels and of cameras.

python -m benchmarks.splat_growth --json growth.json
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
from pathlib import Path

from benchmarks import scene
from benchmarks.splat import cameras_around, timed
from turnaround.models.splat.cpu import render as cpu

# Gaussians, pixels, cameras; in the order of these three, the first of CASES changes the first of them, and
# so on
CASES = {
    "Gaussians (512 px, 1 camera)": [
        (n, 512, 1) for n in (5_000, 10_000, 20_000, 40_000, 65_536, 131_072, 300_000)
    ],
    "pixels of a side (65,536 Gaussians)": [(65_536, size, 1) for size in (128, 256, 384, 512, 768, 1024)],
    "cameras (20,000 Gaussians, 256 px)": [(20_000, 256, cameras) for cameras in (1, 2, 4, 8, 12, 24, 60)],
}

log = logging.getLogger("benchmarks.splat_growth")


def growth(rounds: int = 5) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Median milliseconds, 7 channels, on all cores: {what grows: {"forward" or "backward": [(how much,
    milliseconds)]}}.

    Rounds go through all sizes in turn.
    """
    cases = {
        case: (scene.capsule_person(case[0]), cameras_around(case[2], case[1]))
        for cases in CASES.values()
        for case in cases
    }
    runs: dict[tuple[int, int, int], list[dict[str, float]]] = {case: [] for case in cases}
    for k in range(rounds + 1):
        for case, (gaussians, cameras) in cases.items():
            times = timed(cpu.render, gaussians, cameras)
            if k:  # the first round loads or compiles the kernels
                runs[case].append(times)
        log.info("round %d of %d", k, rounds)
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for column, (title, sizes) in enumerate(CASES.items()):
        for way in ("forward", "backward"):
            points = [
                (float(case[column]), statistics.median(run[f"{way}_ms"] for run in runs[case]))
                for case in sizes
            ]
            curves.setdefault(title, {})[way] = points
    return curves


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None, help="write the result here as well")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    text = json.dumps(growth(arguments.rounds), indent=2)
    log.info(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
