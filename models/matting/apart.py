"""Several people in one mask: pieces that touch are taken apart, and each person gets a mask of their own."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from turnaround.models.matting.pieces import Person, find_people, only, person_of, reduced, rivals

STEPS = 24  # radii that are tried
# of the mask's height: the largest radius; two torsos are joined by more only where one hides the other
WIDEST = 0.12
TALL = 0.55  # of the mask's height, that each part must have: an arm, a leg or a bag has less
PART = 0.25  # of the larger part's area, that the smaller must have


def people_apart(
    mask: Float[np.ndarray, "h w"], *, fill_holes: bool = False
) -> list[Float[np.ndarray, "h w"]]:
    """The soft mask of every person of comparable size in a mask of all people, from left to right; [] where
    there is nobody.

    People who stand apart are the pieces of the mask. People who touch (hands, sleeves, shoulders) are split
    where the mask is narrow between two parts that each are about as tall as the whole. People who hide each
    other stay one. `fill_holes`: for masks of networks (`models.matting.people.only`).
    """
    soft = reduced(mask)
    found = [person_of(part, soft) for person in find_people(mask) for part in split(person.mask)]
    if not found:
        return []
    found.sort(key=lambda person: -person.area)
    people = sorted([found[0], *rivals(found)], key=lambda person: person.centre_x)
    return [_alone(person, people, mask, fill_holes) for person in people]


def split(mask: Bool[np.ndarray, "h w"]) -> list[Bool[np.ndarray, "h w"]]:
    """The people in one connected mask: the mask itself, or its parts where it falls into several tall ones
    as it is eroded."""
    rows = np.flatnonzero(mask.any(1))
    height = int(rows[-1]) + 1 - int(rows[0])
    inside = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1]
    for radius in np.linspace(0, WIDEST * height, STEPS + 1)[1:]:
        labels, count = ndimage.label(inside > radius)  # type: ignore[misc]
        boxes = ndimage.find_objects(labels)
        tall = [
            k + 1 for k in range(count) if boxes[k][0].stop - boxes[k][0].start + 2 * radius >= TALL * height
        ]
        if len(tall) > 1:
            return _grown(mask, inside, np.where(np.isin(labels, tall), labels, 0))
        if not tall:
            break
    return [mask]


def _grown(
    mask: Bool[np.ndarray, "h w"], inside: Float[np.ndarray, "h w"], seeds: np.ndarray
) -> list[Bool[np.ndarray, "h w"]]:
    """Every pixel to the part that it is reached from along the thickest way; the whole mask where a part
    stays too small."""
    from skimage.segmentation import watershed

    labels = watershed(-inside, seeds, mask=mask)
    parts = [labels == k for k in np.unique(seeds) if k]
    areas = [part.sum() for part in parts]
    if min(areas) < PART * max(areas):
        return [mask]
    return [part for part in parts]


def _alone(
    person: Person, people: list[Person], mask: Float[np.ndarray, "h w"], fill_holes: bool
) -> Float[np.ndarray, "h w"]:
    """The soft mask of one person, nothing of the others."""
    soft = only(person, mask, fill_holes=fill_holes)
    others = (
        np.any([other.mask for other in people if other is not person], axis=0)
        if len(people) > 1
        else np.zeros_like(person.mask)
    )
    height, width = person.mask.shape
    rows = np.minimum(np.arange(mask.shape[0]) * height // mask.shape[0], height - 1)
    columns = np.minimum(np.arange(mask.shape[1]) * width // mask.shape[1], width - 1)
    return np.where(others[rows][:, columns], 0, soft).astype(np.float32)
