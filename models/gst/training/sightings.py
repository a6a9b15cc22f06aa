"""Landmarks of moments' pictures: `python -m turnaround.models.gst.training.sightings --data SET --out DIR`.

One .npz a moment with `landmarks` (v,33,7): x, y, z in [-1, 1] of the picture, metres from the mid hip (x, y,
z), certainty; zeros for pictures that were not looked at and people that were not found. It needs the
networks that `turnaround fetch` brings; training reads the files alone.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from turnaround.models.gst.landmark_tokens import CHANNELS, COUNT
from turnaround.models.landmarks.detector import POSE
from turnaround.models.landmarks.pose import detected_region, find_pose
from turnaround.models.landmarks.region import Picture, Region
from turnaround.pipeline.errors import MissingFile
from turnaround.pipeline.files import replacing

log = logging.getLogger(__name__)


def sighted(pixels: UInt8[np.ndarray, "s s 3"]) -> Float32[np.ndarray, "33 7"]:
    """What the networks see in a picture over white; zeros where they see nobody."""
    picture, size, nothing = Picture(pixels), len(pixels), np.zeros((COUNT, CHANNELS), np.float32)
    detections = POSE.find(picture, Region(size / 2, size / 2, size))
    if not detections:
        return nothing
    pose = find_pose(picture, detected_region(detections[0]), first="full")
    if pose.flag < 0.5:
        return nothing
    certainty = pose.visibility * pose.presence
    columns = (pose.xy * 2 / size - 1, pose.z[:, None] * 2 / size, pose.world, certainty[:, None])
    return np.concatenate(columns, 1).astype(np.float32)


def main(argv: list[str] | None = None) -> None:
    """Command line; moments whose file exists are kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="moments (a views set, or `data rig`'s)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--views", type=int, default=0, help="pictures of a moment, evenly; 0: all")
    options: Any = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    files = sorted(options.data.glob("*.npz"))
    if not files:
        raise MissingFile(f"no moments (*.npz) in {options.data}")
    options.out.mkdir(parents=True, exist_ok=True)
    todo = [file for file in files if not (options.out / file.name).exists()]
    seen = tried = 0
    for number, file in enumerate(todo):
        with np.load(file, allow_pickle=False) as moment:
            rgb = moment["rgb"]
        found = np.zeros((len(rgb), COUNT, CHANNELS), np.float32)
        count = options.views or len(rgb)
        # another start for each moment, so that all sides are seen
        chosen = (number + np.linspace(0, len(rgb), count, endpoint=False).round().astype(int)) % len(rgb)
        for view in chosen.tolist():
            found[view] = sighted(rgb[view])
        tried, seen = tried + count, seen + int((found[..., -1] > 0).any(1).sum())
        with replacing(options.out / file.name) as beside:
            np.savez(beside, landmarks=found)  # type: ignore[arg-type]
    log.info("%d moments seen, %d kept, in %s; people found in %d of %d pictures",
             len(todo), len(files) - len(todo), options.out, seen, tried)  # fmt: skip


if __name__ == "__main__":
    main()
