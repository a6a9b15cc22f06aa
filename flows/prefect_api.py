"""The one Prefect server that a run and all its workers talk to: the user's (PREFECT_API_URL), or a short-lived one on loopback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SETTINGS = {  # the first start of a server takes longer than Prefect's own 20 s when several start at once
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def settle() -> None:
    """Set what is not set already; call it before Prefect is imported for the first time."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # failures are in our report


@contextmanager
def shared_server() -> Iterator[dict[str, str]]:
    """The environment of workers in other processes: without an address each would start a server of its own.

    RuntimeError where no server comes up within its time (120 s).
    """
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

    settings = get_current_settings()
    given = settings.to_environment_variables(exclude_unset=True)
    if settings.api.url:
        with _exported(given):
            yield {**SETTINGS, **given}
        return
    server = SubprocessASGIServer()  # the one that Prefect itself would start; it ends with this process, after the last event was sent
    server.start(timeout=int(settings.server.ephemeral.startup_timeout_seconds))
    given["PREFECT_API_URL"] = server.api_url
    with temporary_settings({PREFECT_API_URL: server.api_url}), _exported(given):
        yield {**SETTINGS, **given}


def check_reachable() -> None:
    """ValueError where workers of other machines could not reach the server: there is none yet, or it is on loopback."""
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url or ""
    if not url or any(f"//{host}" in url for host in LOOPBACK):
        raise ValueError(
            f"workers on other machines need one Prefect server that they all reach, and PREFECT_API_URL is {url or 'not set'}: start "
            "`turnaround server --host 0.0.0.0` in a network that you trust and export PREFECT_API_URL=http://THIS_MACHINE:4200/api"
        )


@contextmanager
def _exported(values: dict[str, str]) -> Iterator[None]:
    """Variables of this process, and so of those that it starts, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def serve(host: str, port: int) -> int:
    """Prefect's server with our settings until it is stopped: in the place of this process where that is possible; its exit code."""
    import subprocess

    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    # the page asks whoever served it; by default it asks port 4200 of the browser's machine, whatever host and port are
    environment = {**SETTINGS, "PREFECT_SERVER_UI_API_URL": "/api", "PREFECT_LOGGING_LEVEL": "WARNING", **os.environ}
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(sys.executable, command, environment)  # signals reach it, and it leaves no child behind
    return subprocess.call(command, env=environment)
