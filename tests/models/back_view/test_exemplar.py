"""Exemplar synthesis: kernels against slow twins, what is known stays, faces are no source, colours that are
believed."""

import dataclasses

import numba
import numpy as np
import pytest
from scipy import ndimage

from turnaround.models.body.model import BodyModel
from turnaround.models.exemplar.analogy import LEVELS, side_of, synthesize, terms_of
from turnaround.models.exemplar.guidance import draw_guides
from turnaround.models.exemplar.likeness import Likeness, opponent
from turnaround.models.exemplar.parts import CRANIUM, FACE, MIRROR, NEVER, PARTS, TORSO, strangeness
from turnaround.models.exemplar.patchmatch import BAND, LOYALTY, closest, search
from turnaround.models.exemplar.pyramid import at_level, enlarged, mean_of
from turnaround.models.exemplar.sheet import Sheet, side_by_side
from turnaround.models.exemplar.slow import enlarged_cloths, slow_colors
from turnaround.models.exemplar.trust import believed, with_hair
from turnaround.models.exemplar.views import sharpened
from turnaround.models.exemplar.voting import vote
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.types import Body

LIKENESS = Likeness()


def sheet(height=48, width=40, seed=0, known=True):
    """A torso of noise that fills all but a margin of 4 pixels, its places 1 cm apart."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    mask = np.zeros((height, width), bool)
    mask[4:-4, 4:-4] = True
    picture = rng.random((height, width, 3), np.float32)
    position = np.stack([(x - width / 2) / 100, -y / 100, 0 * x], -1)
    normal = np.broadcast_to(np.float32([0, 0, -1]), picture.shape).copy()
    part = np.full(mask.shape, TORSO, np.int8)
    return Sheet(
        picture,
        np.full_like(picture, 0.5),
        position,
        part,
        normal,
        mask,
        mask if known else np.zeros_like(mask),
    )


def slow_likeness(target, source, terms, y, x, v, u):
    total = terms.strangeness[target.part[y, x], source.part[v, u]] + source.fine[v, u]
    total += min(((target.color[y, x] - source.color[v, u]) ** 2).sum(), terms.limit)
    total += np.sqrt(((target.guide[y, x] - source.guide[v, u]) ** 2).sum())
    r = terms.window.shape[0] // 2
    a = target.picture[y - r : y + r + 1, 3 * (x - r) : 3 * (x + r + 1)]
    b = source.picture[v - r : v + r + 1, 3 * (u - r) : 3 * (u + r + 1)]
    return total + (terms.window * (a - b) ** 2).sum()


def sides(radius=1):
    """A target and a source as the search reads them, and its terms."""
    target, source = sheet(20, 18, 1, known=False), sheet(24, 20, 2)
    level = dataclasses.replace(LEVELS[-1], radius=radius)
    return (
        side_of(target, LIKENESS, radius),
        side_of(source, LIKENESS, radius, source=True),
        terms_of(LIKENESS, level),
    )


def chance(seed, y, x, k):
    wrap = 2**64 - 1
    z = (seed + y * 0x9E3779B97F4A7C15 + x * 0xC2B2AE3D27D4EB4F + k * 0x165667B19E3779F9) & wrap
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & wrap
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & wrap
    return z ^ (z >> 31)


def slow_search(target, source, terms, matches, rounds, reach, seed):
    """The search, readably."""
    found, unlike = matches.copy(), np.full(target.there.shape, np.inf)
    height, width = target.there.shape
    cost = lambda y, x, v, u: slow_likeness(target, source, terms, y, x, v, u)  # noqa: E731
    for count in range(rounds):
        old, step = found.copy(), 1 if count % 2 == 0 else -1
        for top in range(0, height, BAND):
            rows = range(top, min(top + BAND, height))
            for y in rows[::step]:
                for x in range(width)[::step]:
                    if not target.there[y, x]:
                        continue
                    best = cost(y, x, *old[y, x]) if count == 0 else unlike[y, x]
                    place = old[y, x]
                    for py, px in ((y - step, x), (y, x - step)):
                        if target.there[py, px]:
                            candidate = (found if py in rows else old)[py, px] + (y - py, x - px)
                            if source.there[tuple(candidate)] and (new := cost(y, x, *candidate)) < best:
                                place, best = candidate, new
                    radius, k = reach, 0
                    while radius >= 1:
                        z = chance(seed + count, y, x, k)
                        candidate = place + np.array(
                            [z % (2 * radius + 1) - radius, (z >> 32) % (2 * radius + 1) - radius]
                        )
                        within = (
                            (candidate >= 0).all()
                            and (candidate < source.there.shape).all()
                            and source.there[tuple(candidate)]
                        )
                        if within and (new := cost(y, x, *candidate)) < LOYALTY * best:
                            place, best = candidate, new
                        radius, k = radius // 2, k + 1
                    found[y, x], unlike[y, x] = place, best
    return found, unlike


def test_the_search_is_that_of_its_slow_twin():
    target, source, terms = sides()
    start = closest(target, source, terms)
    candidates = np.argwhere(source.there)
    blind = terms._replace(window=0 * terms.window)
    for y, x in np.argwhere(target.there)[::7]:
        costs = [slow_likeness(target, source, blind, y, x, v, u) for v, u in candidates]
        assert slow_likeness(target, source, blind, y, x, *start[y, x]) == pytest.approx(min(costs), abs=1e-5)
    found, unlike = search(target, source, terms, start, rounds=3, reach=4, seed=9)
    slow, slow_unlike = slow_search(target, source, terms, start, 3, 4, 9)
    there = target.there
    # sums in another order differ in the last bits, so that one decision in a thousand may
    assert (found[there] == slow[there]).all(-1).mean() > 0.98
    assert np.abs(unlike[there] - slow_unlike[there]).mean() < 1e-3
    once, _ = search(target, source, terms, start, rounds=1, reach=4, seed=9)
    assert (
        unlike[there].sum()
        <= sum(slow_likeness(target, source, terms, y, x, *once[y, x]) for y, x in np.argwhere(there)) + 1e-3
    )


def test_the_vote_is_that_of_its_slow_twin():
    target, source, terms = sides()
    matches, unlike = search(target, source, terms, closest(target, source, terms), rounds=2, reach=4, seed=0)
    window = np.float32([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    voted, scale = vote(target, source, matches, unlike, window), np.median(unlike[target.there]) + 1e-6
    expected = target.picture.copy()
    for y, x in np.argwhere(target.there):
        votes, weights = [], []
        for dy, dx in np.ndindex(3, 3):
            py, px = y + dy - 1, x + dx - 1
            v, u = matches[py, px] - (dy - 1, dx - 1)
            if target.there[py, px] and source.there[v, u]:
                votes.append(source.picture[v, 3 * u : 3 * u + 3])
                weights.append(window[dy, dx] / (scale + unlike[py, px]))
        expected[y, 3 * x : 3 * x + 3] = np.average(votes, 0, weights)
    assert np.allclose(voted, expected, atol=1e-5)


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads():
    source, target = sheet(64, 64), sheet(64, 64, 1, known=False)
    threads, made = numba.get_num_threads(), []
    try:
        for count in {1, threads}:
            numba.set_num_threads(count)
            made += [synthesize(source, target, seed=3), synthesize(source, target, seed=3)]
    finally:
        numba.set_num_threads(threads)
    assert all(np.array_equal(made[0], other) for other in made)


def test_a_person_is_made_from_themselves_and_known_pixels_stay():
    source = sheet(96, 80)
    waves = ndimage.gaussian_filter(source.picture, (2, 2, 0))
    source = source.replace(picture=((waves - waves.mean()) / (6 * waves.std()) + 0.5).clip(0, 1))
    known = source.known.copy()
    known[:, 40:] = False
    target = source.replace(picture=np.where(known[..., None], source.picture, np.float32(0)), known=known)
    made = synthesize(source, target)
    beyond = known | ~target.mask
    assert np.array_equal(made[beyond], target.picture[beyond])
    inner = np.zeros_like(known)
    inner[12:-12, 40:-12] = True
    assert np.abs(made - source.picture)[inner].mean() < 0.06  # two other places differ by .19 on average
    assert np.array_equal(synthesize(source, source), source.picture)
    with pytest.raises(ValueError, match="no pixel"):
        synthesize(source.replace(known=np.zeros_like(known)), target)


def test_the_face_is_never_a_source():
    source = sheet(64, 48)
    part = source.part.copy()
    part[:24] = FACE
    picture = source.picture * np.float32([0.1, 0.3, 0.1])
    picture[:24] = [1, 0, 1]
    part[20:28, :12] = CRANIUM
    picture[20:28, :12] = [0.2, 0.1, 0.0]
    target = sheet(64, 48, 1, known=False)
    target = target.replace(part=np.where(part == FACE, np.int8(CRANIUM), part), slow=picture)
    made = synthesize(source.replace(picture=picture.astype(np.float32), part=part), target)
    assert made[6:18, 8:-8, 2].max() < 0.3  # no magenta on the head's back
    assert (strangeness()[:, FACE] == NEVER).sum() == len(PARTS) - 1


def test_colours_are_believed_where_the_photo_has_them_and_else_place_decides():
    source, target = sheet(24, 24), sheet(24, 24, known=False)
    red, green = np.float32([0.8, 0.1, 0.1]), np.float32([0.1, 0.5, 0.2])
    halves = np.where(np.arange(24)[:, None] < 12, red, green)[None].repeat(24, 0)
    source = source.replace(slow=halves, picture=halves)
    brown, swapped = (
        np.broadcast_to(np.float32([0.4, 0.3, 0.15]), halves.shape).copy(),
        halves[:, ::-1].copy(),
    )
    hue = lambda slow: opponent(slow, 0)  # noqa: E731
    inside = np.s_[5:-5, 5:-5]
    chosen = believed(source, target.replace(slow=brown), LIKENESS)
    middle = np.abs(np.arange(24) - 11.5)[None, :, None] > 2
    assert (np.abs(hue(chosen) - hue(halves)) * middle)[inside].max() < 0.12
    chosen = believed(
        source, target.replace(slow=swapped), dataclasses.replace(LIKENESS, limit=0.2, place=0.05, side=0.01)
    )
    assert np.abs(hue(chosen) - hue(swapped))[inside].mean() < 0.1


def test_skin_on_the_cranium_is_no_hair_but_a_bald_head_is():
    one = sheet(40, 40)
    part = np.full((40, 40), FACE, np.int8)
    part[:20] = CRANIUM
    skin, hair = np.float32([0.8, 0.6, 0.5]), np.float32([0.2, 0.15, 0.1])
    slow = np.broadcast_to(skin, (40, 40, 3)).copy()
    assert np.array_equal(with_hair(one.replace(part=part, slow=slow)).part, part)
    slow[:10] = hair
    made = with_hair(one.replace(part=part, slow=slow)).part
    assert (made[4:10, 4:-4] == CRANIUM).all() and (made[10:, 4:-4] == FACE).all()


def test_slow_colours_keep_the_edges_of_cloths():
    picture = (
        np.where(np.arange(32)[:, None] < 16, np.float32(0.2), np.float32(0.8))[None]
        .repeat(32, 0)
        .repeat(3, 2)
    )
    noisy = (picture + np.random.default_rng(0).normal(0, 0.03, picture.shape)).astype(np.float32)
    slow = slow_colors(noisy, np.ones((32, 32), bool))
    assert np.abs(slow - picture).max() < 0.05 and (slow - picture).std() < 0.5 * (noisy - picture).std()
    large = enlarged_cloths(picture, 4)[64]
    assert ((large[:, 0] > 0.3) & (large[:, 0] < 0.7)).sum() <= 6  # plain enlargement: a ramp twice as wide
    flat = np.full((8, 8, 3), 0.4, np.float32)
    assert np.allclose(enlarged_cloths(flat, 8), 0.4)


def test_levels_mean_over_the_person_and_mirrors_undo_themselves():
    one = sheet()
    small = at_level(one, 4)
    assert small.picture.shape == (12, 10, 3) and small.known[1:-1, 1:-1].all()
    values = np.random.default_rng(0).random((4, 6, 2)).astype(np.float32)
    assert np.allclose(mean_of(values.repeat(2, 0).repeat(2, 1), np.ones((8, 12), bool), 2), values)
    ramp = np.arange(12, dtype=np.float32)[None, :, None].repeat(8, 0)
    assert np.allclose(enlarged(mean_of(ramp, np.ones((8, 12), bool), 2), 2)[:, 1:-1], ramp[:, 1:-1])
    again = one.mirrored().mirrored()
    assert all(
        np.array_equal(getattr(again, f.name), getattr(one, f.name)) for f in dataclasses.fields(Sheet)
    )
    row = side_by_side([one, sheet(30, 20)], 5)
    assert (
        row.mask.shape == (48, 70)
        and not row.mask[:, 40:45].any()
        and np.array_equal(row.window(0, 0, 48, 40).picture, one.picture)
    )
    assert np.array_equal(MIRROR[MIRROR], np.arange(len(PARTS)))


def test_guides_of_front_and_back_agree_about_the_body():
    model, body = BodyModel.shared(), Body.neutral()
    front, back = (
        draw_guides(body, model, canonical_camera(128)),
        draw_guides(body, model, orbit_cameras([180.0], 128)[0]),
    )
    assert (front.part[front.covered] == FACE).any() and not (back.part[back.covered] == FACE).any()
    left = [PARTS.index(f"left_{name}") for name in ("hand", "foot")]
    for guides, side in ((front, 1), (back, -1)):  # the person's left is on the right of the front view
        columns = np.nonzero(np.isin(guides.part, left) & guides.covered)[1]
        assert (side * (columns - 64) > 0).all()
        assert (guides.position[..., 0][np.isin(guides.part, left)] > 0).all()
    assert np.allclose(np.linalg.norm(front.normal, axis=-1), 1, atol=1e-4) and front.normal[64, 64, 2] < -0.5
    assert (front.position[..., 2][60:70, 60:68] > back.position[..., 2][60:70, 60:68]).all()


def test_a_fog_gets_an_edge():
    fog = np.clip(1 - np.abs(np.arange(256, dtype=np.float32) - 128) / 64, 0, 1)[None].repeat(256, 0)
    mask = sharpened(fog)
    assert mask.min() == 0 and mask.max() == 1
    width = lambda a: ((a > 0.05) & (a < 0.95)).sum()  # noqa: E731
    assert width(mask[128]) < 0.6 * width(fog[128])
