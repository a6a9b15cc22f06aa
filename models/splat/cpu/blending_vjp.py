"""The gradient of front-to-back blending (`models.splat.blending`), in numba.

It also goes front to back: with S the part of the loss's linear form that is still behind the
current splat, dL/dalpha = T (g . c) - S / (1 - alpha); one number a pixel, however many channels there are.
Each (tile, splat) pair writes its own row of gradients, which are then summed in a fixed order: no atomics.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from turnaround.models.splat.cpu.blending import (
    AHEAD,
    ALPHA_MAX,
    CHECK,
    FAR,
    blocks,
    channels_of,
    exchange,
    living,
    open_tile,
    step,
)
from turnaround.models.splat.cpu.lane_memory import (
    aligned,
    load,
    load_each,
    load_interleaved,
    prefetch,
    prefetch_to_write,
    store,
    store_each,
)
from turnaround.models.splat.cpu.lane_tuples import add_scaled, nothing, sums, weighted
from turnaround.models.splat.cpu.lanes import (
    WIDTH,
    across,
    down,
    lowest_bit,
    maximum,
    minimum,
    select,
    spread,
)
from turnaround.models.splat.cpu.projection import REACH, ROW, TILE
from turnaround.models.splat.cpu.scheduling import claim

f32 = np.float32


@njit
def _load_gradient(c, left, top, image, alpha, v_image, v_alpha, template, state):
    """Put S before the first splat, and the output gradients of the tile, into the state's lines 1 and 2
    onwards."""
    channels, stride = len(template), (2 + len(template)) * WIDTH
    height, width = alpha.shape[1:]
    flat, flat_v = image.reshape(-1), v_image.reshape(-1)
    for y in range(min(TILE, height - top)):
        line = y * stride
        place = (c * height + top + y) * width + left
        if left + TILE <= width:
            v = load_interleaved(flat_v, place * channels, template)
            store_each(state, line + 2 * WIDTH, v)
            total = load(v_alpha.reshape(-1), place) * (load(alpha.reshape(-1), place) - f32(1.0))
            pixels = load_interleaved(flat, place * channels, template)
            for q in range(channels):
                total = total + v[q] * pixels[q]
            store(state, line + WIDTH, total)
        else:
            for x in range(width - left):
                rest = -v_alpha[c, top + y, left + x] * (f32(1.0) - alpha[c, top + y, left + x])
                for q in range(channels):
                    state[line + (2 + q) * WIDTH + x] = flat_v[(place + x) * channels + q]
                    rest += flat_v[(place + x) * channels + q] * flat[(place + x) * channels + q]
                state[line + WIDTH + x] = rest


@njit
def _draw_vjp(splats, at, left, top, state, live, template, zeros, v_pairs, slot):
    """The gradient of one splat in the blocks `live` of a tile.

    `state` holds, by blocks, T, S and the output gradients. Writes sums over the tile's pixels: of v = dL/ds
    / o times 1, dx, dx^2, dy, dx dy, dy^2, and per channel.
    """
    stride = (2 + len(template)) * WIDTH
    x, y = splats[at] - left, splats[at + 1] - top
    half_A, B, half_D, o = (
        f32(0.5) * splats[at + 2],
        splats[at + 3],
        f32(0.5) * splats[at + 4],
        splats[at + 5],
    )
    mine = live & blocks(x, y, splats[at + REACH + 1], splats[at + REACH])
    if mine == 0:
        store(v_pairs, slot, spread(f32(0.0)))
        return
    values = channels_of(splats, at, template)
    v_values, zero = zeros, spread(f32(0.0))
    v_0, v_x, v_xx, v_y, v_xy, v_yy = zero, zero, zero, zero, zero, zero
    while mine:
        block = lowest_bit(mine)
        mine &= mine - 1
        dx, dy = (
            across() + (f32(4 * (block % 4)) + f32(0.5) - x),
            down() + (f32(4 * (block // 4)) + f32(0.5) - y),
        )
        s = minimum(maximum((dx * half_A + dy * B) * dx + dy * dy * half_D, f32(0.0)), FAR)
        line = block * stride
        before = load(state, line)
        t, weight, e, a, drawn = step(before, s, o)
        store(state, line, t)
        v = load_each(state, line + 2 * WIDTH, template)
        form = weighted(v, values)
        v_values = add_scaled(v_values, v, weight)
        rest = load(state, line + WIDTH) - weight * form
        store(state, line + WIDTH, rest)
        v_e = e * (before * form - rest / (f32(1.0) - a))
        v_e = select(drawn & (o * e <= ALPHA_MAX), v_e, f32(0.0))
        g_x, g_y = v_e * dx, v_e * dy
        v_0, v_x, v_xx = v_0 + v_e, v_x + g_x, v_xx + g_x * dx
        v_y, v_xy, v_yy = v_y + g_y, v_xy + g_x * dy, v_yy + g_y * dy
    store(v_pairs, slot, sums((v_0, v_x, v_xx, v_y, v_xy, v_yy, *v_values)))


@njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def blend_vjp(
    workers, counter, splats, starts, pairs, ends, order, template, image, alpha, v_image, v_alpha, v_pairs
):
    """Fill v_pairs (pairs, 16), the gradient of each (tile, splat) pair, at the pair's slot, from output
    gradients."""
    height, width = alpha.shape[1:]
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    flat, flat_v, stride = splats.reshape(-1), v_pairs.reshape(-1), (2 + len(template)) * WIDTH
    for _ in prange(workers):
        state, zeros, live = aligned(TILE * stride), nothing(template), 0
        item = claim(counter)
        while item < order.size:
            tile = order[item]
            c = tile // (across * down)
            left, top = (tile % across) * TILE, (tile // across % down) * TILE
            base, end = c * splats.shape[1] * ROW, ends[tile]
            if starts[tile] < end:
                open_tile(state, stride, width - left, height - top)
                _load_gradient(c, left, top, image, alpha, v_image, v_alpha, template, state)
                exchange(state, stride)
            for pair in range(starts[tile], end):
                soon = min(pair + AHEAD, end - 1)
                prefetch(flat, base + pairs[soon, 0] * ROW)
                prefetch_to_write(flat_v, np.int64(pairs[soon, 1]) * ROW)
                at, slot = base + pairs[pair, 0] * ROW, np.int64(pairs[pair, 1]) * ROW
                if (pair - starts[tile]) % CHECK == 0:
                    live = living(state, stride)
                _draw_vjp(flat, at, f32(left), f32(top), state, live, template, zeros, flat_v, slot)
            for pair in range(end, starts[tile + 1]):  # not looked at
                store(flat_v, np.int64(pairs[pair, 1]) * ROW, spread(f32(0.0)))
            item = claim(counter)
