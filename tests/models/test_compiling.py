"""Ctrl-C while a kernel is compiled comes after that, once, and to whoever would have had it."""

from __future__ import annotations

import signal
import threading

import numba
import pytest
from numba.core import event

from turnaround.models.compiling import Deferred, defer_interrupts


@pytest.fixture
def pressed(monkeypatch):
    """How often SIGINT has come through to a handler of the test."""
    found: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: found.append(number))
    yield found
    signal.signal(signal.SIGINT, before)


def start(data=None) -> event.Event:
    return event.Event("numba:compiler_lock", event.EventStatus.START, data)


def end() -> event.Event:
    return event.Event("numba:compiler_lock", event.EventStatus.END)


def test_an_interrupt_waits_for_the_end_of_the_outermost_lock(pressed):
    deferred = Deferred()
    for begun in (start(), start()):
        deferred.notify(begun)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    deferred.notify(end())
    assert pressed == []
    deferred.notify(end())
    assert pressed == [signal.SIGINT]
    signal.raise_signal(signal.SIGINT)
    assert len(pressed) == 2  # the handler of before is back


def test_without_an_interrupt_nothing_is_sent_and_an_end_too_many_does_nothing(pressed):
    deferred = Deferred()
    for each in (start(), end(), end()):
        deferred.notify(each)
    assert pressed == [] and deferred.depth == 0


def test_who_ignores_interrupts_goes_on_doing_so(pressed):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    deferred = Deferred()
    deferred.notify(start())
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    deferred.notify(end())
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_leave_the_handler_alone(pressed):
    deferred, before = Deferred(), signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: deferred.notify(start()))
    thread.start()
    thread.join()
    assert deferred.depth == 0 and signal.getsignal(signal.SIGINT) is before


def test_a_kernel_that_is_interrupted_while_it_compiles_is_compiled(pressed):
    defer_interrupts()
    when = {"numba:compile": 0}

    class Press(event.Listener):
        def on_start(self, event):
            signal.raise_signal(signal.SIGINT)
            when["numba:compile"] += len(pressed)

        def on_end(self, event):
            when["numba:compile"] += len(pressed)

    with event.install_listener("numba:compile", Press()):
        kernel = numba.njit(lambda x: x * 3 + 1)
        assert kernel(2) == 7
    assert when["numba:compile"] == 0 and pressed
