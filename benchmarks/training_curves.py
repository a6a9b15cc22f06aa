"""Loss and validation curves of training runs: `python -m benchmarks.training_curves RUN... --out
docs/training_curves.png`.

Each RUN is a folder that a training wrote (log.jsonl); one row of two plots a run: the loss, and what was
validated.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

# what is shown of each training: value of the log -> label; a run is known by which of them it has
SHOWN = {
    "val_mpjpe": "MPJPE, mm",
    "val_iou": "IoU",
    "val_net_wrong_front": "normals, degrees",
    "val_psnr_novel": "unseen views, dB",
    "val_psnr_person": "inside, dB",
    "val_v": "error of v",
    "val_clean": "clean latents",
}


def read_log(run: Path) -> list[dict[str, float]]:
    """Lines of the log; steps that a resumed run did again appear once, as they were done last."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines() if line.strip()]
    return sorted({line["step"]: line for line in lines}.values(), key=lambda line: line["step"])


def draw(runs: list[Path], out: Path) -> None:
    """One row a run."""
    figure, axes = plt.subplots(
        len(runs), 2, figsize=(9, 1.7 * len(runs)), squeeze=False, layout="constrained"
    )
    for row, run in zip(axes, runs, strict=True):
        log = read_log(run)
        steps = [line["step"] for line in log if "loss" in line and line["step"] > 1]
        row[0].plot(
            steps, [line["loss"] for line in log if "loss" in line and line["step"] > 1], linewidth=1.2
        )
        row[0].set_yscale("log")
        row[0].set_ylabel(f"{run.name}\nloss")
        name = next((name for name in SHOWN if any(name in line for line in log)), None)
        if name:
            points = [(line["step"], line[name]) for line in log if name in line]
            row[1].plot(*zip(*points, strict=True), marker=".", linewidth=1.2, color="tab:orange")
            row[1].set_ylabel(SHOWN[name])
        for axis in row:
            axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("step")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    draw(options.runs, options.out)


if __name__ == "__main__":
    main()
