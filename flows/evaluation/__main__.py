"""The masks of stage 01 alone, without the other stages: `python -m turnaround.flows.evaluation --help`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from turnaround.flows.evaluation import suite
from turnaround.flows.evaluation.measures import matting
from turnaround.flows.evaluation.setting import Setting
from turnaround.flows.evaluation.summary import rounded
from turnaround.flows.runs.execute import lend_device
from turnaround.pipeline.formats.preview import contact_sheet, to_pil


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="matting", help="embedded weight, or a safetensors file")
    parser.add_argument("--suite", default="people-test")
    parser.add_argument("--limit", type=int, default=24, help="people; each stands before three backgrounds")
    parser.add_argument(
        "--work", type=Path, default=Path("work/evaluate"), help="folder of `turnaround evaluate`"
    )
    parser.add_argument("--sheet", type=Path, help="write a picture of all masks here")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    setting = Setting(
        "default", (f"stages.prepare.matting.weights={options.weights}",), options.work, options.device
    )
    prepare = setting.stage("prepare")
    rows: list[dict[str, Any]] = []
    shown: list[Tensor] = []
    with lend_device(prepare, options.device) as device:
        for person in suite.people(options.suite, options.limit, options.work / "evaluation", 256):
            rows += matting.matting(prepare, person, device)
            shown += matting.sheet(prepare, person, device) if options.sheet else []
    if options.sheet:
        labels = [f"IoU {row['iou']:.3f}" for row in rows]
        to_pil(contact_sheet(shown, labels, columns=9, size=200)).save(options.sheet)
    sys.stdout.write(json.dumps(rounded(matting.summary(rows)), indent=1) + "\n")


if __name__ == "__main__":
    main()
