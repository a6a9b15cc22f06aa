"""The landmark networks on one thread: each alone, a pose, hands and face, all of a photo.

    python -m benchmarks.landmarks [--quick] --json landmarks.json

They run in turn in one process, so that ratios to the heavy pose network hold on a busy machine too;
"least_ms" is the quickest of all rounds, which other work disturbs least.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from turnaround.models.landmarks import files
from turnaround.models.landmarks.detector import POSE
from turnaround.models.landmarks.everybody import complete, find_poses
from turnaround.models.landmarks.interpreter import load_network
from turnaround.models.landmarks.pose import detected_region, find_pose, look
from turnaround.models.landmarks.region import Picture, Region

log = logging.getLogger("benchmarks.landmarks")

PHOTO = Path(__file__).resolve().parent.parent / "docs/demo/person_40006.jpg"
BASE = "pose_landmark_heavy"
SIZES = {
    "pose_detection": 224,
    "pose_landmark_heavy": 256,
    "pose_landmark_full": 256,
    "pose_landmark_lite": 256,
    "palm_detection": 192,
    "hand_landmark": 224,
    "face_detection": 128,
    "face_landmark": 192,
}
Work = Callable[[], object]


def networks(picture: Picture) -> dict[str, Work]:
    """Prepare every network on pixels of the photo's middle."""
    region = Region(picture.width / 2, picture.height / 2, float(picture.height))

    def run(name: str, pixels: np.ndarray) -> Work:
        return lambda: load_network(name)(pixels)

    return {name: run(name, picture.cut(region, size)) for name, size in SIZES.items()}


def steps(picture: Picture) -> dict[str, Work]:
    """Prepare the steps of one photo: cut and decoded, a pose, what else a person has, everything."""
    region = Region(picture.width / 2, picture.height / 2, float(picture.height))
    place = detected_region(POSE.find(picture, region)[0])
    pose = find_pose(picture, place)

    def whole() -> object:
        return [complete(picture, found) for found in find_poses(picture)]

    return {
        "step_detect": lambda: POSE.find(picture, region),
        "step_look": lambda: look(picture, pose.region),
        "step_two_passes": lambda: find_pose(picture, place),
        "step_two_passes_full_first": lambda: find_pose(picture, place, first="full"),
        "step_mirror_hands_face": lambda: complete(picture, pose),
        "step_person": whole,
    }


def in_turn(work: Mapping[str, Work], rounds: int) -> dict[str, dict[str, Any]]:
    """Time everything in turn after a warm-up: milliseconds, and how many times as fast as heavy."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, do in work.items():
            begun = time.perf_counter()
            do()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - begun))
    base = statistics.median(times[BASE])
    entries: dict[str, dict[str, Any]] = {}
    for name, values in times.items():
        median = statistics.median(values)
        ratios = {} if name == BASE else {f"landmarks_{BASE}": base / median}
        entry = {"median_ms": median, "least_ms": min(values), "n": rounds, "ratio_to": ratios}
        entries[f"landmarks_{name}"] = entry
        log.info("%-28s median %6.1f ms, least %6.1f ms", name, median, min(values))
    return entries


def measure(quick: bool = False) -> dict[str, Any]:
    """Measure all of it; nothing where the networks were not fetched."""
    if not files.available():
        log.warning("the landmark networks are not in the cache: `turnaround fetch` brings them")
        return {}
    picture = Picture(np.asarray(Image.open(PHOTO).convert("RGB")))
    return in_turn({**networks(picture), **steps(picture)}, 5 if quick else 25)


def main() -> None:
    """Measure and write."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    result = measure(options.quick)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
