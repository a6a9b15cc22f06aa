"""Ctrl-C ends the process where it stands, also where an exception could not get through."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import threading

import pytest

from turnaround.flows.cli.app import guarded
from turnaround.flows.runs import interrupts


@pytest.fixture
def handled():
    """A terminal's way of SIGINT, whatever started the suite; put back after the test."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def left(monkeypatch):
    """The exit codes that the process would have ended with."""
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr("atexit._run_exitfuncs", lambda: None)  # the suite's own
    yield codes
    logging.disable(logging.NOTSET)


def test_a_command_ends_where_it_stands(handled, left, capsys):
    def swallow() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:  # as an import may, or a callback of C++
            pytest.fail("it was an exception")

    with pytest.raises(SystemExit):
        guarded(swallow)
    assert left == [130] and "goes on where this one stopped" in capsys.readouterr().err


def test_what_ctrl_c_is_the_usual_end_of_gets_an_exception(handled, left):
    def waits() -> int:
        with pytest.raises(KeyboardInterrupt), interrupts.raised():
            signal.raise_signal(signal.SIGINT)
        return 0

    assert guarded(waits) == 0 and not left
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("how", [interrupts.at_once, interrupts.raised])
def test_ignored_it_stays_ignored(handled, how):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with how():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_change_nothing(handled):
    def inside() -> None:
        with interrupts.at_once():
            found.append(signal.getsignal(signal.SIGINT))

    found: list[object] = []
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_pressed_in_the_middle_of_a_message_it_is_said_all_the_same(handled, left, monkeypatch, capfd):
    class Writing(io.StringIO):
        def write(self, text: str) -> int:
            raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

        def flush(self) -> None:
            self.write("")

    monkeypatch.setattr(sys, "stderr", Writing())
    with pytest.raises(SystemExit):
        guarded(lambda: signal.raise_signal(signal.SIGINT))
    assert left == [130] and "goes on where this one stopped" in capfd.readouterr().err


@pytest.mark.heavy
def test_while_torch_is_imported_it_ends_with_130(tmp_path):
    """At moments all over the import: an exception gets lost there, turns into an ImportError, or aborts."""
    code = (
        "from turnaround.flows.cli.app import guarded\n"
        "def load():\n print('go', flush=True)\n import torch, time\n time.sleep(60)\n"
        "guarded(load)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    for wait in (0.1, 0.3, 0.5, 0.7, 0.9, 1.2):
        running = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert running.stdout
        running.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(wait)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
        assert (running.returncode, said.count("goes on where")) == (130, 1), said
