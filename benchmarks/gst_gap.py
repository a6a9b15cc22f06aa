"""The claim of GST at this project's scale: pictures alone close the gap of an estimator that is not at home.

`python -m benchmarks.gst_gap --data FOLDER --estimator FILE --out OUT` trains and measures every row for
every seed; what is there is kept, so that it can be stopped and called again. FOLDER holds four sets of
several cameras: A_train, A_test (where the estimator is at home), B_train, B_test (where it is not).
`--commands` prints how they and the estimator are made.

The protocol is that of Prospero et al. 2024, Tables 2 and 5, with a made gap: the estimator's decoder knows
everyday poses in half of the wardrobe before a level camera; the target has other poses, the other half, and
cameras that are pitched by up to 20 degrees. Only the rows "keypoints", "calibrated" and "labels" see labels
of the target. Rows with landmarks need what MediaPipe sees in two views of every person (`--sightings`), and
learn at home, from labels, what landmarks mean.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

STUDENT = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}  # of a 95 % interval of a mean of so many seeds
COLUMNS = (
    "mpjpe", "pa", "angle", "psnr_input", "psnr_novel", "psnr_box_novel", "ssim_novel", "vgg_novel",
)  # fmt: skip
COMMANDS = """\
A="--poses everyday --wardrobe first --variety basic"
B="--poses unusual --wardrobe second --variety full --pitch 20 --views 6"
turnaround data people --kind singles --count 8000 --seed 500000 --out DATA/A_singles $A --level
turnaround data people --count 160 --seed 510000 --out DATA/A_train $A --views 6
turnaround data people --count 60 --seed 550000 --out DATA/A_test $A --views 6
turnaround data people --count 320 --seed 600000 --out DATA/B_train $B
turnaround data people --count 60 --seed 650000 --out DATA/B_test $B
turnaround data backgrounds --count 300 --out DATA/backgrounds.npy
turnaround train estimator --init estimator --decoder-only --data DATA/A_singles --backgrounds \\
    DATA/backgrounds.npy --out RUNS/estimator_a --minutes 16 --save RUNS/estimator_a.safetensors
for SET in A_train B_train B_test; do
    python -m turnaround.models.gst.training.sightings --data DATA/$SET --out DATA/sightings/$SET --views 2
done"""


@dataclass(frozen=True)
class Row:
    """One way to go on from the estimator."""

    title: str
    warm: str = "plain"  # which of WARM it begins from
    data: str = "B"
    settings: tuple[str, ...] = ()
    trained: bool = True
    sighted: bool = False  # landmarks are read, too
    times: int = 1  # how often the steps of the other rows
    held: bool = False  # to the poses that it began with (LossConfig.start); the paper holds nothing


WARM: dict[str, tuple[str, ...]] = {
    "plain": (),
    "one": ("model.opacity=one",),
    "two": ("model.each=2",),
    "free": ("model.colors=free",),
    "sighted": ("model.landmarks=true", "loss.joints=1"),
}
"""First steps of the Gaussians alone, at home and with the body held: the same for all rows of a kind.

"sighted" goes on for four times as many, in which the body learns from labels what landmarks mean.
"""

_BODY_ONLY = ("loss.rgb=0", "loss.perceptual=0", "loss.alpha=0")
ROWS: dict[str, Row] = {
    "start": Row("as it comes", trained=False),
    "keypoints": Row("true 2D keypoints, each view for itself", settings=(*_BODY_ONLY, "loss.keypoints=1")),
    "calibrated": Row("true 2D keypoints, all calibrated views", settings=(*_BODY_ONLY, "loss.calibrated=1")),
    "gst": Row("GST: pictures alone"),
    "no_tightness": Row("GST without tightness", settings=("loss.tightness=0",)),
    "no_perceptual": Row("GST without the perceptual loss", settings=("loss.perceptual=0",)),
    "vgg": Row("GST, VGG as the perceptual distance", settings=("loss.distance=vgg",)),
    "no_alpha": Row("GST without alpha", settings=("loss.alpha=0",)),
    "opacity": Row("GST, opacity 1", warm="one"),
    "two": Row("GST, two Gaussians a point", warm="two"),
    "no_depth": Row("GST, people drawn where the network says", settings=("loss.depth=0",)),
    "free": Row("GST, colours from tokens alone", warm="free"),
    "labels": Row("3D labels", settings=(*_BODY_ONLY, "loss.joints=1")),
    "held": Row("GST held to its first poses", held=True),
    "gst_long": Row("GST, four times the steps", times=4),
    "held_long": Row("GST held to its first poses, four times the steps", times=4, held=True),
    "labels_long": Row("3D labels, four times the steps", settings=(*_BODY_ONLY, "loss.joints=1"), times=4),
    "sighted_start": Row("landmarks as tokens: as it comes", "sighted", trained=False, sighted=True),
    "sighted": Row("landmarks as tokens: GST", "sighted", sighted=True),
    "sighted_held": Row(
        "landmarks as tokens: GST held to its first poses", "sighted", sighted=True, held=True
    ),
    "sighted_labels": Row(
        "landmarks as tokens: 3D labels",
        "sighted",
        settings=(*_BODY_ONLY, "loss.joints=1"),
        sighted=True,
    ),
    "lifted": Row("body from landmarks alone: the lifter", trained=False, sighted=True),
    "home_start": Row("at home: as it comes", data="A", trained=False),
    "home": Row("at home: GST", data="A"),
    "home_held": Row("at home: GST held to its first poses", data="A", held=True),
}


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with A_train, A_test, B_train, B_test")
    parser.add_argument("--estimator", type=Path, help="the estimator of A")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sightings", type=Path, help="folder with A_train, B_train, B_test of landmarks")
    parser.add_argument("--rows", nargs="+", choices=sorted(ROWS), help="by default all that can be run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--warm", type=int, default=100, help="steps of the Gaussians alone")
    parser.add_argument("--steps", type=int, default=250, help="steps of a row")
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate of a row, of everything")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pixels", type=int, default=96)
    parser.add_argument("--points", type=int, default=4000)
    parser.add_argument("--people", type=int, default=60, help="test people, two input views each")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--commands", action="store_true", help="print how the data are made, and end")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.commands:
        print(COMMANDS)
        return
    if not (options.data and options.estimator and options.out):
        parser.error("--data, --estimator and --out are needed")
    lacking = _lacking(options)
    options.rows = options.rows or [name for name in ROWS if name not in lacking]
    for name in options.rows:
        if name in lacking:
            parser.error(f"the row {name} needs {lacking[name]}")
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for name in options.rows:
            run_row(name, seed, options)
    text = table(options.out)
    (options.out / "table.md").write_text(text)
    print(text)


def _lacking(options: argparse.Namespace) -> dict[str, str]:
    """Rows that cannot be run, and what they need."""
    from turnaround.models.metrics import vgg_files

    lacking = {name: "--sightings" for name, row in ROWS.items() if row.sighted and not options.sightings}
    if not vgg_files.path().is_file():
        lacking["vgg"] = "the network of `turnaround fetch --evaluation`"
    return lacking


def run_row(name: str, seed: int, options: argparse.Namespace) -> None:
    """Train and measure one row with one seed, unless its figures are there."""
    row, figures = ROWS[name], options.out / f"{name}_{seed}.json"
    if figures.exists():
        return
    if name == "lifted":
        found = {} if seed else _lifted(options)  # there is nothing of chance in it
    else:
        found = _measured(_weights(name, seed, options), row, options)
    if found:
        figures.write_text(json.dumps({"row": name, "seed": seed, "title": row.title, **found}, indent=1))
        log.info("%s, seed %d: %s", name, seed, {k: round(v, 3) for k, v in found.items() if k in COLUMNS})


def _weights(name: str, seed: int, options: argparse.Namespace) -> Path:
    """A row's trained weights, or those that it begins from; trained where they are not there."""
    row = ROWS[name]
    warm = options.out / f"warm_{row.warm}_{seed}.safetensors"
    if not warm.exists():
        told = row.warm == "sighted"
        steps = options.warm * 4 if told else options.warm
        rates = ("--lr", "1e-3", "--pose-rate", "0.2") if told else ("--lr", "2e-3")
        flags = ("--estimator", str(options.estimator), "--hold", str(options.warm), "--steps", str(steps))
        shared = (f"model.points={options.points}", "model.landmarks=false", "model.fill=false")
        _train(warm, "A", seed, options, (*flags, *rates), (*shared, *WARM[row.warm]), told)
    if not row.trained:
        return warm
    weights = options.out / f"{name}_{seed}.safetensors"
    steps = options.steps * row.times
    flags = ("--init", str(warm), "--hold", "0", "--steps", str(steps), "--lr", str(options.rate))
    settings = row.settings if row.held else (*row.settings, "loss.start=0")
    _train(weights, row.data, seed, options, flags, settings, row.sighted)
    return weights


def _train(
    weights: Path,
    data: str,
    seed: int,
    options: argparse.Namespace,
    flags: tuple[str, ...],
    settings: tuple[str, ...],
    sighted: bool,
) -> None:
    """One training in a process of its own."""
    run = options.out / "runs" / weights.stem
    command = [
        sys.executable, "-m", "turnaround.models.gst.train",
        "--data", str(options.data / f"{data}_train"), "--out", str(run), "--seed", str(seed),
        "--batch", str(options.batch), "--views", "4", "--pixels", str(options.pixels), "--pose-rate", "1",
        "--warmup", "20", "--ema", "0.98", "--validate-every", "100000", "--device", options.device,
        "--save", str(weights), "--no-tensorboard", *flags,
        *(word for setting in settings for word in ("--set", setting)),
        *(("--sightings", str(options.sightings / f"{data}_train")) if sighted else ()),
    ]  # fmt: skip
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")


def _measured(weights: Path, row: Row, options: argparse.Namespace) -> dict[str, float]:
    import torch

    from turnaround.models.gst.training.measure import measure
    from turnaround.models.gst.weights import read_gst

    torch.set_num_threads(1)
    model = read_gst(weights).to(options.device)
    moments, chosen = _test(row, model.network.size, options)
    return measure(model, moments, chosen, distance_every=8)


def _test(row: Row, window: int, options: argparse.Namespace) -> tuple[Any, list[tuple[int, int]]]:
    """People for testing, and two views of each: the ones whose landmarks are known where `--views 2`."""
    from turnaround.models.gst.training.moments import Moments

    files = sorted((options.data / f"{row.data}_test").glob("*.npz"))[: options.people]
    sightings = options.sightings / f"{row.data}_test" if row.sighted else None
    moments = Moments(files, size=options.pixels, window=window, sightings=sightings)
    views = range(len(moments))
    return moments, [(k, (k + half) % moments.views(k)) for k in views for half in (0, moments.views(k) // 2)]


def _lifted(options: argparse.Namespace) -> dict[str, float]:
    """The bodies of the lifter, that was trained on such landmarks, of hands and face nothing."""
    import torch

    from turnaround.models.estimator.lifter.predict import average, load_lifter
    from turnaround.models.estimator.lifter.sighting import Sighting
    from turnaround.models.gst.training.measure import body_figures

    lifter = load_lifter()
    moments, chosen = _test(ROWS["lifted"], 128, options)
    rows = []
    for person, view in chosen:
        batch = moments.batch([person], [view], 1)
        # back from the window to the picture
        xyz = batch.landmarks[..., :3] * batch.window[:, None, 2:]
        xy = xyz[..., :2] + batch.window[:, None, :2]
        sure = batch.landmarks[..., 6:]
        pose = torch.cat([xy, xyz[..., 2:], sure, torch.ones_like(sure)], -1)
        hands, face = torch.zeros(1, 2, 21, 3), torch.zeros(1, 68, 3)
        seen = Sighting(
            pose, batch.landmarks[..., 3:6], hands[..., :2], hands, torch.zeros(1, 2), face, torch.zeros(1)
        )
        with torch.no_grad():
            found = average(lifter, seen, seen)
        rows.append(body_figures(found.joints[0], found.rotations[0], batch))
    return {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}


def table(folder: Path) -> str:
    """Means and 95 % intervals over the seeds, a row of ROWS a line."""
    lines = [
        "| row | seeds | MPJPE mm | PA mm | angle | PSNR input | PSNR novel | in the box | SSIM novel "
        "| VGG novel |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        runs = [json.loads(file.read_text()) for file in sorted(folder.glob(f"{name}_[0-9].json"))]
        if runs:
            cells = [interval([run[column] for run in runs if column in run]) for column in COLUMNS]
            lines.append(f"| {row.title} | {len(runs)} | {' | '.join(cells)} |")
    closed = _closed(folder)
    return "\n".join([*lines, "", *([closed] if closed else [])]) + "\n"


def interval(values: list[float]) -> str:
    """Mean, and half of its 95 % interval where there are several."""
    if not values:
        return "-"
    digits = 3 if max(map(abs, values)) < 2 else 1 if max(map(abs, values)) > 30 else 2
    mean = f"{statistics.fmean(values):.{digits}f}"
    if len(values) not in STUDENT:
        return mean
    half = STUDENT[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean} ±{half:.{digits}f}"


def _closed(folder: Path) -> str:
    """What share of the gap in MPJPE each row has closed."""

    def mean(name: str) -> float | None:
        values: list[Any] = [json.loads(f.read_text())["mpjpe"] for f in folder.glob(f"{name}_[0-9].json")]
        return statistics.fmean(values) if values else None

    start, labels = mean("start"), mean("labels")
    of_it = [name for name, row in ROWS.items() if row.data == "B" and row.trained and not row.sighted]
    if start is None or labels is None:
        return ""
    found = {row.title: mean(name) for name, row in ROWS.items() if name in of_it}
    parts = [f"{t} {(start - v) / (start - labels):.0%}" for t, v in found.items() if v is not None]
    return f"Share of the gap between the first row and 3D labels that is closed: {'; '.join(parts)}."


if __name__ == "__main__":
    main()
