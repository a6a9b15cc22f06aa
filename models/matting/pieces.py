"""From a mask of everything that is a person to the people in it: pieces joined, specks dropped, cut-off
sides found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

WORK = 640  # pixels of the longer side on which pieces are counted
SPECK = 0.03  # of the largest piece's area: smaller ones that are not near it are dropped
NEAR = 0.04  # of the picture's person height: a small piece this near belongs to the person
SMALL = 0.25  # of the person's area: a piece beside it is a piece of it only when smaller
SMALLEST = 0.002  # of the picture's area: less is nobody
COMPARABLE = 0.4  # of the largest person's area and height
CERTAIN = 0.8  # mean of a mask that is no guess
HOLE = 0.004  # of the person's area: smaller holes in a network's mask are errors


@dataclass(frozen=True)
class Person:
    """One person of the picture."""

    mask: Bool[np.ndarray, "h w"]  # at the working size
    area: float  # share of the picture
    box: tuple[
        float, float, float, float
    ]  # top, left, bottom, right as shares of the picture's height and width
    certainty: float  # mean of the soft mask on them

    @property
    def centre_x(self) -> float:
        """Middle of the box, share of the width."""
        return (self.box[1] + self.box[3]) / 2


def find_people(mask: Float[np.ndarray, "h w"], smallest: float = SMALLEST) -> list[Person]:
    """The people in a mask, largest first; specks are in none of them.

    Connected pieces are joined where one person is cut in two by something before them: one piece above the
    other, close together, or a small piece close to a large one.
    """
    soft = reduced(mask)
    solid = soft > 0.5
    labels, count = ndimage.label(solid, structure=np.ones((3, 3)))  # type: ignore[misc]
    if count == 0:
        return []
    areas = ndimage.sum_labels(solid, labels, np.arange(1, count + 1))
    order = [k for k in np.argsort(areas)[::-1] if areas[k] >= SPECK * 0.1 * areas.max()][:24]
    people: list[np.ndarray] = []
    for piece in (labels == k + 1 for k in order):
        owner = next((k for k, person in enumerate(people) if _same_person(person, piece)), None)
        if owner is None:
            people.append(piece)
        else:
            people[owner] = people[owner] | piece
    found = sorted((person_of(piece, soft) for piece in people), key=lambda person: -person.area)
    return [person for person in found if person.area >= max(smallest, SPECK * found[0].area)]


def _same_person(person: Bool[np.ndarray, "h w"], piece: Bool[np.ndarray, "h w"]) -> bool:
    top, left, bottom, right = _box(person)
    t, l, b, r = _box(piece)
    height = max(bottom, b) - min(top, t)
    gap_y, gap_x = max(t - bottom, top - b, 0), max(l - right, left - r, 0)
    overlap_x = min(right, r) - max(left, l)
    stacked = (
        overlap_x > 0.4 * min(right - left, r - l)
        and gap_y < 0.1 * height
        and min(b, bottom) - max(t, top) < 0.3 * min(b - t, bottom - top)
    )
    if stacked:
        return True
    if piece.sum() > SMALL * person.sum() or max(gap_x, gap_y) > NEAR * height:
        return False
    distance = np.asarray(ndimage.distance_transform_edt(~person))
    return bool(distance[piece].min() <= NEAR * height)


def person_of(mask: Bool[np.ndarray, "h w"], soft: Float[np.ndarray, "h w"]) -> Person:
    """The person of a mask at the working size; `soft`: the mask of all, at that size."""
    top, left, bottom, right = _box(mask)
    height, width = mask.shape
    box = (top / height, left / width, bottom / height, right / width)
    return Person(mask, float(mask.mean()), box, float(soft[mask].mean()))


def rivals(people: list[Person]) -> list[Person]:
    """Those who could be meant as well as the largest: of comparable area and height, and surely people."""
    largest = people[0]
    return [
        person
        for person in people[1:]
        if person.area >= COMPARABLE * largest.area
        and person.box[2] - person.box[0] >= COMPARABLE * (largest.box[2] - largest.box[0])
        and person.certainty > CERTAIN
    ]


def _box(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def reduced(mask: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "k l"]:
    """The mask at the working size, averaged."""
    step = max(1, round(max(mask.shape) / WORK))
    height, width = (max(1, side // step) * step for side in mask.shape)
    return mask[:height, :width].reshape(height // step, step, width // step, step).mean((1, 3))


def only(person: Person, mask: Float[np.ndarray, "h w"], *, fill_holes: bool) -> Float[np.ndarray, "h w"]:
    """The soft mask of one person: everything not at or near their pieces is 0.

    `fill_holes` closes holes smaller than HOLE of the person: for masks of networks, not for those that
    someone cut.
    """
    height, width = person.mask.shape
    kept = ndimage.binary_dilation(person.mask, iterations=max(2, round(0.008 * max(height, width))))
    rows = np.minimum(np.arange(mask.shape[0]) * height // mask.shape[0], height - 1)
    columns = np.minimum(np.arange(mask.shape[1]) * width // mask.shape[1], width - 1)
    result = np.where(kept[rows][:, columns], mask, 0).astype(np.float32)
    if not fill_holes:
        return result
    labels, count = ndimage.label(~person.mask)  # type: ignore[misc]
    holes = np.asarray(labels, np.intp)
    areas = np.bincount(holes.ravel(), minlength=count + 1) * 1.0
    small = areas[holes] < HOLE * person.mask.sum()
    return np.where((small & ~person.mask)[rows][:, columns], 1.0, result).astype(np.float32)


def cut_sides(person: Person) -> dict[str, float]:
    """How much of the person meets each border: contact over the box's width (top, bottom) or height (left,
    right)."""
    mask = person.mask
    top, left, bottom, right = _box(mask)
    edges = {
        "top": mask[:2].any(0),
        "bottom": mask[-2:].any(0),
        "left": mask[:, :2].any(1),
        "right": mask[:, -2:].any(1),
    }
    sizes = {"top": right - left, "bottom": right - left, "left": bottom - top, "right": bottom - top}
    return {name: float(edge.sum()) / sizes[name] for name, edge in edges.items() if edge.any()}
