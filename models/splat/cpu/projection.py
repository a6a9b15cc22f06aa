"""Projection of Gaussians to pictures on the CPU: EWA splatting in numba, sixteen Gaussians at once.

The covariance of a splat is J C J^T + 0.3 px^2, C the covariance in the camera's frame and J the Jacobian of
the perspective projection at the centre (Zwicker et al. 2001, EWA splatting, section 6.2). Float32
throughout: the covariance is a Gram matrix, whose determinant is a sum of positive terms (see
`_determinant`), so that flat and needle-like Gaussians lose nothing.

A splat is a row of 16 numbers, one line of the cache: centre x and y, conic A, B, D (the exponent is
-(A dx^2 / 2 + B dx dy + D dy^2 / 2)), opacity, reach (pixels that it can touch above and below its centre,
and to its left and right), then what is blended: r, g, b [, depth, normal x, y, z]. Arrays of splats have
room for a multiple of sixteen.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from turnaround.models.splat.cpu.algebra import added, cross, dot, mat_mat, mat_vec, normalized, quat_matrix
from turnaround.models.splat.cpu.lane_memory import load_interleaved, store, store_each, store_interleaved
from turnaround.models.splat.cpu.lane_tuples import transposed
from turnaround.models.splat.cpu.lanes import (
    WIDTH,
    bits,
    ceil,
    exponent,
    floor,
    mantissa,
    maximum,
    minimum,
    select,
    spread,
    square_root,
)

f32 = np.float32
TILE = 16  # pixels
ROW, REACH, CHANNELS = 16, 6, 8  # numbers of a splat, and where its reach and its channels are
BLUR = f32(0.3)  # px^2, gsplat's eps2d
NEAR = f32(0.01)  # metres, gsplat's near_plane
ALPHA_MIN = 1.0 / 255.0  # gsplat's ALPHA_THRESHOLD
MARGIN = (
    0.3  # the Jacobian is taken at most this share of the half picture outside of it (gsplat's persp_proj)
)
CHUNKS = 64  # fixed number of parts of the sums over Gaussians, so that results do not depend on the threads
SLACK = f32(1e-3)  # pixels: the alpha test decides at the rim, not the rounding of the reach
ONE_COLUMN, THREE, FOUR = ((f32(0),) * k for k in (1, 3, 4))  # templates of the inputs' rows


@njit
def camera_numbers(K, T, width, height):
    """Rotation, translation, focal lengths and principal point, and the limits of x / z and y / z of one
    camera."""
    R = (T[0, 0], T[0, 1], T[0, 2], T[1, 0], T[1, 1], T[1, 2], T[2, 0], T[2, 1], T[2, 2])
    t = (T[0, 3], T[1, 3], T[2, 3])
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    mx, my = f32(MARGIN * 0.5 * width) / fx, f32(MARGIN * 0.5 * height) / fy
    return (
        R,
        t,
        (fx, fy, cx, cy),
        (-cx / fx - mx, (f32(width) - cx) / fx + mx, -cy / fy - my, (f32(height) - cy) / fy + my),
    )


@njit
def columns(array, i, template, scratch):
    """The columns of rows i to i + 15 of a contiguous (n, k) or (n,) array; zeros behind its end. `scratch`
    has 16 k numbers."""
    width, flat = len(template), array.reshape(-1)
    if (i + WIDTH) * width <= flat.size:
        return load_interleaved(flat, i * width, template)
    for j in range(WIDTH * width):
        scratch[j] = flat[i * width + j] if i * width + j < flat.size else f32(0.0)
    return load_interleaved(scratch, 0, template)


@njit
def jacobian(p, lens, limits):
    """Entries of J that are not zero, by rows, and the tangents x / z and y / z that it is taken at."""
    rz = f32(1.0) / p[2]
    tx = minimum(maximum(p[0] * rz, limits[0]), limits[1])
    ty = minimum(maximum(p[1] * rz, limits[2]), limits[3])
    return (rz * lens[0], rz * tx * -lens[0]), (rz * lens[1], rz * ty * -lens[1]), tx, ty


@njit
def screen_axes(C, J0, J1, s):
    """The rows of J C S, of which the splat's covariance is the Gram matrix; `C` has the Gaussian's axes as
    columns."""
    u0 = (
        (C[0] * J0[0] + C[6] * J0[1]) * s[0],
        (C[1] * J0[0] + C[7] * J0[1]) * s[1],
        (C[2] * J0[0] + C[8] * J0[1]) * s[2],
    )
    u1 = (
        (C[3] * J1[0] + C[6] * J1[1]) * s[0],
        (C[4] * J1[0] + C[7] * J1[1]) * s[1],
        (C[5] * J1[0] + C[8] * J1[1]) * s[2],
    )
    return u0, u1


@njit
def _determinant(u0, u1, a, d):
    """Of the Gram matrix plus the blur: |u0 x u1|^2 + blur (a + d) + blur^2, with no difference of large
    numbers."""
    area = cross(u0, u1)
    return dot(area, area) + (a + d + BLUR) * BLUR


@njit
def _sigmas(opacity):
    """How many standard deviations from the centre alpha falls to 1/255: sqrt(2 ln(255 opacity)), at most
    2e-5 too large."""
    ratio = maximum(opacity * f32(255.0), f32(1.0))
    m = mantissa(ratio)
    p = m * f32(0.0448735502) + f32(-0.41656328)
    p = p * m + f32(1.63114769)
    p = p * m + f32(-3.55079156)
    p = p * m + f32(5.09170998)
    p = p * m + f32(-2.80036384)
    return square_root(f32(2.0 * np.log(2.0)) * maximum(exponent(ratio) + p + f32(2e-5), f32(0.0)))


@njit
def facing_axis(Q, C, p, s):
    """Where each axis is the shortest (the first of equals), and the sign that turns it to the camera."""
    first = (s[0] <= s[1]) & (s[0] <= s[2])
    second = s[1] <= s[2]
    x = select(first, C[0], select(second, C[1], C[2]))
    y = select(first, C[3], select(second, C[4], C[5]))
    z = select(first, C[6], select(second, C[7], C[8]))
    return first, second, select(dot((x, y, z), p) > f32(0.0), f32(-1.0), f32(1.0))


@njit
def _boxes(x, y, rx, ry, width, height, seen):
    """First and last tile across and down; (0, -1, 0, -1) where nothing is seen."""
    share, half = f32(1.0 / TILE), f32(0.5)
    x0 = floor(maximum(ceil(x - rx - half), f32(0.0)) * share)
    x1 = floor(minimum(floor(x + rx - half), f32(width - 1)) * share)
    y0 = floor(maximum(ceil(y - ry - half), f32(0.0)) * share)
    y1 = floor(minimum(floor(y + ry - half), f32(height - 1)) * share)
    return (
        select(seen, x0, f32(0.0)),
        select(seen, x1, f32(-1.0)),
        select(seen, y0, f32(0.0)),
        select(seen, y1, f32(-1.0)),
    )


@njit
def _project(m, q, s, opacity, color, camera, width, height, geometry):
    """Sixteen Gaussians: the columns of their splats, their depths and their boxes."""
    R, t, lens, limits = camera
    p = added(mat_vec(R, m), t)
    seen = (p[2] >= NEAR) & (opacity >= f32(ALPHA_MIN))
    p = (p[0], p[1], select(p[2] >= NEAR, p[2], f32(1.0)))
    Q = quat_matrix(normalized(q)[0])
    C = mat_mat(R, Q)
    J0, J1, _, _ = jacobian(p, lens, limits)
    u0, u1 = screen_axes(C, J0, J1, s)
    a, b, d = dot(u0, u0), dot(u0, u1), dot(u1, u1)
    inverse = f32(1.0) / _determinant(u0, u1, a, d)
    a, d = a + BLUR, d + BLUR
    x, y = p[0] * J0[0] + lens[2], p[1] * J1[0] + lens[3]
    k = _sigmas(opacity)
    rx, ry = k * square_root(a) + SLACK, k * square_root(d) + SLACK
    seen = (
        seen
        & (x + rx > f32(0.5))
        & (x - rx < f32(width - 0.5))
        & (y + ry > f32(0.5))
        & (y - ry < f32(height - 0.5))
    )
    seen = seen & (inverse > f32(0.0))
    zero = spread(f32(0.0))
    A, B, D, o = (
        select(seen, d * inverse, zero),
        select(seen, zero - b * inverse, zero),
        select(seen, a * inverse, zero),
        opacity,
    )
    depth, nx, ny, nz = zero, zero, zero, zero
    if geometry:
        first, second, sign = facing_axis(Q, C, p, s)
        depth = p[2]
        nx = sign * select(first, Q[0], select(second, Q[1], Q[2]))
        ny = sign * select(first, Q[3], select(second, Q[4], Q[5]))
        nz = sign * select(first, Q[6], select(second, Q[7], Q[8]))
    o = select(seen, o, zero)
    row = (x, y, A, B, D, o, ry, rx, color[0], color[1], color[2], depth, nx, ny, nz, zero)
    return row, p[2], _boxes(x, y, rx, ry, width, height, seen), seen


@njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def project(means, quats, scales, opacities, colors, K, T, width, height, geometry, splats, depths, boxes):
    """Fill splats (c, n', 16), depths (c, n') and boxes (c, n', 4) of inclusive tiles; n' is n rounded up to
    sixteens.

    A Gaussian that is culled (nearer than NEAR, too faint, off the picture) gets an empty box: x1 < x0.
    """
    cameras, count = splats.shape[:2]
    blocks = count // WIDTH
    for item in prange(cameras * CHUNKS):
        c, chunk = item // CHUNKS, item % CHUNKS
        camera = camera_numbers(K[c], T[c], width, height)
        scratch = np.empty(4 * WIDTH, np.float32)
        for block in range(blocks * chunk // CHUNKS, blocks * (chunk + 1) // CHUNKS):
            i = block * WIDTH
            m, q, s = (
                columns(means, i, THREE, scratch),
                columns(quats, i, FOUR, scratch),
                columns(scales, i, THREE, scratch),
            )
            opacity, color = columns(opacities, i, ONE_COLUMN, scratch)[0], columns(colors, i, THREE, scratch)
            row, depth, box, seen = _project(m, q, s, opacity, color, camera, width, height, geometry)
            place = c * count + i
            store_interleaved(boxes.reshape(-1), place * 4, box)
            if bits(seen):
                store(depths.reshape(-1), place, depth)
                store_each(splats.reshape(-1), place * ROW, transposed(row))
