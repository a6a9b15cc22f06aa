"""The Prefect server of one run: on loopback, its data base in the work folder, up in seconds or given up."""

from __future__ import annotations

import atexit
import http.client
import logging
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from turnaround.flows.prefect.empty_database import NAME, place
from turnaround.pipeline.store import locks

log = logging.getLogger(__name__)

PATIENCE = 15.0  # seconds from the start until it is given up
FOLDER = "prefect"  # in the work folder
_LOG = "server.log"
_NOT_ITS_FAULT = (  # of a data base that cannot be read now: in use, or on a disk that fails
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_IOERR,
)
_PROCESS = Path(__file__).with_name("server_process.py")
_GRACE = 3.0  # seconds between asking the process to end and ending it
_SETTINGS = {  # nothing of the user's settings for servers counts here: they are for another one
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",  # we use none, and they cost a second
    "PREFECT_UI_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


class PrefectFailed(RuntimeError):
    """Prefect or its server cannot do what was asked; the message is the reason, and the run goes on
    without."""


_running: list[PrivateServer] = []  # the one of this process


def running(work: Path) -> PrivateServer:
    """The server of this process, begun where there is none; PrefectFailed where it cannot be started."""
    if not (_running and _running[0].alive()):
        server = PrivateServer(work)
        server.begin()
        _running[:] = [server]
    return _running[0]


def stop_running() -> None:
    """End the server of this process where there is one."""
    while _running:
        _running.pop().stop()


class PrivateServer:
    """A server process and its folder.

    `begin` returns at once, so that this process may import Prefect meanwhile.
    """

    def __init__(self, work: Path) -> None:
        self._work, self._stack = work, ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._home, self._port, self._deadline = work / FOLDER, 0, 0.0

    @property
    def url(self) -> str:
        """Prefect's API, as PREFECT_API_URL has it."""
        return f"http://127.0.0.1:{self._port}/api"

    @property
    def home(self) -> Path:
        """The folder of the data base and of the log."""
        return self._home

    def begin(self) -> None:
        """Start the process; PrefectFailed where no folder can be written or no process started."""
        self._deadline = time.monotonic() + PATIENCE
        atexit.register(self.stop)  # before Prefect's own: its last events are sent while the server is there
        self._claim()
        self._launch()

    def wait(self) -> str:
        """The URL as soon as the server answers; PrefectFailed with the reason after 15 s, or when it ended
        twice."""
        ended = 0
        while not self._answers():
            if time.monotonic() > self._deadline:
                self.stop()
                raise PrefectFailed(f"its server did not come up within {PATIENCE:.0f} s")
            if self._process is not None and self._process.poll() is not None:
                ended += 1
                reason = _last_line(self._home / _LOG)
                if ended > 1:
                    self.stop()
                    raise PrefectFailed(f"its server ended at once ({reason})")
                log.debug("Prefect's server ended (%s); once more in a temporary folder", reason)
                self._stack.close()
                self._home = self._temporary()
                self._launch()
            time.sleep(0.02)
        return self.url

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End the process and give its folder free; may be called again."""
        process, self._process = self._process, None
        atexit.unregister(self.stop)
        if process is not None:
            process.terminate()
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
        self._stack.close()

    def _claim(self) -> None:
        """Take the folder in the work folder, or a temporary one where that cannot be written or another run
        has it."""
        try:
            self._stack.enter_context(locks.held(self._home / "lock", locks.EXCLUSIVE | locks.AT_ONCE))
            heal(self._home / NAME)
        except OSError as error:  # read-only, full, held by another run, no locks on this file system
            log.debug("%s: %s; Prefect's data base is elsewhere", self._home, error)
            self._stack.close()
            self._home = self._temporary()

    def _temporary(self) -> Path:
        try:
            folder = tempfile.TemporaryDirectory(prefix="turnaround-prefect-", ignore_cleanup_errors=True)
        except OSError as error:
            raise PrefectFailed(f"there is no folder for its data base ({error})") from error
        return Path(self._stack.enter_context(folder))

    def _launch(self) -> None:
        self._port = free_port()
        foreign = {name for name in os.environ if name.upper().startswith("PREFECT_")}
        environment = {name: value for name, value in os.environ.items() if name not in foreign}
        environment |= _SETTINGS | {"PREFECT_HOME": str(self._home.resolve())}
        command = [sys.executable, "-P", str(_PROCESS), str(self._port)]
        try:
            place(self._home)
            with (self._home / _LOG).open("wb") as said:
                self._process = (
                    subprocess.Popen(  # cwd: Prefect reads .env, prefect.toml and pyproject.toml there
                        command,
                        env=environment,
                        cwd=self._home,
                        stdin=subprocess.PIPE,
                        stdout=said,
                        stderr=said,
                    )
                )
        except OSError as error:
            self.stop()
            raise PrefectFailed(f"its server cannot be started ({error})") from error

    def _answers(self) -> bool:
        """Whether our process answers; never through a proxy."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", "/api/health")
            return connection.getresponse().status == 200 and self.alive()
        return False


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def heal(database: Path) -> None:
    """Set a data base aside that SQLite calls damaged; OSError where that is not possible."""
    if not database.exists() or (reason := _damage(database)) is None:
        return
    aside = database.with_name(f"damaged-{time.strftime('%Y%m%d-%H%M%S')}.db")
    database.rename(aside)
    for journal in (f"{database.name}-wal", f"{database.name}-shm", f"{database.name}-journal"):
        database.with_name(journal).unlink(missing_ok=True)
    said = "%s is damaged (%s): it is now %s, and Prefect's records begin anew; no result is lost"
    log.warning(said, database, reason, aside.name)


def _damage(database: Path) -> str | None:
    """What SQLite says of the file; None where it is well, OSError where that cannot be told."""
    try:
        with closing(sqlite3.connect(database, timeout=1)) as connection:
            said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _NOT_ITS_FAULT:
            raise OSError(f"{database}: {error}") from error
        return str(error)
    return None if said == "ok" else said.splitlines()[0]


def _last_line(file: Path) -> str:
    """What a process said last, without what Prefect puts before it."""
    with suppress(OSError):
        lines = [line.strip() for line in file.read_text(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if "Error" in line.split(":")[0]] or lines
        return telling[-1][:200] if telling else "it said nothing"
    return "its log cannot be read"
