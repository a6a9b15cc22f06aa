"""One picture of some people's views: `python -m turnaround.flows.evaluation.pictures.sheet work/evaluate
--out docs/evaluation.jpg`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from turnaround.flows.evaluation.page import REPORT
from turnaround.flows.evaluation.pictures.views import stacked, write_jpeg
from turnaround.flows.evaluation.summary import worst_first
from turnaround.pipeline.formats.codecs import load_image


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="work folder of `turnaround evaluate`")
    parser.add_argument("--worst", type=int, default=4, help="people with the lowest PSNR of new views")
    parser.add_argument("--best", type=int, default=2, help="people with the highest")
    parser.add_argument("--out", type=Path, required=True, help="a .jpg file")
    options = parser.parse_args(arguments)
    folder = options.work / "evaluation"
    report = folder / REPORT
    if not report.is_file():
        parser.error(f"{report} does not exist: run `turnaround evaluate --work {options.work}` first")
    order = worst_first(json.loads(report.read_text())["subjects"])
    best = [subject for subject in order[max(options.worst, len(order) - options.best) :]]
    chosen = [*order[: options.worst], *best]
    write_jpeg(
        options.out,
        stacked([load_image(folder / subject["pictures"]["views"])[..., :3] for subject in chosen]),
    )


if __name__ == "__main__":
    main()
