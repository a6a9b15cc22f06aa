"""Front-to-back blending of binned splats and its gradient, in numba: a row of a tile is one vector of 16 pixels.

Per pixel: alpha = min(0.999, o exp(-s)), skipped below 1/255; a splat that would bring the transmittance T to 1e-4
or less ends the pixel and is not drawn (3D Gaussian Splatting, section 6, with gsplat 1.5.3's constants). A pixel that
has ended is marked by a negative T.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numba.cpython.unsafe.tuple import tuple_setitem

from models.splat.lane_memory import aligned, load, load_each, prefetch, store, store_interleaved
from models.splat.lanes import WIDTH, bits, magnitude, maximum, minimum, ramp, select, spread
from models.splat.projection import ALPHA_MIN, CHANNELS, REACH, ROW, TILE
from models.splat.scheduling import claim

f32 = np.float32
ALPHA_MAX = f32(0.999)
FAINT = f32(ALPHA_MIN)
T_MIN = f32(1e-4)
FAR = f32(6.0)  # exp(-6) < 1/255: no splat is seen at a larger exponent
CHECK = 32  # splats between two tests of whether the whole tile has ended
AHEAD = 8  # splats that are fetched before they are needed


@njit
def _exp_minus(s):
    """exp(-s) for s in [0, 6], to 3e-6 of its value: the best polynomial of degree 5 for exp(-s / 8), squared three times."""
    e = s * f32(-1.7391086e-07) + f32(9.64894e-06)
    e = e * s + f32(-0.00032387898)
    e = e * s + f32(0.0078101093)
    e = e * s + f32(-0.12499869)
    e = e * s + f32(0.9999999)
    e = e * e
    e = e * e
    return e * e


@njit
def rows(y, reach, top):
    """First and last row of the tile that the splat can touch; by truncation, as a call to floor would empty all registers."""
    first = np.int32(max(y - reach - top + f32(0.5), f32(0.0)))
    last = np.int32(min(y + reach - top - f32(0.5), f32(TILE - 1)))
    return first, last


@njit
def columns(x, reach, left):
    """Bits of the tile's columns that the splat can touch."""
    first = np.int32(max(x - reach - left + f32(0.5), f32(0.0)))
    last = np.int32(min(x + reach - left - f32(0.5), f32(TILE - 1)))
    return np.int32((2 << last) - (1 << first))


@njit
def channels_of(splats, at, template):
    """The splat's channels as a tuple like `template`, whose length the compiler knows."""
    values = template
    for q in range(len(template)):
        values = tuple_setitem(values, q, splats[at + CHANNELS + q])  # pyright: ignore[reportCallIssue] (a numba intrinsic)
    return values


@njit
def open_tile(state, alive, stride, inside_x, inside_y):
    """Set a tile before anything is drawn: T is 1, and ended outside of the picture; the rest is 0."""
    for k in range(state.size):
        state[k] = f32(0.0)
    t = select(ramp() < inside_x, f32(1.0), f32(-1.0))
    for y in range(TILE):
        row = t if y < inside_y else spread(f32(-1.0))
        store(state, y * stride, row)
        alive[y] = bits(row > f32(0.0))


@njit
def _has_ended(alive):
    """Whether every pixel of the tile has."""
    together = alive[0]
    for y in range(1, TILE):
        together |= alive[y]
    return together == 0


@njit
def step(t, s, o):
    """One splat at 16 pixels: what is left of T, the weight, exp(-s), alpha, and where it is drawn."""
    e = _exp_minus(s)
    a = minimum(o * e, ALPHA_MAX)
    weight = a * t
    left_over = t - weight
    drawn = (a >= FAINT) & (left_over > T_MIN)
    ended = (a >= FAINT) & (left_over <= T_MIN)
    weight = select(drawn, weight, f32(0.0))
    # the difference once more, not `left_over`: else the compiler stores only some lanes, which the next splat waits for
    return select(ended, f32(0.0) - magnitude(t), t - weight), weight, e, a, drawn


@njit
def _draw(splats, at, left, top, state, alive, template):
    """Blend one splat into a tile: `state` holds, by rows, T and the channels so far, 16 pixels each."""
    stride = (1 + len(template)) * WIDTH
    y0 = splats[at + 1] - top
    half_A, B, half_D, o = f32(0.5) * splats[at + 2], splats[at + 3], f32(0.5) * splats[at + 4], splats[at + 5]
    values = channels_of(splats, at, template)
    first, last = rows(splats[at + 1], splats[at + REACH], top)
    dx = ramp() + (f32(0.5) + left - splats[at])
    A_part, B_part = dx * dx * half_A, dx * B
    mine = columns(splats[at], splats[at + REACH + 1], left)
    for y in range(first, last + 1):
        if alive[y] & mine == 0:
            continue
        dy = f32(y) + f32(0.5) - y0
        s = minimum(maximum(A_part + (B_part + half_D * dy) * dy, f32(0.0)), FAR)
        line = y * stride
        t, weight, _, _, _ = step(load(state, line), s, o)
        store(state, line, t)
        alive[y] = bits(t > f32(0.0))
        for q in range(len(values)):
            place = line + (1 + q) * WIDTH
            store(state, place, load(state, place) + weight * values[q])


@njit
def _clear(image, alpha, c, left, top):
    """Zeros in a tile that nothing is seen in."""
    height, width, channels = image.shape[1:]
    flat, flat_alpha = image.reshape(-1), alpha.reshape(-1)
    for y in range(top, min(top + TILE, height)):
        place = (c * height + y) * width + left
        if left + TILE <= width:
            store(flat_alpha, place, spread(f32(0.0)))
            for q in range(channels):
                store(flat, place * channels + q * WIDTH, spread(f32(0.0)))
        else:
            flat_alpha[place : place + width - left] = f32(0.0)
            flat[place * channels : (place + width - left) * channels] = f32(0.0)


@njit
def _close(state, template, image, alpha, c, left, top):
    """Write a tile's pixels to the pictures."""
    channels, stride = len(template), (1 + len(template)) * WIDTH
    height, width = alpha.shape[1:]
    flat, flat_alpha = image.reshape(-1), alpha.reshape(-1)
    for y in range(min(TILE, height - top)):
        place = (c * height + top + y) * width + left
        if left + TILE <= width:
            store(flat_alpha, place, f32(1.0) - magnitude(load(state, y * stride)))
            store_interleaved(flat, place * channels, load_each(state, y * stride + WIDTH, template))
        else:
            for x in range(width - left):
                flat_alpha[place + x] = f32(1.0) - abs(state[y * stride + x])
                for q in range(channels):
                    flat[(place + x) * channels + q] = state[y * stride + (1 + q) * WIDTH + x]


@njit
def _blend_tile(flat, base, pairs, begin, end, left, top, inside, state, alive, template):
    """Draw a tile's splats, nearest first, until every pixel has ended; returns the first pair not looked at."""
    open_tile(state, alive, (1 + len(template)) * WIDTH, inside[0], inside[1])
    for pair in range(begin, end):
        if pair > begin and (pair - begin) % CHECK == 0 and _has_ended(alive):
            return pair
        prefetch(flat, base + pairs[min(pair + AHEAD, end - 1), 0] * ROW)
        _draw(flat, base + pairs[pair, 0] * ROW, f32(left), f32(top), state, alive, template)
    return end


@njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def blend(workers, counter, splats, starts, pairs, order, template, image, alpha, ends):
    """Fill image (c, h, w, channels) over nothing, alpha (c, h, w) and each tile's end (c * tiles): pairs looked at.

    `template` is a tuple of as many float32 as there are channels: the kernel is compiled for their number. Threads take
    tiles (`models.splat.scheduling`) in the given `order`; the result does not depend on it.
    """
    height, width = alpha.shape[1:]
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    flat = splats.reshape(-1)
    for _ in prange(workers):
        state, alive = aligned(TILE * (1 + len(template)) * WIDTH), np.empty(TILE, np.int32)
        item = claim(counter)
        while item < order.size:
            tile = order[item]
            c = tile // (across * down)
            left, top = (tile % across) * TILE, (tile // across % down) * TILE
            end = starts[tile + 1]
            if starts[tile] == end:
                _clear(image, alpha, c, left, top)
            else:
                inside, base = (width - left, height - top), c * splats.shape[1] * ROW
                end = _blend_tile(flat, base, pairs, starts[tile], end, left, top, inside, state, alive, template)
                _close(state, template, image, alpha, c, left, top)
            ends[tile] = end
            item = claim(counter)
