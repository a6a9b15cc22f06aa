"""Sixteen float32 that numba kernels compute with at once: explicit vectors, and not what the compiler may
find by itself.

LLVM lowers them to what the processor has: one register with AVX-512, two with AVX2, four with SSE or NEON. A
scalar that meets a vector is spread over it. Multiplications and additions may fuse; nothing else about the
arithmetic is relaxed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import lower_builtin, models, register_model, type_callable

WIDTH = 16
FLOATS, BITS, INTS = (ir.VectorType(kind, WIDTH) for kind in (ir.FloatType(), ir.IntType(1), ir.IntType(32)))


def intrinsic(function: Callable) -> Callable[..., Any]:
    """numba's `intrinsic`: inside of kernels the result is called without the first parameter, the typing
    context."""
    return numba_intrinsic(function)


class _Lanes(types.Type):
    """The numba type of 16 float32, or of 16 truth values."""

    def __init__(self, name: str) -> None:
        super().__init__(name=f"{name}x{WIDTH}")


LANES, MASK = _Lanes("float32"), _Lanes("bool")


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type) -> None:
        super().__init__(dmm, fe_type, FLOATS if fe_type.name == LANES.name else BITS)


def _spread(builder: ir.IRBuilder, value, kind):
    """The vector itself, or the scalar in every lane."""
    if kind == LANES:
        return value
    if isinstance(kind, types.Integer):
        value = builder.sitofp(value, ir.FloatType())
    elif kind == types.float64:
        value = builder.fptrunc(value, ir.FloatType())
    one = builder.insert_element(ir.Constant(FLOATS, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, ir.Constant(INTS, [0] * WIDTH))


def _are_numbers(*kinds) -> bool:
    return all(kind == LANES or isinstance(kind, types.Float | types.Integer) for kind in kinds)


def _elementwise(emit, result=LANES):
    """A numba intrinsic of two operands, from a function that emits the instruction for vectors."""

    @intrinsic
    def function(_typing, a, b):
        if not _are_numbers(a, b):
            raise TypingError(f"expected vectors of 16 float32 or scalars, got {a} and {b}")

        def code(_context, builder, signature, values):
            return emit(
                builder, *(_spread(builder, v, k) for v, k in zip(values, signature.args, strict=True))
            )

        return result(a, b), code

    return function


def _operator(op, emit, result=LANES) -> None:
    """Teach numba an operator; typed and emitted by hand, since an `overload` would be compiled anew for each
    pair of types."""

    @type_callable(op)
    def _type(_context):
        return lambda a, b: result if LANES in (a, b) and _are_numbers(a, b) else None

    def code(_context, builder, signature, values):
        return emit(builder, *(_spread(builder, v, k) for v, k in zip(values, signature.args, strict=True)))

    for other in (LANES, types.Float, types.Integer):
        lower_builtin(op, LANES, other)(code)
        lower_builtin(op, other, LANES)(code)


_FUSE = ("contract",)
_operator(operator.add, lambda b, x, y: b.fadd(x, y, flags=_FUSE))
_operator(operator.sub, lambda b, x, y: b.fsub(x, y, flags=_FUSE))
_operator(operator.mul, lambda b, x, y: b.fmul(x, y, flags=_FUSE))
_operator(operator.truediv, lambda b, x, y: b.fdiv(x, y))
_operator(operator.gt, lambda b, x, y: b.fcmp_ordered(">", x, y), MASK)
_operator(operator.ge, lambda b, x, y: b.fcmp_ordered(">=", x, y), MASK)
_operator(operator.lt, lambda b, x, y: b.fcmp_ordered("<", x, y), MASK)
_operator(operator.le, lambda b, x, y: b.fcmp_ordered("<=", x, y), MASK)

minimum = _elementwise(lambda b, x, y: b.select(b.fcmp_ordered("<", x, y), x, y))
maximum = _elementwise(lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), x, y))


@type_callable(operator.and_)
def _type_of_and(_context):
    return lambda a, b: MASK if a == MASK and b == MASK else None


@lower_builtin(operator.and_, MASK, MASK)
def _and(_context, builder, _signature, values):
    return builder.and_(*values)


@intrinsic
def select(_typing, mask, a, b):
    """a where the mask is true, else b."""
    if mask != MASK or not _are_numbers(a, b):
        raise TypingError(f"select(mask, vector or scalar, vector or scalar), got {mask}, {a}, {b}")

    def code(_context, builder, signature, values):
        return builder.select(
            values[0], *(_spread(builder, v, k) for v, k in zip(values[1:], signature.args[1:], strict=True))
        )

    return LANES(mask, a, b), code


@intrinsic
def bits(_typing, mask):
    """The truth values as an integer, lane 0 the lowest bit."""

    def code(_context, builder, _signature, values):
        return builder.zext(builder.bitcast(values[0], ir.IntType(WIDTH)), ir.IntType(64))

    return types.int64(MASK), code


@intrinsic
def spread(_typing, a):
    """A scalar in every lane."""
    return LANES(a), lambda _context, builder, signature, values: _spread(
        builder, values[0], signature.args[0]
    )


@intrinsic
def ramp(_typing):
    """0, 1, ... 15."""
    return LANES(), lambda _context, _builder, _signature, _values: ir.Constant(
        FLOATS, [float(k) for k in range(WIDTH)]
    )


@intrinsic
def across(_typing):
    """Column of each lane in a block of 4 x 4 pixels."""
    return LANES(), lambda _context, _builder, _signature, _values: ir.Constant(
        FLOATS, [float(k % 4) for k in range(WIDTH)]
    )


@intrinsic
def down(_typing):
    """Row of each lane in a block of 4 x 4 pixels."""
    return LANES(), lambda _context, _builder, _signature, _values: ir.Constant(
        FLOATS, [float(k // 4) for k in range(WIDTH)]
    )


@intrinsic
def lowest_bit(_typing, a):
    """The place of the lowest bit that is set in an int64 other than 0."""

    def code(_context, builder, _signature, values):
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), code


def _builtin(name: str):
    """A numba intrinsic of one vector that LLVM knows by `name`."""

    @intrinsic
    def function(_typing, a):
        def code(_context, builder, _signature, values):
            kind = ir.FunctionType(FLOATS, [FLOATS])
            return builder.call(
                cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f32"), values
            )

        return LANES(LANES), code

    return function


square_root, magnitude, floor, ceil = _builtin("sqrt"), _builtin("fabs"), _builtin("floor"), _builtin("ceil")


@intrinsic
def mantissa(_typing, a):
    """Of positive floats: the number in [1, 2) with the same digits."""
    return LANES(LANES), lambda _context, builder, _signature, values: _with_exponent_of_one(
        builder, values[0]
    )


@intrinsic
def exponent(_typing, a):
    """Of positive floats: the integer e with a = 2^e mantissa(a)."""

    def code(_context, builder, _signature, values):
        bits = builder.lshr(builder.bitcast(values[0], INTS), ir.Constant(INTS, [23] * WIDTH))
        return builder.sitofp(builder.sub(bits, ir.Constant(INTS, [127] * WIDTH)), FLOATS)

    return LANES(LANES), code


def _with_exponent_of_one(builder: ir.IRBuilder, value):
    digits = builder.and_(builder.bitcast(value, INTS), ir.Constant(INTS, [0x007FFFFF] * WIDTH))
    return builder.bitcast(builder.or_(digits, ir.Constant(INTS, [0x3F800000] * WIDTH)), FLOATS)
