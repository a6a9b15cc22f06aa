"""Front-to-back blending of binned splats and its gradient, in numba: a vector is a block of 4 x 4 pixels, of
which a tile has 16.

Per pixel: alpha = min(0.999, o exp(-s)), skipped below 1/255; a splat that would bring the transmittance T to
1e-4 or less ends the pixel and is not drawn (3D Gaussian Splatting, section 6, with gsplat 1.5.3's
constants). A pixel that has ended is marked by a negative T.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numba.cpython.unsafe.tuple import tuple_setitem

from turnaround.models.splat.cpu.lane_memory import (
    aligned,
    load,
    load_each,
    prefetch,
    store,
    store_interleaved,
)
from turnaround.models.splat.cpu.lane_tuples import exchanged
from turnaround.models.splat.cpu.lanes import (
    WIDTH,
    across,
    bits,
    down,
    lowest_bit,
    magnitude,
    maximum,
    minimum,
    ramp,
    select,
    spread,
)
from turnaround.models.splat.cpu.projection import ALPHA_MIN, CHANNELS, REACH, ROW, TILE
from turnaround.models.splat.cpu.scheduling import claim

f32 = np.float32
ALPHA_MAX = f32(0.999)
FAINT = f32(ALPHA_MIN)
T_MIN = f32(1e-4)
FAR = f32(6.0)  # exp(-6) < 1/255: no splat is seen at a larger exponent
# splats between two looks at which blocks live: at each splat the processor would wait for the one before
CHECK = 16
AHEAD = 8  # splats that are fetched before they are needed


@njit
def _exp_minus(s):
    """exp(-s) for s in [0, 6], to 3e-6 of its value: the best polynomial of degree 5 for exp(-s / 8), squared
    three times."""
    e = s * f32(-1.7391086e-07) + f32(9.64894e-06)
    e = e * s + f32(-0.00032387898)
    e = e * s + f32(0.0078101093)
    e = e * s + f32(-0.12499869)
    e = e * s + f32(0.9999999)
    e = e * e
    e = e * e
    return e * e


@njit
def blocks(x, y, reach_x, reach_y):
    """The blocks of the tile, as bits by rows, that a splat with this centre, from the tile's corner, can
    touch."""
    # by truncation: a call to floor would empty all registers
    x0, x1 = (
        np.int64(max(x - reach_x + f32(0.5), f32(0.0))) // 4,
        np.int64(min(x + reach_x - f32(0.5), f32(TILE - 1))) // 4,
    )
    y0, y1 = (
        np.int64(max(y - reach_y + f32(0.5), f32(0.0))) // 4,
        np.int64(min(y + reach_y - f32(0.5), f32(TILE - 1))) // 4,
    )
    return ((2 << x1) - (1 << x0)) * 0x1111 & (16 << 4 * y1) - (1 << 4 * y0)


@njit
def channels_of(splats, at, template):
    """The splat's channels as a tuple like `template`, whose length the compiler knows."""
    values = template
    for q in range(len(template)):
        values = tuple_setitem(values, q, splats[at + CHANNELS + q])  # pyright: ignore[reportCallIssue] (a numba intrinsic)
    return values


@njit
def open_tile(state, stride, inside_x, inside_y):
    """Set a tile, by rows, before anything is drawn: T is 1, and ended outside of the picture; the rest is
    0."""
    for k in range(0, state.size, WIDTH):
        store(state, k, spread(f32(0.0)))
    t = select(ramp() < inside_x, f32(1.0), f32(-1.0))
    for y in range(TILE):
        store(state, y * stride, t if y < inside_y else spread(f32(-1.0)))


@njit
def exchange(state, stride):
    """A tile by rows becomes a tile by blocks, and the other way round."""
    for first in range(0, TILE, 4):
        for place in range(first * stride, (first + 1) * stride, WIDTH):
            four = (
                load(state, place),
                load(state, place + stride),
                load(state, place + 2 * stride),
                load(state, place + 3 * stride),
            )
            four = exchanged(four)
            for k in range(4):
                store(state, place + k * stride, four[k])


@njit
def living(state, stride):
    """The blocks, as bits, in which some pixel has not ended."""
    live = 0
    for block in range(TILE):
        live |= np.int64(bits(load(state, block * stride) > f32(0.0)) != 0) << block
    return live


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
    # the difference once more, not `left_over`: else the compiler stores only some lanes, which the next
    # splat waits for
    return select(ended, f32(0.0) - magnitude(t), t - weight), weight, e, a, drawn


@njit
def _draw(splats, at, left, top, state, live, template):
    """Blend one splat into the blocks `live` of a tile.

    `state` holds, by blocks, T and the channels so far, 16 pixels each.
    """
    stride = (1 + len(template)) * WIDTH
    x, y = splats[at] - left, splats[at + 1] - top
    half_A, B, half_D, o = (
        f32(0.5) * splats[at + 2],
        splats[at + 3],
        f32(0.5) * splats[at + 4],
        splats[at + 5],
    )
    values = channels_of(splats, at, template)
    mine = live & blocks(x, y, splats[at + REACH + 1], splats[at + REACH])
    while mine:
        block = lowest_bit(mine)
        mine &= mine - 1
        dx, dy = (
            across() + (f32(4 * (block % 4)) + f32(0.5) - x),
            down() + (f32(4 * (block // 4)) + f32(0.5) - y),
        )
        s = minimum(maximum((dx * half_A + dy * B) * dx + dy * dy * half_D, f32(0.0)), FAR)
        line = block * stride
        t, weight, _, _, _ = step(load(state, line), s, o)
        store(state, line, t)
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
def _blend_tile(flat, base, pairs, begin, end, left, top, inside, state, template):
    """Draw a tile's splats, nearest first, until every pixel has ended; returns the first pair not looked
    at."""
    stride = (1 + len(template)) * WIDTH
    open_tile(state, stride, inside[0], inside[1])
    exchange(state, stride)
    live, pair = living(state, stride), begin
    while pair < end and live:
        prefetch(flat, base + pairs[min(pair + AHEAD, end - 1), 0] * ROW)
        _draw(flat, base + pairs[pair, 0] * ROW, f32(left), f32(top), state, live, template)
        pair += 1
        if (pair - begin) % CHECK == 0:
            live = living(state, stride)
    exchange(state, stride)
    return pair


@njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def blend(workers, counter, splats, starts, pairs, order, template, image, alpha, ends):
    """Fill image (c, h, w, channels) over nothing, alpha (c, h, w) and each tile's end (c * tiles): pairs
    looked at.

    `template` is a tuple of as many float32 as there are channels: the kernel is compiled for their number.
    Threads take tiles (`models.splat.scheduling`) in the given `order`; the result does not depend on it.
    """
    height, width = alpha.shape[1:]
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    flat = splats.reshape(-1)
    for _ in prange(workers):
        state = aligned(TILE * (1 + len(template)) * WIDTH)
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
                end = _blend_tile(flat, base, pairs, starts[tile], end, left, top, inside, state, template)
                _close(state, template, image, alpha, c, left, top)
            ends[tile] = end
            item = claim(counter)
