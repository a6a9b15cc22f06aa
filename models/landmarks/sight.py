"""Who in a photo can be meant: people of whom the detector is sure a second time, also those half hidden behind others."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from models.landmarks.detector import POSE
from models.landmarks.people import find_poses, pose_mask, radius, same_person
from models.landmarks.pose import Pose, Variant, detected_region, find_pose, look
from models.landmarks.region import Picture, Region

AGAIN = 0.4  # score with which the detector must see a person again, turned upright: what was no person has .1
COMPARABLE = 0.4  # of the largest person's size: who is smaller stands in the background
HIDDEN = 0.8  # score of somebody who is seen once others are painted over: what only looks like it has .5
OWN = 0.2  # of a hidden person's mask, that must be nobody else's: less is the outline of who was painted over
WORK = 1024  # pixels of the longer side at which people are painted over
GREY = 128


def people_seen(pixels: UInt8[np.ndarray, "h w 3"], variant: Variant = "heavy") -> list[Pose]:
    """The people of comparable size in a photo, the largest first; [] where there is nobody."""
    picture = Picture(pixels)
    poses = [pose for pose in find_poses(picture, variant) if confirmed(picture, pose)]
    if not poses:
        return []
    poses = [pose for pose in poses if radius(pose) >= COMPARABLE * radius(poses[0])]
    factor = -(-max(pixels.shape[:2]) // WORK)
    small = np.asarray(Image.fromarray(pixels).reduce(factor)) if factor > 1 else pixels
    found = told_apart(small, with_hidden(small, [scaled(pose, 1 / factor) for pose in poses], variant), variant)
    return [scaled(pose, factor) for pose in found]


def confirmed(picture: Picture, pose: Pose) -> bool:
    """Whether the detector sees a person where the landmarks lie, when they are turned upright."""
    region = pose.region.grown(1.2)
    return any(find.score >= AGAIN for find in POSE.find(picture, region, AGAIN))


def with_hidden(pixels: UInt8[np.ndarray, "h w 3"], poses: list[Pose], variant: Variant) -> list[Pose]:
    """The people, and those beside or behind them who are seen once these are painted over."""
    found = list(poses)
    for pose in poses:
        painted = Picture(_painted(pixels, [_mask(pixels, other) for other in found]))
        around = Region(pose.region.x, pose.region.y, 1.2 * pose.region.side, pose.region.angle)
        for detection in POSE.find(painted, around, HIDDEN):
            new = find_pose(painted, detected_region(detection), variant)
            if new.flag >= 0.5 and radius(new) >= COMPARABLE * radius(poses[0]) and _is_new(pixels, new, found):
                found.append(new)
    return found


def told_apart(pixels: UInt8[np.ndarray, "h w 3"], poses: list[Pose], variant: Variant) -> list[Pose]:
    """The people looked at once more where they overlap, each with the others' own parts painted over."""
    masks = [_mask(pixels, pose) for pose in poses]
    touching = {k for a, b in combinations(range(len(poses)), 2) if _overlap(masks[a], masks[b]) for k in (a, b)}
    result = list(poses)
    for k in touching:
        others = [np.where(mask > masks[k], mask, 0) for j, mask in enumerate(masks) if j != k]
        again = look(Picture(_painted(pixels, others)), poses[k].region, variant)
        if again.flag >= 0.5 and same_person(again, poses[k]):
            result[k] = again
    return result


def scaled(pose: Pose, factor: float) -> Pose:
    """The same person in a picture `factor` times as large."""
    region = replace(pose.region, x=pose.region.x * factor, y=pose.region.y * factor, side=pose.region.side * factor)
    return replace(pose, xy=pose.xy * factor, z=pose.z * factor, circle=pose.circle * factor, region=region)


def _is_new(pixels: UInt8[np.ndarray, "h w 3"], pose: Pose, known: list[Pose]) -> bool:
    """Whether a person stands there who is none of the known ones, painted over: much of them is nobody else's."""
    mask, others = _mask(pixels, pose), np.max([_mask(pixels, other) for other in known], axis=0)
    own = float(mask[others < 0.5].sum()) / max(float(mask.sum()), 1.0)
    return own >= OWN and confirmed(Picture(pixels), pose)


def _mask(pixels: UInt8[np.ndarray, "h w 3"], pose: Pose) -> Float[np.ndarray, "h w"]:
    return pose_mask(pose, *pixels.shape[:2])


def _overlap(a: Float[np.ndarray, "h w"], b: Float[np.ndarray, "h w"]) -> bool:
    """Whether more than a hundredth of the smaller mask is contested."""
    return float(np.minimum(a, b).sum()) > 0.01 * min(float(a.sum()), float(b.sum()))


def _painted(pixels: UInt8[np.ndarray, "h w 3"], masks: list[Float[np.ndarray, "h w"]]) -> UInt8[np.ndarray, "h w 3"]:
    """The photo with grey where the masks are."""
    if not masks:
        return pixels
    share = (2 * np.max(masks, axis=0)).clip(0, 1)[..., None]
    return (pixels * (1 - share) + GREY * share).astype(np.uint8)
