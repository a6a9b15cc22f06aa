"""The gradient of the projection on the CPU, sixteen Gaussians at once: from sums over pixels to the
Gaussians and the cameras."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from turnaround.models.splat.cpu.algebra import (
    added,
    combine,
    dot,
    mat_mat,
    mat_vec,
    normalized,
    quat_matrix,
    quat_matrix_vjp,
    scaled,
    transpose,
    vec_mat,
)
from turnaround.models.splat.cpu.lane_memory import (
    aligned,
    load,
    load_each,
    load_interleaved,
    store,
    store_interleaved,
)
from turnaround.models.splat.cpu.lane_tuples import transposed
from turnaround.models.splat.cpu.lanes import WIDTH, select, spread
from turnaround.models.splat.cpu.projection import (
    CHUNKS,
    FOUR,
    ONE_COLUMN,
    ROW,
    THREE,
    camera_numbers,
    columns,
    facing_axis,
    jacobian,
    screen_axes,
)
from turnaround.models.splat.cpu.scheduling import claim

f32 = np.float32
SIXTEEN = (f32(0),) * WIDTH


@njit
def _covariance_vjp(splat, v, u0, u1):
    """Gradients to u0 and u1 through covariance = Gram(u0, u1) + blur and conic = its inverse X: -X V X."""
    A, B, D = splat[2], splat[3], splat[4]
    v_A, v_B, v_D = v[2], f32(0.5) * v[3], v[4]
    left_aa, left_ab = A * v_A + B * v_B, A * v_B + B * v_D
    left_ba, left_bb = B * v_A + D * v_B, B * v_B + D * v_D
    aa, ab, bb = left_aa * A + left_ab * B, left_aa * B + left_ab * D, left_ba * B + left_bb * D
    minus = f32(-2.0)
    return combine(minus * aa, u0, minus * ab, u1), combine(minus * ab, u0, minus * bb, u1)


@njit
def _jacobian_vjp(C, s, J0, J1, rz, tx, ty, lens, limits, v_u0, v_u1):
    """Gradients through u = J C S to the camera-frame axes C, the scales and the camera-frame centre p (by
    J)."""
    w0, w1 = scaled(v_u0, s), scaled(v_u1, s)
    c0, c1, c2 = (C[0], C[1], C[2]), (C[3], C[4], C[5]), (C[6], C[7], C[8])
    last = combine(J0[1], w0, J1[1], w1)
    v_C = (
        J0[0] * w0[0],
        J0[0] * w0[1],
        J0[0] * w0[2],
        J1[0] * w1[0],
        J1[0] * w1[1],
        J1[0] * w1[2],
        last[0],
        last[1],
        last[2],
    )
    v_s = added(scaled(v_u0, combine(J0[0], c0, J0[1], c2)), scaled(v_u1, combine(J1[0], c1, J1[1], c2)))
    v_kx, v_ky = dot(w0, c2), dot(w1, c2)
    # J0[1] = -fx tx / z: through 1 / z always, through tx = x / z only where it is not held at the limit
    v_z = (dot(w0, c0) * J0[0] + dot(w1, c1) * J1[0] + v_kx * J0[1] + v_ky * J1[1]) * (f32(0.0) - rz)
    zero = spread(f32(0.0))
    v_x = select((tx > limits[0]) & (tx < limits[1]), v_kx * J0[0] * (f32(0.0) - rz), zero)
    v_y = select((ty > limits[2]) & (ty < limits[3]), v_ky * J1[0] * (f32(0.0) - rz), zero)
    return v_C, v_s, (v_x, v_y, v_z - v_x * tx - v_y * ty)


@njit
def _from_moments(splat, w):
    """Gradients to x, y, A, B, D and opacity, given the pixels' sums (`models.splat.blending._draw_vjp`)."""
    _, _, A, B, D, o = splat[:6]
    half = f32(-0.5) * o
    return (
        o * (A * w[1] + B * w[3]),
        o * (B * w[1] + D * w[3]),
        half * w[2],
        (f32(0.0) - o) * w[4],
        half * w[5],
        w[0],
    )


@njit
def _normal_vjp(first, second, sign, v, v_Q):
    """Adds the gradient of the shown normal to that of the axes, where each is the shortest."""
    rest = (
        select(first, f32(0.0), sign * v[0]),
        select(first, f32(0.0), sign * v[1]),
        select(first, f32(0.0), sign * v[2]),
    )
    x, y, z = sign * v[0] - rest[0], sign * v[1] - rest[1], sign * v[2] - rest[2]
    middle = (
        select(second, rest[0], f32(0.0)),
        select(second, rest[1], f32(0.0)),
        select(second, rest[2], f32(0.0)),
    )
    return (
        v_Q[0] + x,
        v_Q[1] + middle[0],
        v_Q[2] + rest[0] - middle[0],
        v_Q[3] + y,
        v_Q[4] + middle[1],
        v_Q[5] + rest[1] - middle[1],
        v_Q[6] + z,
        v_Q[7] + middle[2],
        v_Q[8] + rest[2] - middle[2],
    )


@njit
def _gaussian_vjp(m, q, s, camera, splat, w, geometry):
    """Gradients of sixteen splats: to mean, quaternion, scales, opacity, and to the camera's R (without the
    centre's part) and t."""
    R, t, lens, limits = camera
    seen = splat[5] > f32(0.0)
    p = added(mat_vec(R, m), t)
    # where nothing is seen all gradients are zero: keep what they multiply finite
    p = (select(seen, p[0], f32(0.0)), select(seen, p[1], f32(0.0)), select(seen, p[2], f32(1.0)))
    s = (select(seen, s[0], f32(1.0)), select(seen, s[1], f32(1.0)), select(seen, s[2], f32(1.0)))
    unit, inverse = normalized(q)
    Q = quat_matrix(unit)
    C = mat_mat(R, Q)
    J0, J1, tx, ty = jacobian(p, lens, limits)
    u0, u1 = screen_axes(C, J0, J1, s)
    v = _from_moments(splat, w)
    v_u0, v_u1 = _covariance_vjp(splat, v, u0, u1)
    rz = f32(1.0) / p[2]
    v_C, v_s, v_p = _jacobian_vjp(C, s, J0, J1, rz, tx, ty, lens, limits, v_u0, v_u1)
    gx, gy = J0[0] * v[0], J1[0] * v[1]
    v_z = v_p[2] - (gx * p[0] + gy * p[1]) * rz
    v_Q = mat_mat(transpose(R), v_C)
    if geometry:
        v_z = v_z + w[9]
        first, second, sign = facing_axis(Q, C, p, s)
        v_Q = _normal_vjp(first, second, sign, w[10:13], v_Q)
    v_p = (v_p[0] + gx, v_p[1] + gy, v_z)
    return vec_mat(v_p, R), quat_matrix_vjp(unit, inverse, v_Q), v_s, v[5], mat_mat(v_C, transpose(Q)), v_p


@njit
def _add(array, i, vectors, template):
    """Add sixteen rows to those from row i on."""
    place = i * len(template)
    before = load_interleaved(array.reshape(-1), place, template)
    if len(template) == 1:
        store(array.reshape(-1), place, before[0] + vectors[0])
    elif len(template) == 3:
        store_interleaved(array.reshape(-1), place, added(before, vectors))
    else:
        a, b = before, vectors
        store_interleaved(array.reshape(-1), place, (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]))


@njit
def _sum_pairs(slots, first, v_pairs, rows):
    """Sixteen splats' sums of their pairs' gradients, as columns."""
    for j in range(WIDTH):
        total = spread(f32(0.0))
        for k in range(slots[first + j], slots[first + j + 1]):
            total = total + load(v_pairs, k * ROW)
        store(rows, j * WIDTH, total)
    return transposed(load_each(rows, 0, SIXTEEN))


@njit
def _chunk_vjp(
    chunk,
    c,
    means,
    quats,
    scales,
    camera,
    geometry,
    splats,
    slots,
    v_pairs,
    v_means,
    v_quats,
    v_scales,
    v_opacities,
    v_colors,
    rows,
    pose,
):
    """What `project_vjp` does with one chunk of the Gaussians of one camera; `pose` gets the sums for T,
    apart by lanes."""
    count = splats.shape[1]
    flat, flat_v, scratch = splats.reshape(-1), v_pairs.reshape(-1), pose[12 * WIDTH :]
    for k in range(12 * WIDTH):
        pose[k] = f32(0.0)
    for block in range(count // WIDTH * chunk // CHUNKS, count // WIDTH * (chunk + 1) // CHUNKS):
        i = block * WIDTH
        place = c * count + i
        if slots[place] == slots[place + WIDTH]:
            continue
        w = _sum_pairs(slots, place, flat_v, rows)
        splat = transposed(load_each(flat, place * ROW, SIXTEEN))
        m, q, s = (
            columns(means, i, THREE, scratch),
            columns(quats, i, FOUR, scratch),
            columns(scales, i, THREE, scratch),
        )
        v_m, v_q, v_s, v_o, v_R, v_p = _gaussian_vjp(m, q, s, camera, splat, w, geometry)
        _add(v_means, i, v_m, THREE)
        _add(v_quats, i, v_q, FOUR)
        _add(v_scales, i, v_s, THREE)
        _add(v_opacities, i, (v_o,), ONE_COLUMN)
        _add(v_colors, i, w[6:9], THREE)
        _add_pose(pose, v_R, v_p, m)


@njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def project_vjp(
    workers,
    counter,
    means,
    quats,
    scales,
    K,
    T,
    width,
    height,
    geometry,
    splats,
    slots,
    v_pairs,
    v_means,
    v_quats,
    v_scales,
    v_opacities,
    v_colors,
    v_T,
):
    """Add the gradients of all cameras to those of n' Gaussians, and fill v_T (c, CHUNKS, 3, 4).

    Sums over cameras in their order, and over Gaussians in fixed chunks: the same bits whatever the threads.
    """
    for _ in prange(workers):
        rows, pose = aligned(WIDTH * WIDTH), aligned((12 + 4) * WIDTH)
        chunk = claim(counter)
        while chunk < CHUNKS:
            for c in range(splats.shape[0]):
                camera = camera_numbers(K[c], T[c], width, height)
                _chunk_vjp(
                    chunk,
                    c,
                    means,
                    quats,
                    scales,
                    camera,
                    geometry,
                    splats,
                    slots,
                    v_pairs,
                    v_means,
                    v_quats,
                    v_scales,
                    v_opacities,
                    v_colors,
                    rows,
                    pose,
                )
                for k in range(12):
                    total = 0.0
                    for lane in range(WIDTH):
                        total += pose[k * WIDTH + lane]
                    v_T[c, chunk, k // 4, k % 4] = total
            chunk = claim(counter)


@njit
def _add_pose(pose, v_R, v_p, m):
    """Add sixteen gradients to the 3x4 entries of T, kept apart by lanes."""
    for k in range(3):
        for j in range(3):
            place = (4 * k + j) * WIDTH
            store(pose, place, load(pose, place) + v_R[3 * k + j] + v_p[k] * m[j])
        place = (4 * k + 3) * WIDTH
        store(pose, place, load(pose, place) + v_p[k])
