"""Ctrl-C: what is finished is in the store, so the process may end at once, and takes its children with
it."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended
_PATIENCE = (
    3.0  # seconds for what wants to be done at exit; it may wait for a server that Ctrl-C has ended, too
)
_SHOW_CURSOR = "\033[?25h"


_abandoned: list[bool] = []  # filled: threads wait for a server that will never answer


def abandon() -> None:
    """Have `leave` not wait for threads: Prefect's go on sending to a server that is gone, for minutes."""
    _abandoned[:] = [True]


def leave(code: int) -> NoReturn:
    """End the process with that exit code, without waiting where something was abandoned."""
    if _abandoned:
        _end_now(code)
    sys.exit(code)


def end() -> NoReturn:
    """Say how to go on and end without waiting for threads; half-written runs are not in the store."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # pressed twice it is one end
    said = "\ninterrupted; the same command goes on where this one stopped\n"
    try:
        sys.stderr.write((_SHOW_CURSOR if sys.stderr.isatty() else "") + said)
    except RuntimeError:  # pressed while something was being written there
        os.write(2, said.encode())
    _end_now(INTERRUPTED)


def _end_now(code: int) -> NoReturn:
    """Do what is to be done at exit, for 3 s at most: `sys.exit` would first wait for every thread."""
    _flush()
    logging.disable()  # of what cannot be done any more nobody needs to hear
    at_exit = atexit._run_exitfuncs  # pyright: ignore[reportPrivateUsage], there is no public name for it
    leaving = threading.Thread(target=at_exit, daemon=True)
    leaving.start()
    leaving.join(_PATIENCE)
    _end_children()
    _flush()
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(RuntimeError, OSError):  # in the middle of a write; a pipe that nobody reads any more
            stream.flush()


def _end_children() -> None:
    """Worker processes where they are still there; Prefect's private server ends when its pipe closes."""
    for child in multiprocessing.active_children():
        child.terminate()


@contextmanager
def at_once() -> Generator[None, None, None]:
    """Inside of this Ctrl-C ends the process where it stands. As an exception it would get lost or abort the
    process where C++ code has called Python, e.g. while torch is imported; and Prefect would wait for what is
    running first, or for ever."""
    with _handling(lambda _signal, _frame: end()):
        yield


@contextmanager
def raised() -> Generator[None, None, None]:
    """Inside of this Ctrl-C raises KeyboardInterrupt: for what Ctrl-C is the usual end of."""
    with _handling(signal.default_int_handler):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], Any]) -> Generator[None, None, None]:
    """Have SIGINT handled so; where it is ignored, as a shell's background jobs do, it stays ignored."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
