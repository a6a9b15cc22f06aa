"""Tuples of vectors of sixteen float32 inside of numba kernels: sums, products, transposition."""

from __future__ import annotations

from llvmlite import ir
from numba import types

from turnaround.models.splat.cpu.lane_memory import as_tuple, require, shuffle
from turnaround.models.splat.cpu.lanes import FLOATS, LANES, WIDTH, intrinsic


@intrinsic
def transposed(_typing, vectors):
    """16 vectors of 16 numbers with rows and columns exchanged: in four steps, each exchanges halves of
    pairs."""
    require(
        isinstance(vectors, types.UniTuple) and vectors.count == WIDTH,
        "transposed(tuple of 16 vectors)",
        vectors,
    )

    def code(_context, builder, _signature, values):
        rows = [builder.extract_value(values[0], k) for k in range(WIDTH)]
        half = WIDTH // 2
        while half:
            low = [lane if not lane & half else WIDTH + lane - half for lane in range(WIDTH)]
            high = [lane + half if not lane & half else WIDTH + lane for lane in range(WIDTH)]
            for k in range(WIDTH):
                if not k & half:
                    a, b = rows[k], rows[k + half]
                    rows[k], rows[k + half] = shuffle(builder, a, b, low), shuffle(builder, a, b, high)
            half //= 2
        return as_tuple(builder, rows)

    return vectors(vectors), code


@intrinsic
def exchanged(_typing, vectors):
    """4 vectors of 4 times 4 numbers, with the fours transposed: 4 blocks of 4 x 4 pixels to 4 rows of 16,
    and back."""
    require(
        isinstance(vectors, types.UniTuple) and vectors.count == 4, "exchanged(tuple of 4 vectors)", vectors
    )

    def code(_context, builder, _signature, values):
        a, b, c, d = (builder.extract_value(values[0], k) for k in range(4))
        rows = []
        for first in (0, 4, 8, 12):
            fours = [*range(first, first + 4), *range(WIDTH + first, WIDTH + first + 4)]
            upper, lower = shuffle(builder, a, b, fours + fours), shuffle(builder, c, d, fours + fours)
            rows.append(shuffle(builder, upper, lower, [*range(8), *range(WIDTH, WIDTH + 8)]))
        return as_tuple(builder, rows)

    return vectors(vectors), code


@intrinsic
def sums(_typing, vectors):
    """The sums of up to 16 vectors, in the lanes of one: lane k holds the sum of the k-th.

    A tree: each step folds two vectors into the halves of one, so that 16 vectors need 15 additions in place
    of 64.
    """
    require(
        isinstance(vectors, types.UniTuple) and vectors.count <= WIDTH,
        "sums(tuple of at most 16 vectors)",
        vectors,
    )

    def code(_context, builder, signature, values):
        level = [builder.extract_value(values[0], k) for k in range(signature.args[0].count)]
        level += [None] * (WIDTH - len(level))
        half = WIDTH // 2
        while half:
            level = [_fold(builder, level[k], level[k + half], half) for k in range(half)]
            half //= 2
        return level[0]

    return LANES(vectors), code


def _fold(builder, a, b, half: int):
    """In every block of 2 half lanes: the block of `a` folded onto the lower half, that of `b` (None: zeros)
    onto the upper."""
    if a is None:
        return None
    b = ir.Constant(FLOATS, [0.0] * WIDTH) if b is None else b
    low = [lane if not lane & half else WIDTH + lane - half for lane in range(WIDTH)]
    high = [lane + half if not lane & half else WIDTH + lane for lane in range(WIDTH)]
    return builder.fadd(shuffle(builder, a, b, low), shuffle(builder, a, b, high))


@intrinsic
def weighted(_typing, vectors, weights):
    """The sum of a tuple of vectors, each times its scalar."""
    require(
        isinstance(vectors, types.UniTuple) and vectors.dtype == LANES,
        "weighted(tuple of vectors, tuple of float32)",
        vectors,
        weights,
    )

    def code(_context, builder, signature, values):
        total = None
        for k in range(signature.args[0].count):
            scalar = builder.extract_value(values[1], k)
            one = builder.insert_element(
                ir.Constant(FLOATS, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
            )
            term = builder.fmul(
                builder.extract_value(values[0], k),
                shuffle(builder, one, one, [0] * WIDTH),
                flags=("contract",),
            )
            total = term if total is None else builder.fadd(total, term, flags=("contract",))
        return total

    return LANES(vectors, weights), code


@intrinsic
def add_scaled(_typing, totals, vectors, weight):
    """A tuple of vectors plus another one times a vector."""
    require(
        isinstance(totals, types.UniTuple) and vectors == totals and weight == LANES,
        "add_scaled(tuple, tuple, vector)",
        totals,
        vectors,
        weight,
    )

    def code(_context, builder, signature, values):
        parts = []
        for k in range(signature.args[0].count):
            term = builder.fmul(builder.extract_value(values[1], k), values[2], flags=("contract",))
            parts.append(builder.fadd(builder.extract_value(values[0], k), term, flags=("contract",)))
        return as_tuple(builder, parts)

    return totals(totals, vectors, weight), code


@intrinsic
def nothing(_typing, template):
    """A tuple of vectors of zeros."""

    def code(_context, builder, signature, _values):
        return as_tuple(builder, [ir.Constant(FLOATS, [0.0] * WIDTH)] * signature.args[0].count)

    return types.UniTuple(LANES, template.count)(template), code
