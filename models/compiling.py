"""Ctrl-C waits until a kernel is compiled: raised inside of LLVM's callbacks it is lost there, or ends the
process with a fault."""

from __future__ import annotations

import signal
import threading
from functools import cache
from types import FrameType
from typing import Any

from numba.core import event


class Deferred(event.Listener):
    """Holds SIGINT back while the main thread has numba's compiler, and sends it again after that."""

    def __init__(self) -> None:
        self.depth, self.pressed = 0, False
        self.before: Any = None

    def on_start(self, event: event.Event) -> None:
        """The compiler is entered, perhaps from within."""
        if threading.current_thread() is not threading.main_thread():
            return
        self.depth += 1
        if self.depth == 1:
            self.pressed, self.before = False, signal.getsignal(signal.SIGINT)
            if callable(self.before):  # ignored, or the system's own: it stays
                signal.signal(signal.SIGINT, self._hold)

    def on_end(self, event: event.Event) -> None:
        """The compiler is left."""
        if threading.current_thread() is not threading.main_thread() or not self.depth:
            return
        self.depth -= 1
        if self.depth == 0 and callable(self.before):
            signal.signal(signal.SIGINT, self.before)
            if self.pressed:
                signal.raise_signal(signal.SIGINT)

    def _hold(self, _signal: int, _frame: FrameType | None) -> None:
        self.pressed = True


@cache
def defer_interrupts() -> None:
    """From now on, in this process; the second call does nothing."""
    event.register("numba:compiler_lock", Deferred())
