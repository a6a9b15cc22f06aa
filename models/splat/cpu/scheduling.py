"""Work handed out while it lasts, for numba kernels: `prange` alone gives each thread an equal, fixed share.

    for worker in prange(workers):
        item = claim(counter)
        while item < count:
            ...
            item = claim(counter)

With `counter` an array of one zero, each item is done once, by whichever thread is free: a core that is
slower, or shared with another program, does fewer. Results must not depend on who did what.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types

from turnaround.models.splat.cpu.lane_memory import require
from turnaround.models.splat.cpu.lanes import intrinsic


@intrinsic
def claim(_typing, counter):
    """The next number, from 0 on, that no thread has got yet; `counter` is an int64 array of one number."""
    require(isinstance(counter, types.Array) and counter.dtype == types.int64, "claim(int64 array)", counter)

    def code(context, builder, signature, values):
        data = context.make_array(signature.args[0])(context, builder, value=values[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), code
