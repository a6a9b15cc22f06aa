"""Warnings while a subject is done: each names it, and reaches the user from a worker process, too."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

_OURS = "turnaround."


@dataclass(frozen=True)
class Heard:
    """The subject that is being done, and what was warned of meanwhile."""

    subject: str
    messages: list[str] = field(default_factory=list)


_heard: ContextVar[Heard | None] = ContextVar("turnaround_heard", default=None)


@contextmanager
def naming(subject: str) -> Generator[list[str], None, None]:
    """Put the subject's name before every warning of ours that is logged meanwhile; the list they fill."""
    _install()
    heard = Heard(subject)
    token = _heard.set(heard)
    try:
        yield heard.messages
    finally:
        _heard.reset(token)


def this_process() -> str:
    """Name the process among those of all machines."""
    return f"{socket.gethostname()}:{os.getpid()}"


def pass_on(process: str, messages: Sequence[str]) -> None:
    """Warn here of what another process has heard, whose own log nobody may see."""
    if process and process != this_process():
        for message in messages:
            log.warning("%s", message)


@contextmanager
def silently(quiet: bool) -> Generator[None, None, None]:
    """Keep our warnings from being said here where `quiet`: in a worker whose warnings are passed on."""
    if not quiet:
        yield
        return
    ours = logging.getLogger(_OURS.rstrip("."))
    handler, before = logging.NullHandler(), ours.propagate
    ours.addHandler(handler)
    ours.propagate = False
    try:
        yield
    finally:
        ours.propagate = before
        ours.removeHandler(handler)


def _install() -> None:
    """Make records of warnings name the subject, whoever handles them."""
    make = logging.getLogRecordFactory()
    if getattr(make, "names_subjects", False):
        return

    def named(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        heard = _heard.get()
        if heard is None or record.levelno < logging.WARNING or not record.name.startswith(_OURS):
            return record
        message = record.getMessage()
        if not message.startswith((f"{heard.subject}:", f"{heard.subject}/")):
            message = f"{heard.subject}: {message}"
        record.msg, record.args = message, ()
        heard.messages.append(message)
        return record

    named.names_subjects = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(named)
