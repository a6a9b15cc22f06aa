"""Who in a photo can be meant: people of comparable size, told apart where they hide each other."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from turnaround.models.landmarks.everybody import LEAST, find_poses, pose_mask, radius
from turnaround.models.landmarks.pose import Pose, Variant, find_pose
from turnaround.models.landmarks.region import Picture
from turnaround.models.landmarks.scales import find_small

COMPARABLE = 0.4  # of the largest person's size: who is smaller stands in the background
WORK = 1024  # pixels of the longer side at which people are painted over
GREY = 128
ROUNDS = 2  # of telling apart: the first landmarks of someone half hidden are often those of both
CONTESTED = 0.01  # of the smaller mask, which two people must share

Pixels = UInt8[np.ndarray, "h w 3"]
Mask = Float32[np.ndarray, "h w"]


def people_seen(pixels: Pixels, variant: Variant = "heavy", *, least: float = COMPARABLE) -> list[Pose]:
    """Find the people of comparable size in a photo, the largest first; [] where there is nobody.

    Args:
        least: size, as a share of the largest person's, below which somebody is left out.
    """
    poses = find_poses(Picture(pixels), variant)
    poses = [pose for pose in poses if radius(pose) >= least * radius(poses[0])]
    if len(poses) < 2:
        return poses
    factor = -(-max(pixels.shape[:2]) // WORK)
    small = np.asarray(Image.fromarray(pixels).reduce(factor)) if factor > 1 else pixels
    found = told_apart(small, [scaled(pose, 1 / factor) for pose in poses], variant)
    return sorted((scaled(pose, factor) for pose in found), key=lambda pose: -radius(pose))


def small_people_seen(pixels: Pixels, looked: float, variant: Variant = "heavy") -> list[Pose]:
    """Find people who are so small that `people_seen` sees nobody, those of comparable size, the largest
    first.

    Args:
        looked: side in pixels of the smallest squares that were looked at before (`smallest_square`).
    """
    poses = find_small(Picture(pixels), looked, variant)
    poses = [pose for pose in poses if radius(pose) >= COMPARABLE * radius(poses[0])]
    if len(poses) < 2:
        return poses
    left, top, right, bottom = _about(poses, pixels.shape)
    there = told_apart(pixels[top:bottom, left:right], [moved(pose, -left, -top) for pose in poses], variant)
    return sorted((moved(pose, left, top) for pose in there), key=lambda pose: -radius(pose))


def _about(poses: list[Pose], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what all the people's regions cover."""
    places = np.array([(pose.region.x, pose.region.y, pose.region.side) for pose in poses])
    low, high = (places[:, :2] + sign * places[:, 2:] for sign in (-1, 1))
    left, top = np.floor(low.min(0)).clip(0).astype(int).tolist()
    right, bottom = np.ceil(high.max(0)).clip(None, (shape[1], shape[0])).astype(int).tolist()
    return left, top, right, bottom


def moved(pose: Pose, x: float, y: float) -> Pose:
    """Move a person by pixels."""
    by, region = np.array([x, y], float), replace(pose.region, x=pose.region.x + x, y=pose.region.y + y)
    return replace(pose, xy=pose.xy + by, circle=pose.circle + by, region=region)


def told_apart(pixels: Pixels, poses: list[Pose], variant: Variant) -> list[Pose]:
    """Look again at people who overlap, each with the others painted over; whose mask it is where they do.

    Who is seen more surely stands in front: they are painted over whole, the others only where they are the
    surer one.
    """
    people = sorted(poses, key=lambda pose: -pose.flag)
    masks = [pose_mask(pose, *pixels.shape[:2]) for pose in people]
    pairs = [(a, b) for a, b in combinations(range(len(people)), 2) if _overlap(masks[a], masks[b])]
    for _ in range(ROUNDS):
        for k in sorted({k for pair in pairs for k in pair}, reverse=True):
            others = [a + b - k for a, b in pairs if k in (a, b)]
            hidden = [masks[j] if j < k else np.where(masks[j] > masks[k], masks[j], 0) for j in others]
            again = find_pose(Picture(_painted(pixels, hidden)), people[k].region, variant)
            if again.flag >= LEAST:
                people[k], masks[k] = again, pose_mask(again, *pixels.shape[:2])
    for front, behind in pairs:
        people[behind] = _without(people[behind], people[front], pixels.shape[:2])
    return people


def scaled(pose: Pose, factor: float) -> Pose:
    """Move a person into a picture `factor` times as large."""
    old = pose.region
    region = replace(old, x=old.x * factor, y=old.y * factor, side=old.side * factor)
    return replace(pose, xy=pose.xy * factor, z=pose.z * factor, circle=pose.circle * factor, region=region)


def _without(behind: Pose, front: Pose, shape: tuple[int, ...]) -> Pose:
    """A person whose mask leaves out what belongs to somebody in front of them."""
    drawn = np.round(pose_mask(front, *shape[:2]) * 255).astype(np.uint8)
    taken = Picture(np.repeat(drawn[..., None], 3, -1)).cut(behind.region, behind.mask.shape[0])[..., 0]
    return replace(behind, mask=np.minimum(behind.mask, 1 - taken))


def _overlap(a: Mask, b: Mask) -> bool:
    return float(np.minimum(a, b).sum()) > CONTESTED * min(float(a.sum()), float(b.sum()))


def _painted(pixels: Pixels, masks: list[Mask]) -> Pixels:
    """The photo with grey where the masks are."""
    share = (2 * np.max(masks, axis=0)).clip(0, 1)[..., None]
    return (pixels * (1 - share) + GREY * share).astype(np.uint8)
