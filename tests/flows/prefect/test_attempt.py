"""Prefect may never cost a user the run: what is named and does not answer is an error at once, whatever else
fails is one warning, and the run goes on directly."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from turnaround.flows.prefect import attempt, private_server, server
from turnaround.flows.prefect.private_server import PrefectFailed
from turnaround.flows.runs import interrupts
from turnaround.flows.runs.execute import Job, Result
from turnaround.flows.subjects.memory import Memory
from turnaround.pipeline.graph import ordered
from turnaround.pipeline.photos.source import find_photos
from turnaround.pipeline.store.store import Store

SUPPORT = Path(toy.__file__).parent
HOSTS = st.lists(st.sampled_from(["example.org", ".corp", "10.0.0.1", "localhost", "::1"]), unique=True)


@pytest.fixture
def jobs(tmp_path) -> list[Job]:
    toy.calls.clear()
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"p{number}.png").write_bytes(b"x" * (25 + number))
    Store(tmp_path / "work").prepare()
    stages = tuple(ordered([toy.Count(), toy.Share(), toy.Label()]))
    return [
        Job(photo, tmp_path / "work", stages, toy.WEIGHTS.__getitem__, Memory(str(photo.image)), device="cpu")
        for photo in find_photos([tmp_path / "photos"])
    ]


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """No server named, no server running, nothing abandoned."""
    import turnaround.flows.prefect.flow  # noqa: F401, importing Prefect sets up logging, which caplog follows

    monkeypatch.setattr(server, "may_be_named", lambda: False)
    monkeypatch.setattr(private_server, "_running", [])
    monkeypatch.setattr(interrupts, "_abandoned", [])


def attempted(jobs: list[Job]) -> tuple[list[str], list[Result]]:
    """Names of those that are left, and the results of the others."""
    finished: list[Result] = []
    left = attempt.under_prefect(jobs, "threads", 1, lambda *_: None, finished.append)
    return [job.photo.name for job in left], finished


# ---- loopback and proxies


@given(st.none() | HOSTS, st.none() | HOSTS)
def test_loopback_is_exempt_from_proxies_and_the_user_s_hosts_stay(lower, upper):
    given_ = {"no_proxy": lower, "NO_PROXY": upper}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("http_proxy", "http://127.0.0.1:9")
        for name, hosts in given_.items():
            patch.delenv(name, raising=False) if hosts is None else patch.setenv(name, ",".join(hosts))
        before = {name: bool(urllib.request.proxy_bypass(name)) for name in ("example.org", "x.corp")}
        server.exempt_loopback()
        for host in ("127.0.0.1", "localhost", "::1", "127.0.0.1:4200"):
            assert urllib.request.proxy_bypass(host), host
        assert before == {name: bool(urllib.request.proxy_bypass(name)) for name in before}
        for name, hosts in given_.items():
            assert set(hosts or ()) <= set(os.environ.get(name, "").split(","))
        once = dict(os.environ)
        server.exempt_loopback()
        assert dict(os.environ) == once


def test_no_proxy_at_all_stays_none(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.exempt_loopback()
    assert os.environ["no_proxy"] == "*"


# ---- is a server named?


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("home/profiles.toml", '[profiles.team]\nPREFECT_API_URL = "http://server:4200/api"\n', True),
        ("home/profiles.toml", '[profiles.local]\nPREFECT_LOGGING_LEVEL = "DEBUG"\n', False),
        ("prefect.toml", '[api]\nurl = "http://server:4200/api" # for prefect', True),
        (".env", "PREFECT_API_URL=http://server:4200/api", True),
        ("pyproject.toml", '[project]\nurls = "x"\n', False),
        ("home/nothing", "", False),
    ],
)
def test_a_server_may_be_named_in_a_file(tmp_path, monkeypatch, file, text, named):
    monkeypatch.delitem(sys.modules, "prefect", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / file).write_text(text)
    assert server.may_be_named() is named
    monkeypatch.setenv("PREFECT_API_URL", "http://server:4200/api")
    assert server.may_be_named()


# ---- what Prefect cannot do goes on directly


def test_a_server_that_does_not_come_up_leaves_all(jobs, alone, monkeypatch, caplog):
    def none(work: Path) -> Any:
        raise PrefectFailed("its server did not come up within 15 s")

    monkeypatch.setattr(private_server, "running", none)
    assert attempted(jobs) == (["p0", "p1", "p2"], [])
    (record,) = caplog.records
    assert "did not come up within 15 s; 3 of 3 photos go on directly" in record.message
    assert "--direct" in record.message


def test_what_was_done_before_prefect_failed_is_not_left(jobs, alone, monkeypatch, caplog):
    from turnaround.flows.prefect import flow

    def one(jobs: list[Job], runner: str, workers: int, finished: Any, private: Any) -> None:
        finished(Result(jobs[1].photo.name, "p1.png"))
        raise PrefectFailed("ConnectError: refused")

    monkeypatch.setattr(private_server, "running", lambda work: None)
    monkeypatch.setattr(flow, "run_with_prefect", one)
    left, finished = attempted(jobs)
    assert left == ["p0", "p2"] and [result.subject for result in finished] == ["p1"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with pytest.raises(SystemExit):
        monkeypatch.setattr(interrupts, "_end_now", sys.exit)
        interrupts.leave(0)


def test_a_prefect_that_cannot_be_imported_leaves_all(jobs, alone, monkeypatch, caplog):
    monkeypatch.setattr(private_server, "running", lambda work: None)
    monkeypatch.setitem(sys.modules, "turnaround.flows.prefect.flow", None)
    assert attempted(jobs)[0] == ["p0", "p1", "p2"]
    assert "cannot be imported" in caplog.text


def test_what_is_done_needs_no_server(jobs, alone, monkeypatch):
    from turnaround.flows.prefect.runners import run_direct

    assert not any(attempt.is_done(job) for job in jobs)
    run_direct(jobs, 1, lambda *_: None, lambda _: None)
    assert all(attempt.is_done(job) for job in jobs)
    monkeypatch.setattr(private_server, "running", None)  # not called
    toy.calls.clear()
    left, finished = attempted(jobs)
    assert not left and not toy.calls
    assert {facts["state"] for result in finished for facts in result.stages.values()} == {"fresh"}
    (jobs[0].photo.image).write_bytes(b"other")
    assert not attempt.is_done(jobs[0]) and attempt.is_done(jobs[1])


# ---- the command, in processes of their own


def command(
    folder: Path, *words: str, script: Path = SUPPORT / "toy_cli.py", **variables: str
) -> tuple[subprocess.CompletedProcess[str], float]:
    """`turnaround` over the toy stages with these variables, and its seconds."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("PREFECT_")}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(script), *words],
        cwd=folder,
        env=kept | {"HOME": str(folder / "home")} | variables,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done, time.monotonic() - started


def test_a_named_server_that_does_not_answer_is_an_error(jobs, tmp_path):
    url = "http://somebody:secret@127.0.0.1:9/api"
    done, seconds = command(tmp_path, "run", "photos", PREFECT_API_URL=url)
    assert done.returncode == 2 and seconds < 60  # seconds, when nothing else is going on
    (line,) = done.stderr.splitlines()
    assert "http://127.0.0.1:9/api" in line and "secret" not in line
    assert (
        "--direct" in line and "PREFECT_API_URL" in line and not list((tmp_path / "work/cache").glob("*/*"))
    )


DRIVER = """
import sys
from pathlib import Path
import toy
from turnaround import stages
from turnaround.models import zoo
stages.classes = lambda: (toy.Count, toy.Share, toy.Label)
zoo.digest = toy.WEIGHTS.__getitem__
from turnaround.flows.prefect import private_server
from turnaround.flows.runs import interrupts
from turnaround.flows.cli.app import app, guarded
private_server.PATIENCE = 150
codes = [guarded(lambda: app(["run", "photos"], standalone_mode=False))]
print(private_server._running[0].home, flush=True)
run = toy.Share.run
def killing(self, **inputs):
    private_server._running[0]._process.kill()
    return run(self, **inputs)
toy.Share.run = killing
words = ["run", "photos", "--set", "stages.count.offset=100"]
codes.append(guarded(lambda: app(words, standalone_mode=False)))
print(codes, flush=True)
interrupts.leave(0)
"""


def test_everything_at_once_costs_nothing_but_a_warning(jobs, tmp_path):
    """A proxy that is dead, a home that is a file, settings that no server can start with, a damaged data
    base: the run is done under Prefect. Then its server is killed half-way: the run is done, too."""
    (tmp_path / "home").write_text("")
    (tmp_path / "work/prefect").mkdir(parents=True)
    (tmp_path / "work/prefect/prefect.db").write_bytes(os.urandom(3000))
    (tmp_path / "driver.py").write_text(DRIVER)
    variables = {
        name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "all_proxy")
    }
    variables |= {"PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://nobody@127.0.0.1:9/none"}
    variables |= {
        "PREFECT_SERVER_API_BASE_PATH": "/elsewhere",
        "PREFECT_SERVER_API_AUTH_STRING": "user:password",
    }
    variables |= {
        "PREFECT_CLIENT_MAX_RETRIES": "0",
        "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")]),
    }
    done, _ = command(tmp_path, script=tmp_path / "driver.py", **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["work/prefect", "[0, 0]"]
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert "is damaged" in warnings[0] and "ConnectError" in warnings[-1] and "--direct" in warnings[-1]
    assert "Traceback" not in done.stderr and done.stderr.count("3 of 3 photos done") == 2
    runs = flow_runs(tmp_path / "work/prefect/prefect.db")
    assert runs[0] == "COMPLETED" and len(runs) == 2


def flow_runs(database: Path) -> list[str]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT state_type FROM flow_run ORDER BY created").fetchall()
    return [state for (state,) in found]
