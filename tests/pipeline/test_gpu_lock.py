"""The lock of a GPU: one holder at a time across threads and processes, freed by the kernel when a holder is
killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from turnaround.pipeline.gpu import gpu_slot

HOLDER = """
import sys, time
from pathlib import Path
from turnaround.pipeline.gpu import gpu_slot
with gpu_slot(Path(sys.argv[1]), [int(i) for i in sys.argv[2].split(",")]) as index:
    print(index, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path):
    """Starts processes that hold a GPU; returns the process and the index that it got."""
    started: list[subprocess.Popen[str]] = []

    def start(indices: str) -> tuple[subprocess.Popen[str], int]:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "locks"), indices],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def test_a_gpu_held_by_another_process_is_freed_when_that_is_killed(tmp_path, hold):
    holder, index = hold("0")
    assert index == 0
    with (
        pytest.raises(TimeoutError, match=r"no GPU of \[0\] became free.*locks"),
        gpu_slot(tmp_path / "locks", [0], timeout=0.1),
    ):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    started = time.monotonic()
    with gpu_slot(tmp_path / "locks", [0], timeout=10) as index:
        assert index == 0 and time.monotonic() - started < 5


def test_the_next_free_gpu_is_taken(tmp_path, hold):
    _, first = hold("0,1")
    assert first == 0
    with gpu_slot(tmp_path / "locks", [0, 1], timeout=1) as second:
        assert second == 1
        with pytest.raises(TimeoutError), gpu_slot(tmp_path / "locks", [0, 1], timeout=0.1):
            pass


def test_threads_take_turns_and_an_error_frees_the_gpu(tmp_path):
    inside, most, turns = [0], [0], []

    def work(number: int) -> None:
        with gpu_slot(tmp_path, [0]):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            inside[0] -= 1
            turns.append(number)

    with pytest.raises(RuntimeError), gpu_slot(tmp_path, [0]):
        raise RuntimeError
    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] and sorted(turns) == list(range(6))
