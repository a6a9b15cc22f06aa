"""GST beside the Human Gaussian Model on people for testing: bodies, pictures, seconds, memory.

`turnaround data people --split test --count 24 --out TEST`, then
`python -m benchmarks.one_pass --data TEST [--weights gst]`. Every row has a process of its own, which reads
the view from the front (mask given) and is compared with all twelve at 256 px. "Landmarks" are what MediaPipe
sees in that view; rows that need them are left out where `turnaround fetch` has not brought the networks.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.estimate import estimate_from_landmarks
from turnaround.models.estimator.lifter.predict import load_lifter
from turnaround.models.estimator.predict import Looked, body_of, load_estimator, looked
from turnaround.models.gst.person import seen_by
from turnaround.models.gst.training.measure import picture_figures
from turnaround.models.gst.training.moments import Moments
from turnaround.models.gst.weights import load_gst
from turnaround.models.hgm.training.dataset import turned_body
from turnaround.models.landmarks.detector import POSE
from turnaround.models.landmarks.everybody import complete
from turnaround.models.landmarks.files import available
from turnaround.models.landmarks.pose import detected_region, find_pose
from turnaround.models.landmarks.record import absent, as_record
from turnaround.models.landmarks.region import Picture, Region
from turnaround.models.metrics.body import mpjpe_mm, pa_mpjpe_mm
from turnaround.models.metrics.image import iou
from turnaround.models.person_model import gaussian_model
from turnaround.models.splat import rasterize
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.types import Body, View

SIZE = 256
Record = Mapping[str, Any]
Estimate = Callable[[View, Record], Body]
ROWS: dict[str, tuple[str, str, str]] = {  # title, whose body, whose Gaussians
    "gst": ("GST, one pass", "gst", "gst"),
    "gst_landmarks": ("GST, one pass, landmarks as tokens", "gst_landmarks", "gst"),
    "gst_lifted": ("GST, its body merged with that from landmarks", "gst_lifted", "gst"),
    "gst_apart": ("GST's Gaussians, body from landmarks and estimator", "lifted", "gst"),
    "hgm_gst": ("HGM, GST's body", "gst_landmarks", "hgm_coarse"),
    "hgm_estimator": ("HGM, the estimator's body", "estimator", "hgm_coarse"),
    "hgm_lifted": ("HGM, body from landmarks", "lifted", "hgm_coarse"),
    "gst_true": ("GST's Gaussians, true body", "true", "gst"),
    "hgm_true": ("HGM, true body", "true", "hgm_coarse"),
}
LANDMARKED = ("gst_landmarks", "gst_lifted", "lifted")


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="views set of people for testing")
    parser.add_argument("--weights", default="gst", help="of GST, by name or file")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--rows", nargs="+", choices=sorted(ROWS), default=list(ROWS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--row", choices=sorted(ROWS), help=argparse.SUPPRESS)  # one, in this process
    options = parser.parse_args(argv)
    if options.row:
        print(json.dumps(measured(options.row, options)))
        return
    found: dict[str, Any] = {}
    for row in options.rows:
        if ROWS[row][1] in LANDMARKED and not available():
            continue
        command = [
            sys.executable, "-m", "benchmarks.one_pass", "--data", str(options.data), "--row", row,
            "--weights", options.weights, "--limit", str(options.limit),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[row] = json.loads(done.stdout.splitlines()[-1])
        print(line(ROWS[row][0], found[row]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


COLUMNS = (
    "mpjpe", "pa", "psnr_input", "psnr_novel", "psnr_box_novel", "ssim_novel", "iou", "body_s", "gaussians_s",
    "memory_gb",
)  # fmt: skip


def line(title: str, values: Mapping[str, float]) -> str:
    """A line of the table in docs/results.md."""
    return f"| {title} | {' | '.join(f'{values[name]:.3g}' for name in COLUMNS)} |"


def measured(row: str, options: argparse.Namespace) -> dict[str, float]:
    """Means over the people; the first, which loads and compiles, is done twice."""
    _, body_of, gaussians_of = ROWS[row]
    torch.set_num_threads(2)
    model, moments = (
        BodyModel.shared(),
        Moments(sorted(options.data.glob("*.npz"))[: options.limit], size=SIZE),
    )
    estimate = estimator(body_of, options.weights, model)
    weights = options.weights if gaussians_of == "gst" else gaussians_of
    make = gaussian_model(weights, "body", "cpu")
    sums: dict[str, float] = {}
    for person in [0, *range(len(moments))]:
        batch = moments.batch([person], [0], 12)
        view = View(batch.rgb[0, 0], batch.mask[0, 0], canonical_camera(SIZE))
        landmarks = sighting(view) if body_of in LANDMARKED else absent("not asked for")
        true = turned_body(moments.arrays(person), 0, model)
        start = time.perf_counter()
        body = true if estimate is None else estimate(view, landmarks)
        between = time.perf_counter()
        gaussians = make([view], body)
        end = time.perf_counter()
        with torch.no_grad():
            drawn = rasterize(gaussians, orbit_cameras([30.0 * k for k in range(12)], SIZE))
        joints, truth = model(body).joints, model(true).joints
        values = picture_figures(drawn.rgb.clamp(0, 1), batch.rgb[0], batch.mask[0])
        values |= {"iou": float(iou(drawn.alpha[1:], batch.mask[0, 1:]).mean())}
        values |= {"mpjpe": mpjpe_mm(joints, truth), "pa": pa_mpjpe_mm(joints, truth)}
        values |= {"body_s": between - start, "gaussians_s": end - between}
        sums = {k: v + sums.get(k, 0.0) for k, v in values.items()} if sums else dict.fromkeys(values, 0.0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {name: value / len(moments) for name, value in sums.items()} | {"memory_gb": peak}


def estimator(kind: str, weights: str, model: BodyModel) -> Estimate | None:
    """Who says the body of a view; None: it is the true one."""
    if kind == "true":
        return None
    if kind.startswith("gst"):
        gst, sees = load_gst(weights), kind == "gst_landmarks"
        if kind == "gst_lifted":
            return lifted(lambda view, landmarks: seen_by(gst, view, landmarks), model)
        return lambda view, landmarks: body_of(seen_by(gst, view, landmarks if sees else None), view, model)[
            0
        ]
    network = load_estimator()
    if kind == "estimator":
        return lambda view, _: body_of(looked(network, view), view, model)[0]
    return lifted(lambda view, _: looked(network, view), model)


def lifted(look: Callable[[View, Record], Looked], model: BodyModel) -> Estimate:
    """Landmarks and what a picture's network says together."""
    lifter = load_lifter()

    def estimate(view: View, landmarks: Record) -> Body:
        if landmarks["source"] == "none":
            return body_of(look(view, landmarks), view, model)[0]
        return estimate_from_landmarks(lifter, look(view, landmarks), view, landmarks, model)[0]

    return estimate


def sighting(view: View) -> Record:
    """`prepare.landmarks` of a view, without the search for other people."""
    picture = Picture((view.image * 255).round().byte().numpy())
    found = POSE.find(picture, Region(SIZE / 2, SIZE / 2, SIZE))
    if not found:
        return absent("nobody is seen")
    pose = find_pose(picture, detected_region(found[0]))
    return as_record(complete(picture, pose), (0.0, 0.0), 1.0, "heavy")


if __name__ == "__main__":
    main()
