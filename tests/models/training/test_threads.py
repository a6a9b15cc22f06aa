"""Torch's threads: one within `one_thread`, for the caller alone, and as many as before after it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from turnaround.models.threads import one_thread

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=[1, 3])
def threads(request) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_within_it_is_one_and_after_it_as_before(threads):
    with one_thread():
        assert torch.get_num_threads() == 1
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads


def test_an_error_gives_the_threads_back(threads):
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = 1 / 0
    assert torch.get_num_threads() == threads


def test_other_threads_keep_theirs(threads):
    """One that worked before, and one that first asks torch while another computes alone."""
    inside, looked = threading.Event(), threading.Event()

    def alone() -> int:
        with one_thread():
            inside.set()
            assert looked.wait(60)
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second, ThreadPoolExecutor(1) as third:
        assert first.submit(torch.get_num_threads).result() == threads
        after = second.submit(alone)
        assert inside.wait(60)
        seen = [pool.submit(torch.get_num_threads).result() for pool in (first, third)]
        looked.set()
        assert seen == [threads, threads] and after.result() == threads


def test_kernels_have_the_same_threads_whatever_was_imported_before():
    code = "import turnaround.models, numba; print(*numba.config.THREADING_LAYER_PRIORITY)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split()[0] == "omp", done.stderr
