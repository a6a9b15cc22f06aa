"""3x3 matrices and quaternions as tuples, for numba kernels: no allocation, everything in registers.

A matrix is a tuple of nine entries by rows, a vector a tuple of three. An entry is a float32 or a vector of
sixteen (`models.splat.lanes`), so that the same formula serves sixteen Gaussians. Gradients are named
`v_<what>`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from turnaround.models.splat.cpu.lanes import maximum, square_root

f32 = np.float32
ONE, TWO, TINY = f32(1.0), f32(2.0), f32(1e-12)


@njit
def mat_vec(m, v):
    """m @ v."""
    return (
        v[0] * m[0] + v[1] * m[1] + v[2] * m[2],
        v[0] * m[3] + v[1] * m[4] + v[2] * m[5],
        v[0] * m[6] + v[1] * m[7] + v[2] * m[8],
    )


@njit
def vec_mat(v, m):
    """m.T @ v."""
    return (
        v[0] * m[0] + v[1] * m[3] + v[2] * m[6],
        v[0] * m[1] + v[1] * m[4] + v[2] * m[7],
        v[0] * m[2] + v[1] * m[5] + v[2] * m[8],
    )


@njit
def mat_mat(a, b):
    """a @ b."""
    return (
        a[0] * b[0] + a[1] * b[3] + a[2] * b[6],
        a[0] * b[1] + a[1] * b[4] + a[2] * b[7],
        a[0] * b[2] + a[1] * b[5] + a[2] * b[8],
        a[3] * b[0] + a[4] * b[3] + a[5] * b[6],
        a[3] * b[1] + a[4] * b[4] + a[5] * b[7],
        a[3] * b[2] + a[4] * b[5] + a[5] * b[8],
        a[6] * b[0] + a[7] * b[3] + a[8] * b[6],
        a[6] * b[1] + a[7] * b[4] + a[8] * b[7],
        a[6] * b[2] + a[7] * b[5] + a[8] * b[8],
    )


@njit
def transpose(m):
    """m.T."""
    return (m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8])


@njit
def dot(a, b):
    """Inner product of two vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit
def cross(a, b):
    """a x b."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


@njit
def combine(alpha, a, beta, b):
    """alpha a + beta b, of two vectors."""
    return (alpha * a[0] + beta * b[0], alpha * a[1] + beta * b[1], alpha * a[2] + beta * b[2])


@njit
def scaled(a, b):
    """Two vectors multiplied entry by entry."""
    return (a[0] * b[0], a[1] * b[1], a[2] * b[2])


@njit
def added(a, b):
    """a + b."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


@njit
def normalized(q):
    """Sixteen unit quaternions wxyz and the inverse of the lengths they had."""
    w, x, y, z = q
    inverse = ONE / maximum(square_root(w * w + x * x + y * y + z * z), TINY)
    return (w * inverse, x * inverse, y * inverse, z * inverse), inverse


@njit
def quat_matrix(q):
    """Rotation of a unit quaternion wxyz."""
    w, x, y, z = q
    return (
        ONE - TWO * (y * y + z * z),
        TWO * (x * y - w * z),
        TWO * (x * z + w * y),
        TWO * (x * y + w * z),
        ONE - TWO * (x * x + z * z),
        TWO * (y * z - w * x),
        TWO * (x * z - w * y),
        TWO * (y * z + w * x),
        ONE - TWO * (x * x + y * y),
    )


@njit
def quat_matrix_vjp(q, inverse_length, v):
    """Gradient to the quaternion before it was normalised, given the gradient `v` to its rotation matrix."""
    w, x, y, z = q
    v_w = TWO * (x * (v[7] - v[5]) + y * (v[2] - v[6]) + z * (v[3] - v[1]))
    v_x = TWO * (y * (v[1] + v[3]) + z * (v[2] + v[6]) + w * (v[7] - v[5]) - TWO * x * (v[4] + v[8]))
    v_y = TWO * (x * (v[1] + v[3]) - TWO * y * (v[0] + v[8]) + z * (v[5] + v[7]) + w * (v[2] - v[6]))
    v_z = TWO * (x * (v[2] + v[6]) + y * (v[5] + v[7]) - TWO * z * (v[0] + v[4]) + w * (v[3] - v[1]))
    along = v_w * w + v_x * x + v_y * y + v_z * z
    return (
        (v_w - along * w) * inverse_length,
        (v_x - along * x) * inverse_length,
        (v_y - along * y) * inverse_length,
        (v_z - along * z) * inverse_length,
    )
