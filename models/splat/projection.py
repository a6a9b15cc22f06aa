"""Projection of Gaussians to pictures on the CPU and its gradient: EWA splatting in numba, all cameras in one pass.

The covariance of a splat is J C J^T + 0.3 px^2, C the covariance in the camera's frame and J the Jacobian of the
perspective projection at the centre (Zwicker et al. 2001, EWA splatting, section 6.2). Inputs are float32, the
arithmetic here is float64: it is a small part of the time, and the covariances of flat Gaussians are ill conditioned.

A splat is a row of `FIXED + channels` numbers: centre x and y, conic A, B, D (the exponent is
-(A dx^2 / 2 + B dx dy + D dy^2 / 2)), opacity, then what is blended: r, g, b [, depth, normal x, y, z].
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from models.splat.algebra import combine, dot, mat_mat, mat_vec, normalized, quat_matrix, quat_matrix_vjp, transposed, vec_mat

TILE = 16  # pixels
FIXED = 6  # numbers of a splat before its channels
BLUR = 0.3  # px^2, gsplat's eps2d
NEAR = 0.01  # metres, gsplat's near_plane
ALPHA_MIN = 1.0 / 255.0  # gsplat's ALPHA_THRESHOLD
MARGIN = 0.3  # the Jacobian is taken at most this share of the half picture outside of it (gsplat's persp_proj)
CHUNKS = 64  # fixed number of parts of the sums over Gaussians, so that results do not depend on the threads


@njit(cache=True)
def _camera(K, T, width, height):
    """Rotation, translation, focal lengths, principal point, and the limits of x / z and y / z of one camera."""
    R = (T[0, 0], T[0, 1], T[0, 2], T[1, 0], T[1, 1], T[1, 2], T[2, 0], T[2, 1], T[2, 2])
    t = (T[0, 3], T[1, 3], T[2, 3])
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    mx, my = MARGIN * 0.5 * width / fx, MARGIN * 0.5 * height / fy
    return R, t, (fx, fy, cx, cy), (-cx / fx - mx, (width - cx) / fx + mx, -cy / fy - my, (height - cy) / fy + my)


@njit(cache=True)
def _screen(C, p, scales, lens, limits):
    """The rows u0, u1 of J C S, of which the splat's covariance is the Gram matrix, and the tangents used in J.

    `C` has the Gaussian's axes in the camera's frame as columns.
    """
    fx, fy = lens[0], lens[1]
    tx, ty = min(limits[1], max(limits[0], p[0] / p[2])), min(limits[3], max(limits[2], p[1] / p[2]))
    j0, j1, kx, ky = fx / p[2], fy / p[2], -fx * tx / p[2], -fy * ty / p[2]
    u0 = (
        (j0 * C[0] + kx * C[6]) * scales[0],
        (j0 * C[1] + kx * C[7]) * scales[1],
        (j0 * C[2] + kx * C[8]) * scales[2],
    )
    u1 = (
        (j1 * C[3] + ky * C[6]) * scales[0],
        (j1 * C[4] + ky * C[7]) * scales[1],
        (j1 * C[5] + ky * C[8]) * scales[2],
    )
    return u0, u1, tx, ty


@njit(cache=True)
def _shortest(scales):
    """Index of the shortest axis (the first of equals)."""
    if scales[0] <= scales[1] and scales[0] <= scales[2]:
        return 0
    return 1 if scales[1] <= scales[2] else 2


@njit(cache=True)
def _towards_camera(C, p, axis):
    """+1 or -1: which of the axis's two directions looks to the camera."""
    return -1.0 if C[axis] * p[0] + C[3 + axis] * p[1] + C[6 + axis] * p[2] > 0.0 else 1.0


@njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def project(means, quats, scales, opacities, colors, K, T, width, height, splats, depths, reach, boxes):
    """Fill splats (c, n, 6 + channels), depths (c, n), reach (c, n, 2) in pixels and boxes (c, n, 4), inclusive tiles.

    A Gaussian that is culled (nearer than NEAR, too faint, off the picture) gets an empty box: x1 < x0.
    """
    cameras, count = K.shape[0], means.shape[0]
    step = (count + CHUNKS - 1) // CHUNKS
    for item in prange(cameras * CHUNKS):
        c = item // CHUNKS
        R, t, lens, limits = _camera(K[c], T[c], width, height)
        for i in range((item % CHUNKS) * step, min(count, (item % CHUNKS + 1) * step)):
            boxes[c, i, 0], boxes[c, i, 1], boxes[c, i, 2], boxes[c, i, 3] = 0, -1, 0, -1
            m = (np.float64(means[i, 0]), np.float64(means[i, 1]), np.float64(means[i, 2]))
            p = mat_vec(R, m)
            p = (p[0] + t[0], p[1] + t[1], p[2] + t[2])
            if p[2] < NEAR or opacities[i] < ALPHA_MIN:
                continue
            q, _ = normalized(np.float64(quats[i, 0]), np.float64(quats[i, 1]), np.float64(quats[i, 2]), np.float64(quats[i, 3]))
            Q = quat_matrix(q)
            C = mat_mat(R, Q)
            s = (np.float64(scales[i, 0]), np.float64(scales[i, 1]), np.float64(scales[i, 2]))
            u0, u1, _, _ = _screen(C, p, s, lens, limits)
            a, b, d = dot(u0, u0) + BLUR, dot(u0, u1), dot(u1, u1) + BLUR
            det = a * d - b * b
            x, y = lens[0] * p[0] / p[2] + lens[2], lens[1] * p[1] / p[2] + lens[3]
            k = math.sqrt(2.0 * math.log(max(opacities[i] / ALPHA_MIN, 1.0)))
            # a thousandth of a pixel more: the alpha test decides at the rim, not the rounding of the extent
            rx, ry = k * math.sqrt(a) + 1e-3, k * math.sqrt(d) + 1e-3
            if not (det > 0.0 and x + rx > 0.5 and x - rx < width - 0.5 and y + ry > 0.5 and y - ry < height - 0.5):
                continue
            boxes[c, i, 0] = int(max(math.ceil(x - rx - 0.5), 0.0)) // TILE
            boxes[c, i, 1] = int(min(math.floor(x + rx - 0.5), width - 1.0)) // TILE
            boxes[c, i, 2] = int(max(math.ceil(y - ry - 0.5), 0.0)) // TILE
            boxes[c, i, 3] = int(min(math.floor(y + ry - 0.5), height - 1.0)) // TILE
            reach[c, i, 0], reach[c, i, 1], depths[c, i] = rx, ry, p[2]
            row = splats[c, i]
            row[0], row[1], row[2], row[3], row[4], row[5] = x, y, d / det, -b / det, a / det, opacities[i]
            row[6], row[7], row[8] = colors[i, 0], colors[i, 1], colors[i, 2]
            if row.size > 9:
                axis = _shortest(s)
                sign = _towards_camera(C, p, axis)
                row[9], row[10], row[11], row[12] = p[2], sign * Q[axis], sign * Q[3 + axis], sign * Q[6 + axis]


@njit(cache=True)
def _covariance_vjp(row, v, u0, u1):
    """Gradients to u0 and u1 through covariance = Gram(u0, u1) + blur and conic = its inverse X: -X V X."""
    A, B, D = np.float64(row[2]), np.float64(row[3]), np.float64(row[4])
    v_A, v_B, v_D = np.float64(v[2]), 0.5 * v[3], np.float64(v[4])
    left_aa, left_ab = A * v_A + B * v_B, A * v_B + B * v_D
    left_ba, left_bb = B * v_A + D * v_B, B * v_B + D * v_D
    aa, ab, bb = left_aa * A + left_ab * B, left_aa * B + left_ab * D, left_ba * B + left_bb * D
    return combine(-2.0 * aa, u0, -2.0 * ab, u1), combine(-2.0 * ab, u0, -2.0 * bb, u1)


@njit(cache=True)
def _jacobian_vjp(C, s, p, tx, ty, lens, limits, v_u0, v_u1):
    """Gradients through u = J C S to the camera-frame axes C, the scales and the camera-frame centre p (by J)."""
    fx, fy, rz = lens[0], lens[1], 1.0 / p[2]
    j0, j1, kx, ky = fx * rz, fy * rz, -fx * tx * rz, -fy * ty * rz
    w0 = (v_u0[0] * s[0], v_u0[1] * s[1], v_u0[2] * s[2])
    w1 = (v_u1[0] * s[0], v_u1[1] * s[1], v_u1[2] * s[2])
    c0, c1, c2 = (C[0], C[1], C[2]), (C[3], C[4], C[5]), (C[6], C[7], C[8])
    last = combine(kx, w0, ky, w1)
    v_C = (j0 * w0[0], j0 * w0[1], j0 * w0[2], j1 * w1[0], j1 * w1[1], j1 * w1[2], last[0], last[1], last[2])
    g0, g1 = combine(j0, c0, kx, c2), combine(j1, c1, ky, c2)
    v_s = (v_u0[0] * g0[0] + v_u1[0] * g1[0], v_u0[1] * g0[1] + v_u1[1] * g1[1], v_u0[2] * g0[2] + v_u1[2] * g1[2])
    v_kx, v_ky = dot(w0, c2), dot(w1, c2)
    # kx = -fx tx / z: through 1 / z always, through tx = x / z only where it is not held at the limit
    v_z = -(dot(w0, c0) * fx + dot(w1, c1) * fy - v_kx * fx * tx - v_ky * fy * ty) * rz * rz
    v_x, v_y = 0.0, 0.0
    if limits[0] < tx < limits[1]:
        v_x = -fx * rz * rz * v_kx
        v_z += fx * tx * rz * rz * v_kx
    if limits[2] < ty < limits[3]:
        v_y = -fy * rz * rz * v_ky
        v_z += fy * ty * rz * rz * v_ky
    return v_C, v_s, (v_x, v_y, v_z)


@njit(cache=True)
def _gaussian_vjp(m, q, Q, s, R, t, lens, limits, row, v):
    """Gradients of one splat row: to the camera-frame centre, the rotation Q, the scales and the camera's R."""
    p = mat_vec(R, m)
    p = (p[0] + t[0], p[1] + t[1], p[2] + t[2])
    C = mat_mat(R, Q)
    u0, u1, tx, ty = _screen(C, p, s, lens, limits)
    v_u0, v_u1 = _covariance_vjp(row, v, u0, u1)
    v_C, v_s, v_p = _jacobian_vjp(C, s, p, tx, ty, lens, limits, v_u0, v_u1)
    rz = 1.0 / p[2]
    gx, gy = lens[0] * rz * v[0], lens[1] * rz * v[1]
    v_depth = np.float64(v[9]) if v.size > 9 else 0.0
    v_p = (v_p[0] + gx, v_p[1] + gy, v_p[2] - (gx * p[0] + gy * p[1]) * rz + v_depth)
    v_Q = mat_mat(transposed(R), v_C)
    if v.size > 9:
        axis = _shortest(s)
        sign = _towards_camera(C, p, axis)
        n0, n1, n2 = sign * v[10], sign * v[11], sign * v[12]
        e0, e1, e2 = 1.0 if axis == 0 else 0.0, 1.0 if axis == 1 else 0.0, 1.0 if axis == 2 else 0.0
        v_Q = (
            v_Q[0] + n0 * e0, v_Q[1] + n0 * e1, v_Q[2] + n0 * e2,
            v_Q[3] + n1 * e0, v_Q[4] + n1 * e1, v_Q[5] + n1 * e2,
            v_Q[6] + n2 * e0, v_Q[7] + n2 * e1, v_Q[8] + n2 * e2,
        )  # fmt: skip
    return v_p, v_Q, v_s, mat_mat(v_C, transposed(Q))


@njit(parallel=True, cache=True, error_model="numpy", nogil=True)
def project_vjp(means, quats, scales, K, T, width, height, splats, boxes, v_splats, v_gaussians, v_T):
    """From gradients of splats (c, n, .) to v_gaussians (n, 14: mean, quat, scales, opacity, color) and v_T (CHUNKS, c, 3, 4).

    Sums over cameras in their order, and over Gaussians in fixed chunks: the same bits whatever the threads.
    """
    cameras, count = K.shape[0], means.shape[0]
    step = (count + CHUNKS - 1) // CHUNKS
    for chunk in prange(CHUNKS):
        for c in range(cameras):
            R, t, lens, limits = _camera(K[c], T[c], width, height)
            pose = v_T[chunk, c]
            for i in range(chunk * step, min(count, (chunk + 1) * step)):
                if boxes[c, i, 1] < boxes[c, i, 0]:
                    continue
                m = (np.float64(means[i, 0]), np.float64(means[i, 1]), np.float64(means[i, 2]))
                q, inverse = normalized(np.float64(quats[i, 0]), np.float64(quats[i, 1]), np.float64(quats[i, 2]), np.float64(quats[i, 3]))
                s = (np.float64(scales[i, 0]), np.float64(scales[i, 1]), np.float64(scales[i, 2]))
                v = v_splats[c, i]
                v_p, v_Q, v_s, v_R = _gaussian_vjp(m, q, quat_matrix(q), s, R, t, lens, limits, splats[c, i], v)
                v_m = vec_mat(v_p, R)
                v_q = quat_matrix_vjp(q, inverse, v_Q)
                out = v_gaussians[i]
                for k in range(3):
                    out[k] += v_m[k]
                    out[7 + k] += v_s[k]
                    out[11 + k] += v[6 + k]
                    pose[k, 3] += v_p[k]
                    for j in range(3):
                        pose[k, j] += v_R[3 * k + j] + v_p[k] * m[j]
                for k in range(4):
                    out[3 + k] += v_q[k]
                out[10] += v[5]
