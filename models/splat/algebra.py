"""3x3 matrices and quaternions as tuples of scalars, for numba kernels: no allocation, everything in registers.

A matrix is a tuple of nine numbers by rows, a vector a tuple of three. Gradients are named `v_<what>`.
"""

from __future__ import annotations

import math

from numba import njit


@njit(cache=True)
def mat_vec(m, v):
    """m @ v."""
    return (
        m[0] * v[0] + m[1] * v[1] + m[2] * v[2],
        m[3] * v[0] + m[4] * v[1] + m[5] * v[2],
        m[6] * v[0] + m[7] * v[1] + m[8] * v[2],
    )


@njit(cache=True)
def vec_mat(v, m):
    """m.T @ v."""
    return (
        m[0] * v[0] + m[3] * v[1] + m[6] * v[2],
        m[1] * v[0] + m[4] * v[1] + m[7] * v[2],
        m[2] * v[0] + m[5] * v[1] + m[8] * v[2],
    )


@njit(cache=True)
def mat_mat(a, b):
    """a @ b."""
    return (
        a[0] * b[0] + a[1] * b[3] + a[2] * b[6], a[0] * b[1] + a[1] * b[4] + a[2] * b[7], a[0] * b[2] + a[1] * b[5] + a[2] * b[8],
        a[3] * b[0] + a[4] * b[3] + a[5] * b[6], a[3] * b[1] + a[4] * b[4] + a[5] * b[7], a[3] * b[2] + a[4] * b[5] + a[5] * b[8],
        a[6] * b[0] + a[7] * b[3] + a[8] * b[6], a[6] * b[1] + a[7] * b[4] + a[8] * b[7], a[6] * b[2] + a[7] * b[5] + a[8] * b[8],
    )  # fmt: skip


@njit(cache=True)
def transposed(m):
    """m.T."""
    return (m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8])


@njit(cache=True)
def dot(a, b):
    """Inner product of two vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def combine(alpha, a, beta, b):
    """alpha a + beta b, of two vectors."""
    return (alpha * a[0] + beta * b[0], alpha * a[1] + beta * b[1], alpha * a[2] + beta * b[2])


@njit(cache=True)
def normalized(w, x, y, z):
    """Unit quaternion and the inverse of the length it had."""
    inverse = 1.0 / max(math.sqrt(w * w + x * x + y * y + z * z), 1e-12)
    return (w * inverse, x * inverse, y * inverse, z * inverse), inverse


@njit(cache=True)
def quat_matrix(q):
    """Rotation of a unit quaternion wxyz."""
    w, x, y, z = q
    return (
        1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y),
        2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x),
        2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y),
    )  # fmt: skip


@njit(cache=True)
def quat_matrix_vjp(q, inverse_length, v):
    """Gradient to the quaternion before it was normalised, given the gradient `v` to its rotation matrix."""
    w, x, y, z = q
    v_w = 2.0 * (x * (v[7] - v[5]) + y * (v[2] - v[6]) + z * (v[3] - v[1]))
    v_x = 2.0 * (-2.0 * x * (v[4] + v[8]) + y * (v[1] + v[3]) + z * (v[2] + v[6]) + w * (v[7] - v[5]))
    v_y = 2.0 * (x * (v[1] + v[3]) - 2.0 * y * (v[0] + v[8]) + z * (v[5] + v[7]) + w * (v[2] - v[6]))
    v_z = 2.0 * (x * (v[2] + v[6]) + y * (v[5] + v[7]) - 2.0 * z * (v[0] + v[4]) + w * (v[3] - v[1]))
    along = v_w * w + v_x * x + v_y * y + v_z * z
    return (
        (v_w - along * w) * inverse_length,
        (v_x - along * x) * inverse_length,
        (v_y - along * y) * inverse_length,
        (v_z - along * z) * inverse_length,
    )
