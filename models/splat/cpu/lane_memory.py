"""Vectors of sixteen float32 to and from contiguous arrays, alone, in tuples or interleaved, for numba
kernels.

An index is flat and in numbers, not bytes; bounds are the caller's concern, as everywhere in numba. A
`template` is a tuple of as many float32 as there shall be vectors: numba compiles for the length of a tuple.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.errors import TypingError

from turnaround.models.splat.cpu.lanes import FLOATS, INTS, LANES, WIDTH, intrinsic

_SHORTS = ir.VectorType(ir.IntType(16), WIDTH)


@njit
def aligned(size):
    """An uninitialised float32 array that starts at a cache line: a vector that crosses one costs twice."""
    block = np.empty(size + WIDTH, np.float32)
    start = (64 - block.ctypes.data % 64) // 4 % WIDTH
    return block[start : start + size]


def require(ok: bool, what: str, *kinds) -> None:
    """Refuse arguments while a kernel is compiled."""
    if not ok:
        raise TypingError(f"{what}, got {', '.join(map(str, kinds))}")


def _is_array(kind) -> bool:
    return isinstance(kind, types.Array) and kind.dtype in (types.float32, types.int16) and kind.layout == "C"


def _address(context, builder, kind, array, index, offset: int = 0):
    """A pointer to a vector at `index + offset` of the array."""
    data = context.make_array(kind)(context, builder, value=array).data
    vector = FLOATS if kind.dtype == types.float32 else _SHORTS
    return builder.bitcast(
        builder.gep(data, [builder.add(index, ir.Constant(index.type, offset))]), vector.as_pointer()
    )


def _load(context, builder, kind, array, index, offset: int = 0):
    return builder.load(_address(context, builder, kind, array, index, offset), align=4)


def _store(context, builder, kind, array, index, value, offset: int = 0) -> None:
    if kind.dtype == types.int16:
        value = builder.fptosi(value, _SHORTS)
    builder.store(
        value,
        _address(context, builder, kind, array, index, offset),
        align=4 if kind.dtype == types.float32 else 2,
    )


def as_tuple(builder: ir.IRBuilder, vectors: list):
    """An LLVM value of numba's type for a tuple of vectors."""
    value = ir.Constant(ir.ArrayType(FLOATS, len(vectors)), ir.Undefined)
    for k, vector in enumerate(vectors):
        value = builder.insert_value(value, vector, k)
    return value


def shuffle(builder: ir.IRBuilder, a, b, lanes: list[int]):
    """The lanes of two vectors, counted through."""
    return builder.shuffle_vector(a, b, ir.Constant(INTS, lanes))


@intrinsic
def load(_typing, array, index):
    """The 16 numbers from `index` on."""
    require(_is_array(array) and isinstance(index, types.Integer), "load(array, integer)", array, index)
    return LANES(array, index), lambda context, builder, signature, values: _load(
        context, builder, signature.args[0], *values
    )


@intrinsic
def store(_typing, array, index, value):
    """Put 16 numbers at `index`."""
    require(
        _is_array(array) and isinstance(index, types.Integer) and value == LANES,
        "store(array, integer, vector)",
        array,
        index,
        value,
    )

    def code(context, builder, signature, values):
        _store(context, builder, signature.args[0], *values)
        return context.get_dummy_value()

    return types.void(array, index, value), code


@intrinsic
def load_each(_typing, array, index, template):
    """A tuple of vectors, one after the other from `index` on."""
    require(
        _is_array(array) and isinstance(template, types.UniTuple),
        "load_each(array, integer, template)",
        array,
        index,
        template,
    )

    def code(context, builder, signature, values):
        kinds = signature.args
        return as_tuple(
            builder,
            [
                _load(context, builder, kinds[0], values[0], values[1], WIDTH * k)
                for k in range(kinds[2].count)
            ],
        )

    return types.UniTuple(LANES, template.count)(array, index, template), code


@intrinsic
def store_each(_typing, array, index, vectors):
    """Put a tuple of vectors one after the other from `index` on."""
    require(
        _is_array(array) and isinstance(vectors, types.UniTuple),
        "store_each(array, integer, tuple)",
        array,
        index,
        vectors,
    )

    def code(context, builder, signature, values):
        for k in range(signature.args[2].count):
            _store(
                context,
                builder,
                signature.args[0],
                values[0],
                values[1],
                builder.extract_value(values[2], k),
                WIDTH * k,
            )
        return context.get_dummy_value()

    return types.void(array, index, vectors), code


@intrinsic
def load_interleaved(_typing, array, index, template):
    """From rows of k numbers, 16 of them from `index` on: the k columns."""
    require(
        _is_array(array) and isinstance(template, types.UniTuple),
        "load_interleaved(array, integer, template)",
        array,
        index,
        template,
    )

    def code(context, builder, signature, values):
        kind, _, width = signature.args
        count = width.count
        parts = [_load(context, builder, kind, values[0], values[1], WIDTH * k) for k in range(count)]
        return as_tuple(
            builder,
            [_pick(builder, parts, [count * lane + q for lane in range(WIDTH)]) for q in range(count)],
        )

    return types.UniTuple(LANES, template.count)(array, index, template), code


@intrinsic
def store_interleaved(_typing, array, index, vectors):
    """Put k columns of 16 numbers as 16 rows of k from `index` on; into integers by truncation."""
    require(
        _is_array(array) and isinstance(vectors, types.UniTuple),
        "store_interleaved(array, integer, tuple)",
        array,
        index,
        vectors,
    )

    def code(context, builder, signature, values):
        count = signature.args[2].count
        columns = [builder.extract_value(values[2], k) for k in range(count)]
        for part in range(count):
            places = range(WIDTH * part, WIDTH * (part + 1))
            vector = _pick(builder, columns, [place % count * WIDTH + place // count for place in places])
            _store(context, builder, signature.args[0], values[0], values[1], vector, WIDTH * part)
        return context.get_dummy_value()

    return types.void(array, index, vectors), code


def _pick(builder, parts, places: list[int]):
    """The vector of the numbers at 16 places of several vectors, counted through."""
    result = parts[0]
    for k, part in enumerate(parts):
        if k == 0:
            result = shuffle(builder, part, part, [place if place < WIDTH else 0 for place in places])
        elif any(place // WIDTH == k for place in places):
            lanes = [
                WIDTH + place % WIDTH if place // WIDTH == k else lane for lane, place in enumerate(places)
            ]
            result = shuffle(builder, result, part, lanes)
    return result


def _prefetch(write: int):
    """A numba intrinsic that begins to bring what lies at an index into the cache."""

    @intrinsic
    def function(_typing, array, index):
        def code(context, builder, signature, values):
            kind, number = signature.args[0], ir.IntType(32)
            address = builder.bitcast(_address(context, builder, kind, *values), ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(
                function,
                [address, ir.Constant(number, write), ir.Constant(number, 3), ir.Constant(number, 1)],
            )
            return context.get_dummy_value()

        return types.void(array, index), code

    return function


prefetch, prefetch_to_write = _prefetch(0), _prefetch(1)
