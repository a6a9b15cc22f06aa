"""What MediaPipe's networks see of rendered people, with the truth: `turnaround data landmarks --help`.

A lifter that learns from these meets in training the errors that it meets on photographs. A chunk is a file
of PEOPLE x POSES pictures, complete or absent; a call that was stopped goes on.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from turnaround.data.people import FIELDS, sample_person
from turnaround.data.scenes.backgrounds import background
from turnaround.data.sets.archive import save_npz
from turnaround.data.sets.singles import single
from turnaround.models.landmarks.detector import POSE
from turnaround.models.landmarks.face import Face, find_face
from turnaround.models.landmarks.hands import SIDES, Hand, find_hand
from turnaround.models.landmarks.pose import Pose, detected_region, find_pose
from turnaround.models.landmarks.region import Picture, Region

log = logging.getLogger(__name__)
PEOPLE, POSES = 16, 8  # of a chunk
SIZE = 640  # pixels of a picture


def chunk(first: int, *, size: int = SIZE) -> dict[str, np.ndarray]:
    """Pictures of the people of seeds `first`.. and what is found in them; those in which nobody is found are
    left out.

    Returns:
        arrays (n, ...): pose_* , hand_* and face_* as the networks say, in [0, 1] of the picture (see
        `_found`), and the truth: joints, joints_uv, joint_visible, up, photo, K (of [0, 1]), T_camera_world,
        kind and body_* of `data.singles.single`.
    """
    rows: list[dict[str, np.ndarray]] = []
    to_unit = np.array([[1 / size], [1 / size], [1]], np.float32)
    for seed in range(first, first + PEOPLE):
        person = sample_person(seed, "train")
        for index in range(POSES):
            truth = single(person, index, size)
            found = _found(Picture(_photo(np.random.default_rng([seed, 17, index]), truth, size)))
            if found is not None:
                names = ("joints", "joints_uv", "joint_visible", "up", "photo", "T_camera_world", "kind")
                known = {name: truth[name] for name in (*names, *(f"body_{field}" for field in FIELDS))}
                rows.append(found | known | {"K": truth["K"] * to_unit})
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _photo(rng: np.random.Generator, truth: dict[str, np.ndarray], size: int) -> UInt8[np.ndarray, "s s 3"]:
    """The person, with what they hold, over a random background."""
    behind = Image.fromarray((background(rng, 256) * 255).astype(np.uint8)).resize(
        (size, size), Image.Resampling.BILINEAR
    )
    picture = np.asarray(behind, np.float32)
    for layer in (truth["rgba"], truth["object_rgba"]):
        if layer.shape[0]:
            alpha = layer[..., 3:].astype(np.float32) / 255
            picture = picture + alpha * (layer[..., :3] - picture)
    return picture.round().astype(np.uint8)


def _found(picture: Picture) -> dict[str, np.ndarray] | None:
    """What the networks say of the person in a square picture; None where there is none."""
    size = picture.width
    detections = POSE.find(picture, Region(size / 2, size / 2, size))
    if not detections:
        return None
    # the first pass only places the region of the second: a smaller network does
    pose = find_pose(picture, detected_region(detections[0]), first="full")
    if pose.flag < 0.5:
        return None
    hands = [find_hand(picture, pose, side) for side in SIDES]
    return _pose_row(pose, size) | _hand_rows(hands, size) | _face_row(find_face(picture, pose), size)


def _pose_row(pose: Pose, size: int) -> dict[str, np.ndarray]:
    table = np.concatenate(
        [pose.xy / size, pose.z[:, None] / size, pose.visibility[:, None], pose.presence[:, None]], 1
    )
    region = np.array(
        [pose.region.x / size, pose.region.y / size, pose.region.side / size, pose.region.angle]
    )
    return {
        "pose_points": table.astype(np.float32),  # (33, 5) x, y, z, visibility, presence
        "pose_world": pose.world.astype(np.float32),  # (33, 3) metres
        "pose_region": region.astype(np.float32),  # x, y, side, angle
        "pose_flag": np.array(pose.flag, np.float32),
    }


def _hand_rows(hands: Sequence[Hand | None], size: int) -> dict[str, np.ndarray]:
    """Left, then right; zeros and a flag of 0 for a hand that is not seen."""
    xy, world, flags = np.zeros((2, 21, 2)), np.zeros((2, 21, 3)), np.zeros((2, 2))
    for k, hand in enumerate(hands):
        if hand is not None:
            xy[k], world[k], flags[k] = hand.xy / size, hand.world, (hand.flag, hand.region.side / size)
    rows = {"hand_xy": xy, "hand_world": world, "hand_flag": flags}
    return {name: value.astype(np.float32) for name, value in rows.items()}


def _face_row(face: Face | None, size: int) -> dict[str, np.ndarray]:
    points = np.zeros((468, 3)) if face is None else face.points / size
    return {
        "face_points": points.astype(np.float32),
        "face_flag": np.array(0 if face is None else face.flag, np.float32),
    }


def _shard(text: str) -> tuple[int, int]:
    """Number and count of `i/n`, with i from 0."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected i/n with i from 0 to n - 1, e.g. 0/4")
    return int(number), int(count)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: make the chunks that are missing, those of one shard, until the time is up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, required=True, help="pictures, rounded up to whole chunks")
    parser.add_argument("--seed", type=int, default=300_000, help="of the first person")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--shard", type=_shard, default="0/1", help="part of the chunks that this call makes: i/n"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no chunk is begun after so long")
    options: Any = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    shard, shards = options.shard
    end = time.monotonic() + 60 * options.minutes
    for number in range(shard, -(-options.count // (PEOPLE * POSES)), shards):
        file = options.out / f"chunk_{number:05d}.npz"
        if file.is_file():
            continue
        if time.monotonic() >= end:
            break
        start = time.monotonic()
        arrays = chunk(options.seed + number * PEOPLE)
        save_npz(file, arrays, level=1)
        rate = (time.monotonic() - start) / (PEOPLE * POSES)
        log.info("%s: %d pictures, %.3f s each", file.name, len(arrays["pose_flag"]), rate)


if __name__ == "__main__":
    main()
