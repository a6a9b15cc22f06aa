"""Image analogies: what a target lacks, copied patch by patch from sources by their guides, coarse to
fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32
from scipy import ndimage

from turnaround.models.exemplar.guidance import nearest
from turnaround.models.exemplar.likeness import Likeness, guide_of, opponent
from turnaround.models.exemplar.parts import NEVER, strangeness
from turnaround.models.exemplar.patchmatch import Matches, Side, Terms, closest, search
from turnaround.models.exemplar.pyramid import at_level, enlarged, mean_of
from turnaround.models.exemplar.sheet import Sheet, side_by_side
from turnaround.models.exemplar.slow import enlarged_cloths, slow_colors
from turnaround.models.exemplar.trust import believed, oddity, with_hair
from turnaround.models.exemplar.voting import vote

MARGIN = 16  # pixels around the person


@dataclass(frozen=True)
class Level:
    """How one level of the pyramid is worked on."""

    factor: int  # by which it is smaller than the picture
    radius: int  # of a window, pixels
    passes: int  # of search and vote
    rounds: int  # of a search
    reach: int  # pixels from its match where a pixel looks by chance
    guides: float  # weight of all but the picture itself
    # 1: the windows over a pixel vote by their bell; the larger, the more does its own match alone decide
    crisp: float


LEVELS = (
    Level(8, radius=2, passes=3, rounds=4, reach=16, guides=2.0, crisp=1.0),
    Level(4, radius=3, passes=3, rounds=3, reach=8, guides=0.6, crisp=4.0),
    Level(2, radius=2, passes=2, rounds=2, reach=4, guides=0.4, crisp=16.0),
    Level(1, radius=1, passes=1, rounds=2, reach=2, guides=0.5, crisp=30.0),
)


def synthesize(
    source: Sheet | Sequence[Sheet],
    target: Sheet,
    *,
    seed: int = 0,
    levels: Sequence[Level] = LEVELS,
    likeness: Likeness | None = None,
) -> Float32[np.ndarray, "h w 3"]:
    """The target's picture, its person's unknown pixels copied from the known ones of the sources.

    Args:
        source: one sheet or several; their pictures are copied where they are known. For a view from behind,
        the photo's
            sheet `mirrored()`.
        target: its known pixels stay as they are and are what the others are joined to; beyond its mask the
        picture stays. seed: of the search; the same seed, the same bytes, whatever the number of threads.

    Raises:
        ValueError: no source has a known pixel that may be copied.
    """
    likeness = likeness or Likeness()
    coarsest = levels[0].factor
    sources = [_boxed(one, coarsest) for one in ([source] if isinstance(source, Sheet) else source)]
    whole, (top, left, boxed) = (
        side_by_side([with_hair(one) for _, _, one in sources], coarsest * MARGIN // 4),
        _boxed(target, coarsest),
    )
    if not (boxed.mask & ~boxed.known).any():
        return target.picture.copy()
    whole = _without_strangers(whole, boxed)
    small, wanted = _with_slow_colors(at_level(whole, coarsest)), _with_slow_colors(at_level(boxed, coarsest))
    boxed = boxed.replace(slow=enlarged_cloths(believed(small, wanted, likeness), coarsest))
    whole = whole.replace(slow=enlarged(small.slow, coarsest))
    detail = _coarse_to_fine(
        _detail(whole, likeness.slow), _detail(boxed, likeness.slow), levels, likeness, seed
    )
    made = (detail + np.float32(likeness.slow) * boxed.slow).clip(0, 1)
    picture = target.picture.copy()
    rows = slice(max(top, 0), min(top + boxed.height, target.height))
    columns = slice(max(left, 0), min(left + boxed.width, target.width))
    inner = made[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    wanted = (target.mask & ~target.known)[rows, columns]
    picture[rows, columns][wanted] = inner[wanted]
    return picture


def _boxed(sheet: Sheet, multiple: int) -> tuple[int, int, Sheet]:
    """Top and left of the person's box with a margin, and the sheet there; its sides are multiples."""
    edges = []
    for axis in (1, 0):
        there = np.flatnonzero(sheet.mask.any(axis))
        first, last = (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 1)
        edges += [first - MARGIN, -(-(last - first + 2 * MARGIN) // multiple) * multiple]
    return edges[0], edges[2], sheet.window(edges[0], edges[2], edges[1], edges[3])


def _without_strangers(source: Sheet, target: Sheet) -> Sheet:
    """The source without parts that nothing wanted may be copied from: not even the edge of a window shows
    them."""
    wanted = np.unique(target.part[target.mask & ~target.known])
    usable = strangeness()[wanted].min(0) < NEVER
    return source.replace(known=source.known & usable[source.part])


def _with_slow_colors(sheet: Sheet) -> Sheet:
    """The sheet with those of its picture where that is known."""
    there = sheet.mask & sheet.known
    return sheet.replace(slow=np.where(there[..., None], slow_colors(sheet.picture, there), sheet.slow))


def _detail(sheet: Sheet, share: float) -> Sheet:
    """The sheet whose picture lacks a share of the slow colours: what is copied, whatever the light."""
    return sheet.replace(picture=sheet.picture - np.float32(share) * sheet.slow)


def _coarse_to_fine(
    source: Sheet, target: Sheet, levels: Sequence[Level], likeness: Likeness, seed: int
) -> Float32[np.ndarray, "h w 3"]:
    """The target's picture with its unknown pixels copied."""
    picture, matches, before = np.float32(1 - likeness.slow) * target.slow, None, 0
    for number, level in enumerate(levels):
        small = at_level(target, level.factor), at_level(source, level.factor)
        guess = (
            mean_of(picture, target.mask, level.factor)
            if matches is None
            else enlarged(picture, before // level.factor)
        )
        guess = np.where(small[0].known[..., None], small[0].picture, guess)
        sides = (
            side_of(small[0].replace(picture=guess), likeness, level.radius),
            side_of(small[1], likeness, level.radius, source=True),
        )
        terms = terms_of(likeness, level)
        if matches is None:
            matches = closest(*sides, terms)
        else:
            matches = _refined(
                matches, before // level.factor, levels[number - 1].radius, sides, level.radius
            )
        picture, matches = _alternate(*sides, terms, matches, level, seed + 1000 * number)
        before = level.factor
    return picture


def _alternate(
    target: Side, source: Side, terms: Terms, matches: Matches, level: Level, seed: int
) -> tuple[Float32[np.ndarray, "height width 3"], Matches]:
    """Search and vote in turn; the picture without its frame, and the matches with it."""
    for count in range(level.passes):
        matches, unlike = search(
            target, source, terms, matches, rounds=level.rounds, reach=level.reach, seed=seed + 100 * count
        )
        target = target._replace(
            picture=vote(target, source, matches, unlike, bell(level.radius) ** level.crisp)
        )
    r = level.radius
    height, width = target.there.shape
    return target.picture.reshape(height, width, 3)[r : height - r, r : width - r], matches


def side_of(sheet: Sheet, likeness: Likeness, radius: int, *, source: bool = False) -> Side:
    """The sheet as the search reads it; what is nobody has the picture of the person's nearest pixel."""
    inside = _interior(sheet.mask & sheet.known) if source else sheet.mask
    picture = nearest(inside, sheet.picture)[0] if inside.any() else sheet.picture
    fine = likeness.oddity * oddity(sheet) if source else np.zeros(sheet.mask.shape, np.float32)
    there = inside if source else sheet.mask & ~sheet.known

    def frame(a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.pad(a, [(radius, radius)] * 2 + [(0, 0)] * (a.ndim - 2), mode="edge"))

    return Side(
        frame(picture.astype(np.float32)).reshape(len(picture) + 2 * radius, -1),
        frame(opponent(sheet.slow, likeness.lightness)),
        frame(guide_of(sheet, likeness)),
        frame(sheet.part),
        frame(fine.astype(np.float32)),
        np.pad(there, radius),
    )


def _interior(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The mask without its outermost pixels, which the background shines through."""
    inner = ndimage.binary_erosion(mask, iterations=1)
    return inner if inner.any() else mask


def terms_of(likeness: Likeness, level: Level) -> Terms:
    """The weights of the search at a level."""
    window = bell(level.radius)
    share = np.float32(1 / level.guides)
    return Terms(
        likeness.strange * strangeness(),
        np.float32(likeness.limit),
        np.repeat(share * window / window.sum(), 3, 1),
    )


def bell(radius: int) -> Float32[np.ndarray, "k k"]:
    """A Gaussian window."""
    distance = np.arange(-radius, radius + 1, dtype=np.float32) / max(radius, 1)
    line = np.exp(-(distance**2)).astype(np.float32)
    return line[:, None] * line


def _refined(
    matches: Matches, times: int, framed: int, sides: tuple[Side, Side], radius: int
) -> Int32[np.ndarray, "height width 2"]:
    """The matches of a coarser level, frame and all, as those of a finer one; candidates of its source all of
    them."""
    inner = matches[framed : matches.shape[0] - framed, framed : matches.shape[1] - framed] - framed
    large = inner.repeat(times, 0).repeat(times, 1) * times
    large[..., 0] += (np.arange(large.shape[0]) % times)[:, None]
    large[..., 1] += np.arange(large.shape[1]) % times
    large = np.pad(large + radius, [(radius, radius)] * 2 + [(0, 0)], mode="edge")
    there = sides[1].there
    v, u = large[..., 0].clip(0, there.shape[0] - 1), large[..., 1].clip(0, there.shape[1] - 1)
    rows, columns = nearest(
        there, *np.meshgrid(*(np.arange(n, dtype=np.int32) for n in there.shape), indexing="ij")
    )
    return np.stack([rows[v, u], columns[v, u]], -1)
