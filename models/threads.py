"""How many threads torch works with: one for tiny matrices, whose threads would only wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it the calling thread computes alone; on leaving, also by an error, it has its threads back.

    On a busy machine a product of tiny matrices takes milliseconds rather than microseconds where threads
    must meet.

    torch keeps the number by thread, but threads that begin later take over what was set last, by whomever. A
    helper sets it for those, so that a runner's other threads keep theirs.
    """
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    helper = threading.Thread(target=torch.set_num_threads, args=(before,))
    helper.start()
    helper.join()
    try:
        yield
    finally:
        torch.set_num_threads(before)
