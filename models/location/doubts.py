"""What of a photo speaks against a good result, as `prepare` and `estimate` see it: causes of a poor fit, and
notes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from turnaround.models.landmarks.everybody import pose_mask, radius
from turnaround.models.landmarks.framing import Finding, quarter_turns
from turnaround.models.landmarks.pose import Pose
from turnaround.models.matting.apart import split
from turnaround.models.matting.pieces import Person
from turnaround.models.matting.scene import Scene
from turnaround.pipeline.values.fit import Cause

TINY, SMALL = (
    48,
    160,
)  # pixels of the photo that a person is tall: below the first nothing helps
INSIDE = 0.6  # of what is seen of another person, that lies in the mask where it holds them, too
COMPARABLE = 0.4  # of the person's size, which somebody else must have
TOUCH = 0.01  # of the smaller of two masks, that the other shares
LYING = 1.4  # width over height of a mask, above which nobody stands in it; arms stretched out make 1.0
SLANTED = 40.0  # degrees
ALL = "do each person of the photo with `run --people all`"
WHOLE = "use a photo that shows the whole person"
TURN = {
    1: "turn the photo by a quarter counter-clockwise",
    2: "turn the photo by 180 degrees",
    3: "turn the photo by a quarter clockwise",
}
POSTURE = {1: "lies on their side", 2: "is upside down", 3: "lies on their side"}
_CODES = {1: "sideways", 2: "upside_down", 3: "sideways"}
_BETTER = {
    "parts_outside": "a photo with room around the person shows them",
    "behind": "a photo from the front shows the face",
    "hidden": "a photo with the arms apart from the body shows them",
}


def of_findings(said: Sequence[Finding]) -> list[Cause]:
    """Of who is cut off, seen from behind or hidden by their landmarks: poor where much is missing."""
    return [
        Cause(finding.code, finding.text, _BETTER.get(finding.code, WHOLE), poor=finding.truncated)
        for finding in said
    ]


def of_posture(pose: Pose, turned: int) -> list[Cause]:
    """Of who was turned upright by so many quarters (a note), was not turned (poor), or stands slantwise."""
    if turned:
        kept = "where that is wrong: --set stages.prepare.turn=never"
        return [
            Cause("turned", f"the person {POSTURE[turned]}: the photo was turned upright", kept, poor=False)
        ]
    left = quarter_turns(pose)
    if left:
        return [Cause(_CODES[left], f"the person {POSTURE[left]}", TURN[left])]
    degrees = float(np.degrees((pose.region.angle + np.pi) % (2 * np.pi) - np.pi))
    if abs(degrees) <= SLANTED:
        return []
    return [
        Cause(
            "slanted",
            f"the person leans by {abs(degrees):.0f} degrees in the photo",
            "turn the photo where it is not level",
            degrees,
            poor=False,
        )
    ]


def of_company(mask: np.ndarray, pose: Pose, others: Sequence[Pose]) -> list[Cause]:
    """Of the other people of a photo: poor where the mask holds one, a note where one touches the person.

    Args:
        mask: soft, (h, w), of the person whose `pose` it is, in whose pixels `others` are, too.
    """
    near = [other for other in others if radius(other) >= COMPARABLE * radius(pose)]
    held = [share for other in near if (share := seen_inside(other, mask)) >= INSIDE]
    if held:
        count = f"{len(held) + 1} people are in the mask of one"
        return [Cause("several_people", count, ALL, float(len(held) + 1))]
    own = pose_mask(pose, *mask.shape)
    for other in near:
        theirs = pose_mask(other, *mask.shape)
        shared = float(np.minimum(own, theirs).sum() / max(min(own.sum(), theirs.sum()), 1.0))
        if shared > TOUCH:
            text = "somebody else touches the person: where one ends is a guess"
            return [Cause("touching", text, ALL, shared, poor=False)]
    return []


def seen_inside(pose: Pose, mask: np.ndarray) -> float:
    """Measure the share of somebody's visible landmarks in a mask; 0 where fewer than five are seen."""
    height, width = mask.shape
    x, y = np.floor(pose.xy).astype(int).T
    seen = (pose.visibility > 0.5) & (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return float((mask[y[seen], x[seen]] > 0.5).mean()) if seen.sum() >= 5 else 0.0


def of_size(mask: np.ndarray, scene: Scene) -> list[Cause]:
    """Of a person who has few pixels in the photo as it came."""
    step = scene.whole.step if scene.whole is not None else 1
    inside = mask > 0.5
    tall = step * max(int(np.ptp(np.flatnonzero(inside.any(axis)))) + 1 for axis in (0, 1))
    if tall >= SMALL:
        return []
    text = f"the person is {tall} pixels tall in the photo: what is finer is invented"
    larger = "use a photo in which they have 400 pixels or more"
    return [Cause("small", text, larger, float(tall), poor=tall < TINY)]


def of_outline(person: Person, touched: Sequence[str], cut_off: Sequence[str]) -> list[Cause]:
    """What a mask alone tells, without landmarks: lying people, several people, cut off people.

    Args:
        touched: the photo's sides that the person touches.
        cut_off: those of them at which much of the person is missing.
    """
    rows, columns = (np.ptp(np.flatnonzero(person.mask.any(axis))) + 1 for axis in (1, 0))
    found = []
    if cut_off:
        text = f"the person is cut off at the {' and '.join(cut_off)} of the photo"
        found.append(Cause("cut_off", text, WHOLE))
    elif touched:
        text = f"the person touches the photo's {', '.join(touched)}: what is outside is guessed"
        found.append(Cause("at_border", text, WHOLE, poor=False))
    parts = len(split(person.mask))
    if parts > 1:
        found.append(
            Cause("several_people", f"the mask falls into {parts} people who touch", ALL, float(parts))
        )
    elif columns > LYING * rows:
        text = f"the person is {columns / rows:.1f} times as wide as tall: they lie, or the photo is turned"
        found.append(Cause("sideways", text, "turn the photo by a quarter", float(columns / rows)))
    return found


def not_upright(quarters: int, before: float, turned: float) -> Cause:
    """Of a photo on which a body fits far better once it is turned; both IoUs."""
    text = (
        f"the person {POSTURE[quarters]}: the body covers the mask with an IoU of {before:.2f}, on the "
        f"turned photo with {turned:.2f}"
    )
    return Cause(_CODES[quarters], text, TURN[quarters], turned)
