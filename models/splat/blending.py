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
def _fresh(left, top, width, height):
    """Transmittance of a tile before anything is drawn: 1, and ended outside of the picture."""
    T = np.full((TILE, TILE), f32(-1.0), np.float32)
    T[: min(TILE, height - top), : min(TILE, width - left)] = f32(1.0)
    return T


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy", nogil=True)
def blend(splats, reach, starts, ids, width, height, image, alpha, ends):
    """Fill image (c, h, w, channels) over nothing, alpha (c, h, w), and each tile's end (c * tiles): pairs looked at."""
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    channels = image.shape[3]
    for tile in prange(starts.size - 1):
        c = tile // (across * down)
        left, top = (tile % across) * TILE, (tile // across % down) * TILE
        pair, end = starts[tile], starts[tile + 1]
        ends[tile] = end
        if pair == end:
            continue
        T = _fresh(left, top, width, height)
        acc = np.zeros((TILE, channels, TILE), np.float32)
        w = np.empty(TILE, np.float32)
        while pair < end:
            i = ids[pair]
            row = splats[c, i]
            mx, my, A, B, D, o = row[0] - f32(left), row[1] - f32(top), f32(0.5) * row[2], row[3], f32(0.5) * row[4], row[5]
            first, last = _rows(row[1], reach[c, i, 1], f32(top))
            for y in range(first, last + 1):
                dy = f32(y) + f32(0.5) - my
                Bdy, Ddy = B * dy, D * dy * dy
                for x in range(TILE):
                    dx = f32(x) + f32(0.5) - mx
                    s = max(A * dx * dx + Bdy * dx + Ddy, f32(0.0))
                    a = min(o * _exp_minus(min(s, FAR)), ALPHA_MAX)
                    t = T[y, x]
                    seen = a >= FAINT
                    left_over = t - a * t
                    drawn = seen & (left_over > T_MIN)
                    w[x] = a * t if drawn else f32(0.0)
                    T[y, x] = left_over if drawn else (-abs(t) if seen else t)
                for q in range(channels):
                    value = row[FIXED + q]
                    for x in range(TILE):
                        acc[y, q, x] += w[x] * value
            pair += 1
            if (pair - starts[tile]) % CHECK == 0 and T.max() < f32(0.0):
                break
        ends[tile] = pair
        for y in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                alpha[c, top + y, left + x] = f32(1.0) - abs(T[y, x])
                for q in range(channels):
                    image[c, top + y, left + x, q] = acc[y, q, x]


@njit(cache=True)
def _load_gradient(c, left, top, image, alpha, v_image, v_alpha, v_tile, behind):
    """The tile's part of the output gradients, by rows and channels, and S before the first splat."""
    channels, height, width = image.shape[3], image.shape[1], image.shape[2]
    for y in range(min(TILE, height - top)):
        for x in range(min(TILE, width - left)):
            v, u = top + y, left + x
            total = -v_alpha[c, v, u] * (f32(1.0) - alpha[c, v, u])
            for q in range(channels):
                v_tile[y, q, x] = v_image[c, v, u, q]
                total += v_image[c, v, u, q] * image[c, v, u, q]
            behind[y, x] = total


@njit(fastmath=True, cache=True)
def _reduce_row(row, mx, moments, v_channels, out):
    """Sum the 16 columns of a splat in a tile into its row of gradients.

    `moments` holds sum over rows of dL/de (e = exp(-s)) times 1, dy, dy^2.
    """
    A, B, D, o = row[2], row[3], row[4], row[5]
    v_o, x1, y1, xx, xy, yy = f32(0), f32(0), f32(0), f32(0), f32(0), f32(0)
    for x in range(TILE):
        dx = f32(x) + f32(0.5) - mx
        v_o += moments[0, x]
        x1 += moments[0, x] * dx
        xx += moments[0, x] * dx * dx
        y1 += moments[1, x]
        xy += moments[1, x] * dx
        yy += moments[2, x]
    out[0], out[1] = o * (A * x1 + B * y1), o * (B * x1 + D * y1)
    out[2], out[3], out[4], out[5] = -o * f32(0.5) * xx, -o * xy, -o * f32(0.5) * yy, v_o
    for q in range(v_channels.shape[0]):
        total = f32(0.0)
        for x in range(TILE):
            total += v_channels[q, x]
        out[FIXED + q] = total


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy", nogil=True)
def blend_vjp(splats, reach, starts, ids, ends, width, height, image, alpha, v_image, v_alpha, v_pairs):
    """Fill v_pairs (pairs, 6 + channels), the gradient of each (tile, splat) pair looked at, from output gradients."""
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    channels = image.shape[3]
    for tile in prange(starts.size - 1):
        if starts[tile] == ends[tile]:
            continue
        c = tile // (across * down)
        left, top = (tile % across) * TILE, (tile // across % down) * TILE
        T = _fresh(left, top, width, height)
        behind = np.zeros((TILE, TILE), np.float32)
        v_tile = np.zeros((TILE, channels, TILE), np.float32)
        _load_gradient(c, left, top, image, alpha, v_image, v_alpha, v_tile, behind)
        w, form = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
        v_channels, moments = np.empty((channels, TILE), np.float32), np.empty((3, TILE), np.float32)
        for pair in range(starts[tile], ends[tile]):
            i = ids[pair]
            row = splats[c, i]
            mx, my, A, B, D, o = row[0] - f32(left), row[1] - f32(top), f32(0.5) * row[2], row[3], f32(0.5) * row[4], row[5]
            first, last = _rows(row[1], reach[c, i, 1], f32(top))
            moments[:] = f32(0.0)
            v_channels[:] = f32(0.0)
            for y in range(first, last + 1):
                dy = f32(y) + f32(0.5) - my
                Bdy, Ddy = B * dy, D * dy * dy
                form[:] = f32(0.0)
                for q in range(channels):
                    value = row[FIXED + q]
                    for x in range(TILE):
                        form[x] += v_tile[y, q, x] * value
                for x in range(TILE):
                    dx = f32(x) + f32(0.5) - mx
                    s = max(A * dx * dx + Bdy * dx + Ddy, f32(0.0))
                    e = _exp_minus(min(s, FAR))
                    raw = o * e
                    a = min(raw, ALPHA_MAX)
                    t = T[y, x]
                    seen = a >= FAINT
                    left_over = t - a * t
                    drawn = seen & (left_over > T_MIN)
                    weight = a * t if drawn else f32(0.0)
                    rest = behind[y, x] - weight * form[x]
                    v_a = t * form[x] - rest / (f32(1.0) - a)
                    v_e = v_a * e if drawn & (raw <= ALPHA_MAX) else f32(0.0)
                    moments[0, x] += v_e
                    moments[1, x] += v_e * dy
                    moments[2, x] += v_e * dy * dy
                    w[x], behind[y, x] = weight, rest
                    T[y, x] = left_over if drawn else (-abs(t) if seen else t)
                for q in range(channels):
                    for x in range(TILE):
                        v_channels[q, x] += w[x] * v_tile[y, q, x]
            _reduce_row(row, mx, moments, v_channels, v_pairs[pair])


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
