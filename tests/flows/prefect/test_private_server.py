"""The server of a run's own: where its data base lies, what it does when it cannot start, that it never
outlives the run. A small program takes the place of Prefect's server, which needs seconds to start."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from turnaround.flows.prefect import empty_database, private_server
from turnaround.flows.prefect.private_server import PrefectFailed, PrivateServer
from turnaround.pipeline.store import locks

ANSWERING = """
import http.server, os, pathlib, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
pathlib.Path("environment").write_text("\\n".join(os.environ))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ENDING = "import sys\nsys.exit('Traceback\\nOSError: [Errno 98] address already in use')"
ONCE = """
import os, pathlib, runpy, sys
flag = pathlib.Path(__file__).with_name("ended")
if not flag.exists():
    flag.touch()
    sys.exit("address already in use")
runpy.run_path(str(pathlib.Path(__file__).with_name("answering.py")), run_name="__main__")
"""
SILENT = "import sys\nsys.stdin.read()"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a program in the place of Prefect's server."""

    def put(text: str) -> None:
        (tmp_path / "answering.py").write_text(ANSWERING)
        (tmp_path / "program.py").write_text(text)
        monkeypatch.setattr(private_server, "_PROCESS", tmp_path / "program.py")

    return put


def started(work: Path) -> PrivateServer:
    server = PrivateServer(work)
    server.begin()
    return server


def damaged(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prefect.db").write_bytes(content)
    return folder / "prefect.db"


def intact() -> bytes:
    import gzip

    return gzip.decompress(empty_database.FILE.read_bytes())


def version(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def test_it_lies_in_the_work_folder_and_ends_with_stop(tmp_path, program):
    program(ANSWERING)
    server = started(tmp_path / "work")
    url = server.wait()
    assert url.startswith("http://127.0.0.1:") and url.endswith("/api") and server.alive()
    assert server.home == tmp_path / "work" / "prefect" and version(server.home / "prefect.db")
    server.stop()
    server.stop()
    assert not server.alive()
    with locks.held(server.home / "lock", locks.EXCLUSIVE | locks.AT_ONCE):
        pass  # free again


def test_settings_of_the_user_s_server_do_not_reach_it(tmp_path, program, monkeypatch):
    program(ANSWERING)
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "user:password")
    server = started(tmp_path / "work")
    server.wait()
    names = set((server.home / "environment").read_text().split())
    server.stop()
    assert {name for name in names if name.startswith("PREFECT_")} == {
        "PREFECT_HOME",
        "PREFECT_SERVER_ANALYTICS_ENABLED",
        "PREFECT_API_BLOCKS_REGISTER_ON_START",
        "PREFECT_UI_ENABLED",
    }


@pytest.mark.parametrize("obstacle", ["a file", "another run"])
def test_without_its_folder_it_takes_a_temporary_one(tmp_path, program, obstacle):
    program(ANSWERING)
    work = tmp_path / "work"
    work.mkdir()
    other = None
    if obstacle == "a file":
        (work / "prefect").write_text("")
    else:
        other = started(work)
    server = started(work)
    server.wait()
    home = server.home
    assert work not in home.parents and version(home / "prefect.db")
    server.stop()
    assert not home.exists()
    if other:
        assert other.home == work / "prefect"
        other.stop()


def test_one_that_ends_at_once_is_begun_again_with_another_port(tmp_path, program):
    program(ONCE)
    server = started(tmp_path / "work")
    before = server.url
    assert server.wait() != before
    server.stop()


def test_one_that_ends_twice_is_given_up_with_its_last_words(tmp_path, program):
    program(ENDING)
    with pytest.raises(PrefectFailed, match=r"OSError: \[Errno 98\] address already in use"):
        started(tmp_path / "work").wait()


def test_one_that_never_answers_is_given_up(tmp_path, program, monkeypatch):
    program(SILENT)
    monkeypatch.setattr(private_server, "PATIENCE", 0.3)
    server = started(tmp_path / "work")
    with pytest.raises(PrefectFailed, match="did not come up within"):
        server.wait()
    assert not server.alive()


def test_no_process_at_all_is_a_reason_and_no_trace(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(PrefectFailed, match="cannot be started"):
        PrivateServer(tmp_path / "work").begin()


def test_prefect_s_server_ends_when_the_run_is_killed(tmp_path):
    text = (
        "import pathlib, sys, time\n"
        "from turnaround.flows.prefect.private_server import PrivateServer\n"
        f"server = PrivateServer(pathlib.Path({str(tmp_path / 'work')!r}))\n"
        "server.begin()\nprint(server._process.pid, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        os.kill(child, 0)
        run.send_signal(signal.SIGKILL)
        run.wait()
    until = time.monotonic() + 10
    while time.monotonic() < until and Path(f"/proc/{child}").exists() and not ended(child):
        time.sleep(0.02)
    assert ended(child)


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(
    "content",
    [b"", os.urandom(5000), intact()[:200_000], b"SQLite format 3\0" + bytes(8000)],
    ids=["empty", "noise", "cut short", "header only"],
)
def test_a_damaged_data_base_is_set_aside_and_begun_anew(tmp_path, caplog, content):
    database = damaged(tmp_path, content)
    for journal in ("prefect.db-wal", "prefect.db-shm"):
        (tmp_path / journal).write_bytes(b"rubbish")
    private_server.heal(database)
    assert not database.exists() and not (tmp_path / "prefect.db-wal").exists()
    assert [file.read_bytes() for file in tmp_path.glob("damaged-*.db")] == [content]
    assert str(database) in caplog.text and "no result is lost" in caplog.text
    empty_database.place(tmp_path)
    assert version(database)


def test_a_data_base_in_use_is_not_called_damaged(tmp_path):
    database = damaged(tmp_path, intact())
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match="locked"):
            private_server.heal(database)
    assert database.read_bytes() == intact()


def test_a_good_data_base_is_left_alone(tmp_path, caplog):
    database = damaged(tmp_path, intact())
    private_server.heal(database)
    empty_database.place(tmp_path)
    assert database.read_bytes() == intact() and not caplog.text
    assert [file.name for file in tmp_path.iterdir()] == ["prefect.db"]


def test_the_empty_data_base_is_that_of_the_prefect_that_is_installed(tmp_path):
    """`python -m turnaround.flows.prefect.empty_database` makes it anew."""
    import importlib.util
    import re

    specification = importlib.util.find_spec("prefect")
    assert specification is not None and specification.origin is not None
    versions = Path(specification.origin).parent / "server/database/_migrations/versions/sqlite"
    texts = "\n".join(file.read_text() for file in versions.glob("*.py"))
    revisions, parents = (
        set(re.findall(rf'^{name}\b[^=\n]*= "(\w+)"', texts, re.M)) for name in ("revision", "down_revision")
    )
    (head,) = revisions - parents
    assert version(damaged(tmp_path, intact())) == head
