"""Whether a mask or alpha channel that came with a photo is believed, mended, left aside or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from turnaround.models.landmarks.company import COMPARABLE
from turnaround.models.landmarks.everybody import radius
from turnaround.models.matting.given import mends
from turnaround.models.matting.given.plausible import (
    COVERED,
    LANDMARKS,
    Fit,
    Seen,
    best_fit,
    fit_of,
    is_convex,
    is_frame,
    is_whole,
    small,
)
from turnaround.models.matting.scene import Scene, Somebody
from turnaround.pipeline.photos.photo import encode_mask

SEEN = 0.5  # visibility from which a joint must lie in the mask
CLEARLY = 0.15  # by which a mended mask must overlap more than the given one
LABELS_BETTER = 0.05  # the same for labels, whose brightness means nothing
SURE = 0.5  # overlap that a mended mask must have at least
BORDER = 0.5  # of the picture's border: a mask with more is perhaps inverted

Mask = Float[np.ndarray, "h w"]


class Contradiction(ValueError):
    """The picture shows something else than the mask."""


@dataclass(frozen=True)
class Verdict:
    """What to go on with, and what is to be said of it."""

    image: bytes
    mask: bytes | None
    said: str = ""  # a warning; "": the mask is believed as it came
    person: int | None = None  # whose own mask takes the place of one that only says where they are


def judged(
    image: bytes,
    mask: bytes | None,
    scene: Scene,
    people: Sequence[Somebody],
    own: Callable[[], Mask] | None,
    *,
    raw: bytes | None = None,
) -> Verdict:
    """Compare the scene's given mask with its people.

    Args:
        mask: the file beside the photo; None where the mask is the photo's alpha channel.
        own: finds the mask of what stands out, for a mask that looks wrong where no landmark networks are
            used; None where they are, and see nobody.
        raw: the file before `lit`, whose colours may be labels; default: `mask`.

    Raises:
        Contradiction: with the overlap and the remedy.
    """
    assert scene.given is not None
    given, name = small(scene.given), "the photo's alpha channel" if mask is None else mends.NAME
    seen, labels = _seen(people), None if mask is None else mends.labels_in(raw or mask)
    if not seen and own is not None and (is_convex(given) or on_border(given) or labels is not None):
        seen = mends.people_small([own()], [np.zeros((0, 2))])
    fit = best_fit(given, seen)
    for said, values, clearly in _mended(scene.given, labels, seen):
        found = _fit_at(values, seen)
        if found.overlap >= max(SURE, fit.overlap + clearly):
            figures = f"it overlaps the person by {100 * found.overlap:.0f} %, as it came by"
            said = f"{name} {said}: {figures} {100 * fit.overlap:.0f} %"
            return Verdict(image, encode_mask(values), said)
    if is_frame(given, seen):
        return _without(image, mask, given, seen, name)
    shadowless = mends.shadowless(scene.pixels, scene.given) if mask is None else None
    if shadowless is not None and best_fit(small(shadowless), seen).overlap >= fit.overlap:
        said = f"{name} has a soft shadow around the person, which is left out"
        return Verdict(image, encode_mask(shadowless), said)
    if people and not fit.agrees:
        remedy = (
            "give a mask of this photo (person white), remove it to use the photo's own, or believe it with"
        )
        raise Contradiction(
            f"{name} is not of the person in the photo ({fit}): {remedy} --set stages.prepare.trust=true"
        )
    return Verdict(image, mask)


def comparable(people: Sequence[Somebody]) -> list[Somebody]:
    """Leave out who is much smaller than the largest, as is done where no mask is given."""
    largest = max((radius(somebody.pose) for somebody in people), default=0.0)
    return [somebody for somebody in people if radius(somebody.pose) >= COMPARABLE * largest]


def _mended(
    given: Mask, labels: mends.Labels | None, seen: Sequence[Seen]
) -> Iterator[tuple[str, Mask, float]]:
    """What a mask may have been, what it then means, and how much better that must fit."""
    if labels is not None and seen:
        said = f"holds {len(labels.colors)} labels, of which the person's are used"
        yield said, mends.labelled(labels, list(seen)), LABELS_BETTER
    if seen:
        yield "is inverted, and is turned round", mends.inverted(given), CLEARLY


def _fit_at(values: Mask, seen: Sequence[Seen]) -> Fit:
    """The fit of a mask of any size."""
    height, width = seen[0].mask.shape
    reduced = Image.fromarray(small(values)).resize((width, height), Image.Resampling.BILINEAR)
    return best_fit(np.asarray(reduced), seen)


def _without(image: bytes, mask: bytes | None, given: Mask, seen: Sequence[Seen], name: str) -> Verdict:
    """The photo's own mask for one that is only a frame; of the one who is in it, where others are not."""
    share = 100 * float((given > 0.5).mean())
    whites = "opaque" if mask is None else "white"
    said = (
        f"{name} is {whites} in {share:.1f} % of the picture, no outline of a person: the photo's own "
        f"mask is used"
    )
    inside = [k for k, person in enumerate(seen) if fit_of(given, person).covered >= COVERED]
    person = inside[0] if len(inside) == 1 and len(seen) > 1 and not is_whole(given) else None
    return Verdict(mends.opaque(image) if mask is None else image, None, said, person)


def _seen(people: Sequence[Somebody]) -> list[Seen]:
    joints = []
    for somebody in people:
        height, width = somebody.mask.shape
        xy, visible = somebody.pose.xy[list(LANDMARKS)], somebody.pose.visibility[list(LANDMARKS)] > SEEN
        inside = (xy >= 0).all(1) & (xy < (width, height)).all(1)
        joints.append(xy[visible & inside])
    return mends.people_small([somebody.mask for somebody in people], joints)


def on_border(mask: Mask) -> bool:
    """Whether a mask holds most of the picture's border, as no person does."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return float((border > 0.5).mean()) > BORDER
