"""Which Prefect server a run and all its workers talk to: the one that the user named, or one of its own."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from turnaround.flows.prefect import private_server
from turnaround.flows.prefect.private_server import PrivateServer
from turnaround.pipeline.errors import CallError

SETTINGS = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_UNPROXIED = ("127.0.0.1", "localhost", "::1")
_ANSWER = 5  # seconds for a server that the user named


def settle() -> None:
    """Set what is not set already; call it before Prefect is imported for the first time."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # failures are in our report
    os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")  # of lost servers one warning tells
    os.environ.setdefault(
        "PREFECT_CLIENT_MAX_RETRIES", "1"
    )  # by default a server that died costs a minute a call
    exempt_loopback()


def exempt_loopback() -> None:
    """Add this machine to the hosts that are asked without a proxy, for this process and its children."""
    for name in [name for name in ("no_proxy", "NO_PROXY") if name in os.environ] or ["no_proxy", "NO_PROXY"]:
        known = [host.strip() for host in os.environ.get(name, "").split(",") if host.strip()]
        if "*" not in known:
            os.environ[name] = ",".join(known + [host for host in _UNPROXIED if host not in known])


def may_be_named() -> bool:
    """Whether the user may have named a server; without importing Prefect, which takes a second."""
    if "prefect" in sys.modules:
        return bool(_url())
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect")
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    for file in (profiles, Path(".env"), Path("prefect.toml"), Path("pyproject.toml")):
        with suppress(OSError, RuntimeError):  # RuntimeError: a user without a home
            text = file.expanduser().read_text(errors="replace").lower()
            if "prefect" in text and "url" in text:
                return True
    return False


@contextmanager
def shared_server(work: Path, private: PrivateServer | None = None) -> Generator[dict[str, str], None, None]:
    """The environment of workers in other processes: without an address each would start a server of its own.

    ValueError where the server that the user named does not answer, PrefectFailed where our own does not.
    """
    from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

    given = get_current_settings().to_environment_variables(exclude_unset=True)
    if url := _url():
        check_answers(url)
        with _exported(given):
            yield {**SETTINGS, **given}
        return
    url = (private or private_server.running(work)).wait()
    given["PREFECT_API_URL"] = url
    with temporary_settings({PREFECT_API_URL: url}), _exported(given):
        yield {**SETTINGS, **given}


def check_answers(url: str) -> None:
    """ValueError where the server that the user named does not answer within seconds, or refuses."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(httpx_settings={"timeout": _ANSWER}, sync_client=True) as client,
        ):
            client.read_flows(limit=1)
    except Exception as error:  # whatever the client, its transport or its parser raise
        reason = first_line(error.__cause__ or error)
        raise CallError(
            f"Prefect's server at {_shown(url)} (PREFECT_API_URL or a Prefect profile) does not answer as "
            f"one: {reason}; "
            "start it (`turnaround server`), unset PREFECT_API_URL so that the run starts its own, or use "
            "--direct"
        ) from error


def first_line(error: BaseException) -> str:
    """An error in a few words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {', '.join(lines[:3])[:200]}" if lines else type(error).__name__


def _url() -> str:
    from prefect.settings import get_current_settings

    return get_current_settings().api.url or ""


def _shown(url: str) -> str:
    """The URL without a name and a password."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return "an address that cannot be read"


def check_reachable() -> None:
    """ValueError where workers of other machines could not reach the server: there is none yet, or it is on
    loopback."""
    url = _url()
    if not url or any(f"//{host}" in url for host in LOOPBACK):
        raise CallError(
            f"workers on other machines need one Prefect server that they all reach, and PREFECT_API_URL is "
            f"{url or 'not set'}: start "
            "`turnaround server --host 0.0.0.0` in a network that you trust and export "
            "PREFECT_API_URL=http://THIS_MACHINE:4200/api"
        )


@contextmanager
def _exported(values: dict[str, str]) -> Generator[None, None, None]:
    """Variables of this process, and so of those that it starts, for a while; Prefect reads them anew."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    _read_anew()
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        _read_anew()


def _read_anew() -> None:
    """Have Prefect's settings follow the variables in threads without a context, too: that of its process
    pool would start a server of its own to report to."""
    from prefect.context import refresh_global_settings_context

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Failed to create the Prefect home")
        refresh_global_settings_context()


def serve(host: str, port: int) -> int:
    """Prefect's server with our settings until it is stopped: in the place of this process where that is
    possible; its exit code."""
    import subprocess

    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    # the page asks whoever served it; by default it asks port 4200 of the browser's machine, whatever host
    # and port are
    environment = {
        **SETTINGS,
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        **os.environ,
    }
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(sys.executable, command, environment)  # signals reach it, and it leaves no child behind
    return subprocess.call(command, env=environment)
