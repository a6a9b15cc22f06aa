"""Warnings while a subject is done: they name it, from threads and worker processes, too."""

from __future__ import annotations

import logging
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from turnaround.flows.runs.warned import naming, pass_on, silently, this_process

LOG = logging.getLogger("turnaround.stages.made_up")


def test_warnings_name_their_subject_once_and_only_while_it_is_done(caplog):
    caplog.set_level(logging.INFO)
    with naming("ann") as messages:
        LOG.warning("a foot is %s", "missing")
        LOG.warning("ann: it is cold")
        LOG.warning("ann/prepare: out of memory")
        LOG.warning("anna: it is warm")
        LOG.info("all is well")
        logging.getLogger("somebody.else").warning("not ours")
    LOG.warning("afterwards")
    expected = [
        "ann: a foot is missing",
        "ann: it is cold",
        "ann/prepare: out of memory",
        "ann: anna: it is warm",
    ]
    assert messages == expected
    assert [record.getMessage() for record in caplog.records] == [
        *expected,
        "all is well",
        "not ours",
        "afterwards",
    ]


def test_subjects_in_threads_are_not_mixed_up():
    def work(name: str) -> list[str]:
        with naming(name) as messages:
            for k in range(20):
                LOG.warning("step %d", k)
        return messages

    with ThreadPoolExecutor(4) as pool:
        for name, messages in zip("abcd", pool.map(work, "abcd"), strict=True):
            assert messages == [f"{name}: step {k}" for k in range(20)]


def in_worker(quiet: bool) -> tuple[str, list[str], str]:
    """What a worker process hears, and what it says on its own terminal."""
    import io

    sys.stderr = io.StringIO()
    with silently(quiet), naming("ann") as messages:
        LOG.warning("a foot is missing")
    return this_process(), messages, sys.stderr.getvalue()


def test_what_a_worker_process_hears_is_said_once_and_here(caplog):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        process, messages, said = pool.submit(in_worker, True).result()
        assert process != this_process() and messages == ["ann: a foot is missing"] and said == ""
        assert pool.submit(in_worker, False).result() == (process, messages, "ann: a foot is missing\n")
    pass_on(process, messages)
    assert [record.getMessage() for record in caplog.records] == messages
    pass_on(this_process(), messages)  # was said already when it was heard
    assert len(caplog.records) == 1
