"""Everybody in a photo: people of any orientation and size, each once, with their hands and face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from models.landmarks.detector import POSE
from models.landmarks.face import Face, find_face
from models.landmarks.hands import SIDES, Hand, find_hand
from models.landmarks.pose import Pose, Variant, detected_region, find_pose, look
from models.landmarks.region import Picture, Region

LEAST = 0.5  # flag of a person who is believed
SURE = 0.9  # flag with which no other orientation is tried
TILE = 900  # pixels of the longer side from which a photo is also looked at in tiles
SMALL = 0.25  # of the longer side: where all people found are smaller than this, tiles are looked at for others
SAME = 0.2  # mean distance of the landmarks, in radii of the circle, below which two findings are one person


@dataclass(frozen=True)
class PersonLandmarks:
    """What the networks say of one person of a photo."""

    pose: Pose
    mirrored: Pose  # of the mirror image, brought back
    hands: tuple[Hand | None, Hand | None]  # left, right
    face: Face | None


def find_poses(picture: Picture, variant: Variant = "heavy", *, most: int = 12) -> list[Pose]:
    """The poses of all people, the largest first; [] where there is nobody.

    The whole photo is looked at upright; where nobody is surely found, also turned by quarters, and where what is found
    is small, in overlapping tiles, since the detector sees 224 pixels.
    """
    whole = Region(picture.width / 2, picture.height / 2, float(max(picture.width, picture.height)))
    found = _search(picture, [whole], variant, [])
    if not any(pose.flag >= SURE for pose in found):
        turned = [Region(whole.x, whole.y, whole.side, angle) for angle in (np.pi / 2, -np.pi / 2, np.pi)]
        found = _search(picture, turned, variant, found)
    if whole.side >= TILE and all(radius(pose) * 2 < SMALL * whole.side for pose in found):
        found = _search(picture, list(tiles(picture)), variant, found)
    return sorted(found, key=lambda pose: -radius(pose))[:most]


def complete(picture: Picture, pose: Pose, variant: Variant = "heavy") -> PersonLandmarks:
    """A pose with its mirrored run, its hands and its face."""
    left, right = (find_hand(picture, pose, side) for side in SIDES)
    mirrored = look(picture, pose.region, variant, mirrored=True)
    return PersonLandmarks(pose, mirrored, (left, right), find_face(picture, pose))


def radius(pose: Pose) -> float:
    """Of the circle round the person, pixels of the photo."""
    return float(np.hypot(*(pose.circle[1] - pose.circle[0])))


def tiles(picture: Picture) -> Iterator[Region]:
    """Squares of half and of a third of the longer side that cover the photo with overlaps."""
    longer = max(picture.width, picture.height)
    for share in (2, 3):
        side = longer / share
        xs, ys = (np.linspace(side / 2, max(full - side / 2, side / 2), _count(full, side)) for full in (picture.width, picture.height))
        yield from (Region(float(x), float(y), side) for y in ys for x in xs)


def _count(full: float, side: float) -> int:
    """How many tiles overlap by half along one direction."""
    return max(1, int(np.ceil(2 * full / side)) - 1)


def _search(picture: Picture, regions: list[Region], variant: Variant, found: list[Pose]) -> list[Pose]:
    """`found` and who is in the regions besides; of two findings of one person the surer one is kept."""
    for region in regions:
        for detection in POSE.find(picture, region):
            pose = find_pose(picture, detected_region(detection), variant)
            if pose.flag < LEAST:
                continue
            twin = next((old for old in found if same_person(pose, old)), None)
            if twin is None:
                found = [*found, pose]
            elif pose.flag > twin.flag + 0.05:
                found = [pose if old is twin else old for old in found]
    return found


def same_person(a: Pose, b: Pose) -> bool:
    """Whether two findings are the same person: their landmarks lie together."""
    return float(np.hypot(*(a.xy - b.xy).T).mean()) < SAME * max(radius(a), radius(b))


def pose_mask(pose: Pose, height: int, width: int) -> Float32[np.ndarray, "h w"]:
    """The network's own mask of the person in the photo, [0, 1], at (height, width) of the photo's pixels."""
    from PIL import Image

    region, size = pose.region, pose.mask.shape[0]
    # where a photo's pixel lies in the mask: the inverse of the region's map
    scale = size / region.side
    right, down = region.axes.T * scale
    corner = region.from_picture(np.zeros(2)) * size
    data = (right[0], right[1], corner[0], down[0], down[1], corner[1])
    mask = Image.fromarray(pose.mask).transform((width, height), Image.Transform.AFFINE, data, resample=Image.Resampling.BILINEAR)
    return np.asarray(mask, np.float32)
