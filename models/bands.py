"""Compiled loops on all threads: kernels do a range of rows and let go of the interpreter meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba

from turnaround.models.compiling import defer_interrupts

defer_interrupts()


def in_bands(kernel: Callable[[int, int], object], count: int) -> None:
    """Call `kernel(start, stop)` for ranges that together are `range(count)`.

    A kernel without `parallel=True` compiles several times faster, which the first photo on a machine waits
    for.
    """
    threads = max(1, min(numba.get_num_threads(), count))
    edges = [count * k // threads for k in range(threads + 1)]
    if threads == 1:
        kernel(0, count)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(kernel, a, b) for a, b in pairwise(edges)]:
            done.result()
