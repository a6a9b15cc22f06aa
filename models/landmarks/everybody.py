"""Everybody in a photo: people of any orientation and size, each once, with their hands and face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageFilter

from turnaround.models.landmarks.detector import POSE, Detection
from turnaround.models.landmarks.face import Face, find_face
from turnaround.models.landmarks.hands import SIDES, Hand, find_hand
from turnaround.models.landmarks.pose import Pose, Variant, circle_region, detected_region, look
from turnaround.models.landmarks.region import Picture, Region

LEAST = 0.5  # flag of a person who is believed
FAINT = 0.35  # score of a detection that is looked into
BEHIND = 0.6  # score of a detection where those who were found are painted over: their outlines remain
CLEAR = 0.85  # score of a detection that is believed without the mirror's word
# radii by which the seen landmarks may differ from the mirrored run's (median): people .01-.02, things .03-.8
SHIFT = 0.03
HOPELESS = 0.1  # flag of a first pass below which there is no second one
MOST_WRONG = 4  # detections of one scale, the best first, that are looked into in vain: patterns have dozens
LARGE = 0.35  # of a region's side: a person of this size is surely detected in it; below 0.25 hardly ever
SHARES = (2.5, 6.0)  # the longer side over these is the side of the tiles
SMALLEST_TILE = 300  # pixels: people in smaller tiles have less than 100 pixels
WIDE = 1.25  # width over height from which the photo is also looked at in squares of its height
SAME_POINTS = 0.2  # radii of the smaller circle: median distance of landmarks below which two are one person
SAME_HEAD = 0.1  # the same of the heads: the circles round a body that is cut off may differ much


@dataclass(frozen=True)
class PersonLandmarks:
    """What the networks say of one person of a photo."""

    pose: Pose
    mirrored: Pose  # of the mirror image, brought back
    hands: tuple[Hand | None, Hand | None]  # left, right
    face: Face | None


def find_poses(picture: Picture, variant: Variant = "heavy", *, most: int = 12) -> list[Pose]:
    """Find the poses of all people, the largest first; [] where there is nobody.

    The detector sees 224 pixels and prefers the one who stands out. So a wide photo is also looked at in
    squares; those who were found are painted over, since they may hide others; where nobody is found, it is
    turned by quarters; and where all are small, looked at in ever smaller tiles.
    """
    whole = Region(picture.width / 2, picture.height / 2, float(max(picture.width, picture.height)))
    search = Search(picture, variant, most)
    search.look_at([whole])
    if picture.width >= WIDE * picture.height:
        search.look_at(tiles(picture.height, picture.width, max(picture.height, SMALLEST_TILE)))
    search.look_behind(whole)
    if not search.found:
        quarters = (np.pi / 2, -np.pi / 2, np.pi)
        search.look_at(Region(whole.x, whole.y, whole.side, angle) for angle in quarters)
    side = whole.side
    for share in SHARES:
        if search.largest >= LARGE * side or whole.side / share < SMALLEST_TILE:
            break
        side = whole.side / share
        search.look_at(tiles(picture.height, picture.width, side))
    return sorted(search.found, key=lambda pose: -radius(pose))


def smallest_square(width: int, height: int) -> float:
    """Tell the side in pixels of the smallest squares that `find_poses` looks at where it finds nobody."""
    longer = float(max(width, height))
    wide = [float(max(height, SMALLEST_TILE))] if width >= WIDE * height else []
    return min([longer, *wide, *(longer / share for share in SHARES if longer / share >= SMALLEST_TILE)])


def complete(picture: Picture, pose: Pose, variant: Variant = "heavy") -> PersonLandmarks:
    """Add to a pose its mirrored run, its hands and its face."""
    left, right = (find_hand(picture, pose, side) for side in SIDES)
    mirrored = look(picture, pose.region, variant, mirrored=True)
    return PersonLandmarks(pose, mirrored, (left, right), find_face(picture, pose))


def radius(pose: Pose) -> float:
    """Measure the circle round the person, pixels of the photo."""
    return float(np.hypot(*(pose.circle[1] - pose.circle[0])))


def tiles(height: int, width: int, side: float) -> Iterator[Region]:
    """Cover the photo with squares of a side (pixels) that overlap by half or more, row by row."""
    xs, ys = (_centres(full, side) for full in (width, height))
    yield from (Region(float(x), float(y), side) for y in ys for x in xs)


def _centres(full: float, side: float) -> np.ndarray:
    """Spread squares along one direction of `full` pixels; one in the middle where that covers it."""
    if full <= side:
        return np.array([full / 2])
    return np.linspace(side / 2, full - side / 2, int(np.ceil(2 * (full - side) / side)) + 1)


class Search:
    """People found so far, and where nobody needs to look again."""

    def __init__(self, picture: Picture, variant: Variant, most: int, *, clear: float = CLEAR) -> None:
        """Begin with nobody; `clear`: score of a detection that is believed without the mirror's word."""
        self.found: list[Pose] = []
        self._picture, self._most, self._clear = picture, most, clear
        self._variant: Variant = variant
        self._tried: list[Region] = []

    @property
    def largest(self) -> float:
        """Diameter of the largest person's circle, pixels; 0 where there is nobody."""
        return max((2 * radius(pose) for pose in self.found), default=0.0)

    def look_at(self, regions: Iterable[Region]) -> None:
        """Add who is in the regions and was not found before, the most certain first."""
        detections = [found for region in regions for found in POSE.find(self._picture, region, FAINT)]
        self._try_all(self._picture, detections)

    def look_behind(self, region: Region) -> None:
        """Add who is seen once those that were found are painted over."""
        if self.found:
            picture = _Without(self._picture, tuple(self.found))
            self._tried = []  # what was seen there was perhaps the one before
            self._try_all(picture, POSE.find(picture, region, BEHIND))

    def _try_all(self, picture: Picture, detections: list[Detection]) -> None:
        wrong = 0
        for detection in sorted(detections, key=lambda found: -found.score):
            if wrong < MOST_WRONG and len(self.found) < self._most and not self._known(detection):
                pose = self._look_into(picture, detection)
                if pose is None:
                    wrong += 1
                else:
                    self._add(pose)

    def _known(self, detection: Detection) -> bool:
        """Whether the place was looked into before; now it was."""
        place = detected_region(detection)
        known = any(_same_place(place, old) for old in (*self._tried, *(pose.region for pose in self.found)))
        self._tried.append(place)
        return known

    def _look_into(self, picture: Picture, detection: Detection) -> Pose | None:
        """The pose of a detected person; None where there is none or the mirror image says otherwise."""
        first = look(picture, detected_region(detection), self._variant)
        if first.flag < HOPELESS:
            return None
        pose = look(picture, circle_region(*first.circle), self._variant)
        if pose.flag < LEAST:  # between two people the second region may fall on neither
            pose = first
        certain = pose.flag >= LEAST and (detection.score >= self._clear or self._confirmed(picture, pose))
        return pose if certain else None

    def _add(self, pose: Pose) -> None:
        """Keep a pose; of two findings of one person the surer one stays."""
        twin = next((old for old in self.found if same_person(pose, old)), None)
        if twin is None:
            self.found.append(pose)
        elif pose.flag > twin.flag + 0.05:
            self.found[self.found.index(twin)] = pose

    def _confirmed(self, picture: Picture, pose: Pose) -> bool:
        """Whether the mirror image says the same: on things the networks say now this, now that."""
        mirrored = look(picture, pose.region, self._variant, mirrored=True)
        apart = np.hypot(*(pose.xy - mirrored.xy).T) / radius(pose)
        seen, present = pose.visibility > 0.5, pose.presence > 0.5
        if mirrored.flag < LEAST or seen.sum() < 5:
            return False
        return bool(np.median(apart[seen]) < SHIFT and np.median(apart[present | seen]) < 2 * SHIFT)


def _same_place(a: Region, b: Region) -> bool:
    """Whether two regions show the same person in the same way."""
    near = np.hypot(a.x - b.x, a.y - b.y) < 0.1 * min(a.side, b.side)
    return bool(near) and 1 / 1.3 < a.side / b.side < 1.3


def same_person(a: Pose, b: Pose) -> bool:
    """Tell whether two findings are one person: the landmarks that both see lie together, or the heads do."""
    small = min(radius(a), radius(b))
    apart = np.hypot(*(a.xy - b.xy).T)
    seen = (a.visibility > 0.5) & (b.visibility > 0.5)
    heads = np.hypot(*(a.xy[:11].mean(0) - b.xy[:11].mean(0)))
    together = seen.sum() >= 5 and np.median(apart[seen]) < SAME_POINTS * small
    return bool(heads < SAME_HEAD * small or together)


def pose_mask(pose: Pose, height: int, width: int) -> Float32[np.ndarray, "h w"]:
    """Draw the network's mask of the person, [0, 1], at the photo's (height, width); 0 outside its region."""
    corners = np.array([[0, 0], [width, 0], [0, height]])
    return _drawn(Image.fromarray(pose.mask), pose.region, corners, (width, height))


def _drawn(mask: Image.Image, region: Region, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draw a region's mask at (width, height); corners (origin, right, lower) in pixels of the photo."""
    corner, right, lower = region.from_picture(corners) * mask.width
    across, down = (right - corner) / size[0], (lower - corner) / size[1]
    place = (across[0], down[0], corner[0], across[1], down[1], corner[1])
    drawn = mask.transform(size, Image.Transform.AFFINE, place, resample=Image.Resampling.BILINEAR)
    return np.asarray(drawn, np.float32)


class _Without(Picture):
    """A photo in which some people, and a little around them, are painted over in grey."""

    def __init__(self, picture: Picture, poses: tuple[Pose, ...]) -> None:
        self.height, self.width = picture.height, picture.width
        self._picture = picture
        grown = ((pose.mask > 0.5).astype(np.uint8) * 255 for pose in poses)
        self._masks = [Image.fromarray(mask).filter(ImageFilter.MaxFilter(9)) for mask in grown]
        self._regions = [pose.region for pose in poses]

    def cut(self, region: Region, size: int) -> Float32[np.ndarray, "s s 3"]:
        """Sample the region as `Picture.cut` does."""
        pixels = self._picture.cut(region, size).copy()
        corners = region.to_picture(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        for mask, place in zip(self._masks, self._regions, strict=True):
            pixels[_drawn(mask, place, corners, (size, size)) > 127] = 0.5
        return pixels
