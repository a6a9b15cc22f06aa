"""Front-to-back blending of binned splats and its gradient, in numba: a row of a tile is one vector of 16 pixels.

Per pixel: alpha = min(0.999, o exp(-s)), skipped below 1/255; a splat that would bring the transmittance T to 1e-4
or less ends the pixel and is not drawn (3D Gaussian Splatting, section 6, with gsplat 1.5.3's constants). A pixel that
has ended is marked by a negative T.

The backward pass also goes front to back: with S the part of the loss's linear form that is still behind the
current splat, dL/dalpha = T (g . c) - S / (1 - alpha); one number a pixel, however many channels there are. Each
(tile, splat) pair writes its own row of gradients, which are then summed in a fixed order: no atomics.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numba.cpython.unsafe.tuple import tuple_setitem

from models.splat.projection import ALPHA_MIN, FIXED, TILE

f32 = np.float32
ALPHA_MAX = f32(0.999)
FAINT = f32(ALPHA_MIN)
T_MIN = f32(1e-4)
FAR = f32(6.0)  # exp(-6) < 1/255: no splat is seen at a larger exponent
CHECK = 32  # splats between two tests of whether the whole tile has ended


@njit(fastmath=True, cache=True)
def _exp_minus(s):
    """exp(-s) for s in [0, 6], to 4e-6 of its value: Taylor to degree 6 at s / 16, squared four times."""
    x = s * f32(-1.0 / 16.0)
    e = f32(1.0) + x * (f32(1.0) + x * (f32(0.5) + x * (f32(1 / 6) + x * (f32(1 / 24) + x * (f32(1 / 120) + x * f32(1 / 720))))))
    e = e * e
    e = e * e
    e = e * e
    return e * e


@njit(cache=True)
def _rows(y, reach, top):
    """First and last row of the tile that the splat can touch."""
    first = math.ceil(max(y - reach - top - f32(0.5), f32(0.0)))
    last = math.floor(min(y + reach - top - f32(0.5), f32(TILE - 1)))
    return first, last


@njit(cache=True)
def _channels(row, template):
    """The splat's channels as a tuple like `template`, whose length the compiler knows."""
    values = template
    for q in range(len(template)):
        values = tuple_setitem(values, q, row[FIXED + q])  # pyright: ignore[reportCallIssue] (a numba intrinsic)
    return values


@njit(cache=True)
def _open(state, left, top, width, height):
    """Set a tile's transmittance before anything is drawn: 1, and ended outside of the picture."""
    state[:, :TILE] = f32(-1.0)
    state[: min(TILE, height - top), : min(TILE, width - left)] = f32(1.0)


# The two loops over channels are functions of their own: a loop variable that outlives its loop would make LLVM treat
# a row's first pixel apart, and the other fifteen would be unaligned (measured: the forward pass takes twice the time)
@njit(fastmath=True, cache=True)
def _accumulate(line, x, weight, values):
    for q in range(len(values)):
        line[(1 + q) * TILE + x] += weight * values[q]


@njit(fastmath=True, cache=True)
def _accumulate_vjp(line, x, weight, values, sums):
    """The gradient's linear form at the splat's channels; adds the gradient to the channels."""
    form = f32(0.0)
    for q in range(len(values)):
        form += line[(2 + q) * TILE + x] * values[q]
        sums[(3 + q) * TILE + x] += line[(2 + q) * TILE + x] * weight
    return form


@njit(fastmath=True, cache=True, error_model="numpy")
def _draw(row, left, top, reach, state, values):
    """Blend one splat into a tile: `state` holds, by rows, T and the channels so far, 16 pixels each."""
    mx, my, A, B, D, o = row[0] - left, row[1] - top, f32(0.5) * row[2], row[3], f32(0.5) * row[4], row[5]
    first, last = _rows(row[1], reach, top)
    for y in range(first, last + 1):
        dy = f32(y) + f32(0.5) - my
        Bdy, Ddy = B * dy, D * dy * dy
        line = state[y]
        for x in range(TILE):
            dx = f32(x) + f32(0.5) - mx
            s = max(A * dx * dx + Bdy * dx + Ddy, f32(0.0))
            a = min(o * _exp_minus(min(s, FAR)), ALPHA_MAX)
            t = line[x]
            weight = a * t
            left_over = t - weight
            drawn = (a >= FAINT) & (left_over > T_MIN)
            weight = weight if drawn else f32(0.0)
            line[x] = left_over if drawn else (-abs(t) if a >= FAINT else t)
            _accumulate(line, x, weight, values)


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy", nogil=True)
def blend(splats, reach, starts, ids, width, height, template, image, alpha, ends):
    """Fill image (c, h, w, channels) over nothing, alpha (c, h, w) and each tile's end (c * tiles): pairs looked at.

    `template` is a tuple of as many float32 as there are channels: the kernel is compiled for their number, so that
    the loop over a row's pixels becomes one block of vectors.
    """
    channels = len(template)
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    for tile in prange(starts.size - 1):
        c = tile // (across * down)
        left, top = (tile % across) * TILE, (tile // across % down) * TILE
        pair, end = starts[tile], starts[tile + 1]
        if pair < end:
            state = np.zeros((TILE, (1 + channels) * TILE), np.float32)
            _open(state, left, top, width, height)
            while pair < end:
                row = splats[c, ids[pair]]
                _draw(row, f32(left), f32(top), reach[c, ids[pair], 1], state, _channels(row, template))
                pair += 1
                if (pair - starts[tile]) % CHECK == 0 and state[:, :TILE].max() < f32(0.0):
                    break
            for y in range(min(TILE, height - top)):
                for x in range(min(TILE, width - left)):
                    alpha[c, top + y, left + x] = f32(1.0) - abs(state[y, x])
                    for q in range(channels):
                        image[c, top + y, left + x, q] = state[y, (1 + q) * TILE + x]
        ends[tile] = pair


@njit(cache=True)
def _load_gradient(c, left, top, image, alpha, v_image, v_alpha, state):
    """Put S before the first splat, and the output gradients of the tile, into the state's lines 1 and 2 onwards."""
    channels, height, width = image.shape[3], image.shape[1], image.shape[2]
    for y in range(min(TILE, height - top)):
        for x in range(min(TILE, width - left)):
            v, u = top + y, left + x
            total = -v_alpha[c, v, u] * (f32(1.0) - alpha[c, v, u])
            for q in range(channels):
                state[y, (2 + q) * TILE + x] = v_image[c, v, u, q]
                total += v_image[c, v, u, q] * image[c, v, u, q]
            state[y, TILE + x] = total


@njit(fastmath=True, cache=True)
def _reduce_row(row, mx, sums, out):
    """Sum the 16 columns of a splat in a tile into its row of gradients.

    `sums` holds sums over rows: dL/de (e = exp(-s)) times 1, dy, dy^2, then weight times output gradient per channel.
    """
    A, B, D, o = row[2], row[3], row[4], row[5]
    v_o, x1, y1, xx, xy, yy = f32(0), f32(0), f32(0), f32(0), f32(0), f32(0)
    for x in range(TILE):
        dx = f32(x) + f32(0.5) - mx
        v_o += sums[x]
        x1 += sums[x] * dx
        xx += sums[x] * dx * dx
        y1 += sums[TILE + x]
        xy += sums[TILE + x] * dx
        yy += sums[2 * TILE + x]
    out[0], out[1] = o * (A * x1 + B * y1), o * (B * x1 + D * y1)
    out[2], out[3], out[4], out[5] = -o * f32(0.5) * xx, -o * xy, -o * f32(0.5) * yy, v_o
    for q in range(sums.size // TILE - 3):
        total = f32(0.0)
        for x in range(TILE):
            total += sums[(3 + q) * TILE + x]
        out[FIXED + q] = total


@njit(fastmath=True, cache=True, error_model="numpy")
def _draw_vjp(row, left, top, reach, state, values, sums, out):
    """The gradient of one splat in a tile; `state` holds T, S and the output gradients, `sums` is scratch."""
    mx, my, A, B, D, o = row[0] - left, row[1] - top, f32(0.5) * row[2], row[3], f32(0.5) * row[4], row[5]
    first, last = _rows(row[1], reach, top)
    sums[:] = f32(0.0)
    for y in range(first, last + 1):
        dy = f32(y) + f32(0.5) - my
        Bdy, Ddy = B * dy, D * dy * dy
        line = state[y]
        for x in range(TILE):
            dx = f32(x) + f32(0.5) - mx
            s = max(A * dx * dx + Bdy * dx + Ddy, f32(0.0))
            e = _exp_minus(min(s, FAR))
            raw = o * e
            a = min(raw, ALPHA_MAX)
            t = line[x]
            weight = a * t
            left_over = t - weight
            drawn = (a >= FAINT) & (left_over > T_MIN)
            weight = weight if drawn else f32(0.0)
            line[x] = left_over if drawn else (-abs(t) if a >= FAINT else t)
            form = _accumulate_vjp(line, x, weight, values, sums)
            rest = line[TILE + x] - weight * form
            line[TILE + x] = rest
            v_e = e * (t * form - rest / (f32(1.0) - a))
            v_e = v_e if drawn & (raw <= ALPHA_MAX) else f32(0.0)
            sums[x] += v_e
            sums[TILE + x] += v_e * dy
            sums[2 * TILE + x] += v_e * dy * dy
    _reduce_row(row, mx, sums, out)


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy", nogil=True)
def blend_vjp(splats, reach, starts, ids, ends, width, height, template, image, alpha, v_image, v_alpha, v_pairs):
    """Fill v_pairs (pairs, 6 + channels), the gradient of each (tile, splat) pair looked at, from output gradients."""
    channels = len(template)
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    for tile in prange(starts.size - 1):
        if starts[tile] == ends[tile]:
            continue
        c = tile // (across * down)
        left, top = (tile % across) * TILE, (tile // across % down) * TILE
        state = np.zeros((TILE, (2 + channels) * TILE), np.float32)
        _open(state, left, top, width, height)
        _load_gradient(c, left, top, image, alpha, v_image, v_alpha, state)
        sums = np.empty((3 + channels) * TILE, np.float32)
        for pair in range(starts[tile], ends[tile]):
            row = splats[c, ids[pair]]
            _draw_vjp(row, f32(left), f32(top), reach[c, ids[pair], 1], state, _channels(row, template), sums, v_pairs[pair])


@njit(parallel=True, cache=True, nogil=True)
def gather_pairs(starts, ids, ends, v_pairs, v_splats):
    """Add each pair's gradient to its splat (c, n, .), tile by tile; cameras in parallel."""
    tiles = (starts.size - 1) // v_splats.shape[0]
    for c in prange(v_splats.shape[0]):
        for tile in range(c * tiles, (c + 1) * tiles):
            for pair in range(starts[tile], ends[tile]):
                out, v = v_splats[c, ids[pair]], v_pairs[pair]
                for k in range(out.size):
                    out[k] += v[k]
