"""The real stages give the same bytes in every process, also after a kill; equal bytes stop the cascade."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import faults
import pytest

from turnaround import stages
from turnaround.flows.cli.app import app, guarded

NAME = "person_40004"
PHOTO = Path(__file__).resolve().parents[3] / "docs" / "demo" / f"{NAME}.jpg"
STAGES = len(stages.NAMES)


def turn(*words: object) -> int:
    return guarded(lambda: app([str(word) for word in words], standalone_mode=False))


def run_here(work: Path) -> None:
    assert turn("run", PHOTO, "--config", "tiny", "--direct", "--work", work) == 0


def process(work: Path, step: int) -> subprocess.Popen[bytes]:
    """A run in a process of its own, which kills itself before its disk step number `step`."""
    command = [sys.executable, faults.__file__, str(work), "once", str(step), str(PHOTO)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def made(work: Path) -> int:
    return len(list(work.glob("cache/*/*/manifest.json")))


@pytest.fixture(scope="module")
def runs(tiny_run, tmp_path_factory) -> tuple[Path, Path]:
    """Work folders of a call in this process, and of a command in another, killed late and resumed here."""
    killed = tmp_path_factory.mktemp("runs") / "killed"
    other = process(killed, random.Random(4).randint(650, 1000))
    assert other.wait() == -signal.SIGKILL
    assert STAGES // 2 <= made(killed) < STAGES, "the kill is to hit a later stage: choose another step"
    run_here(killed)
    return tiny_run, killed


def test_two_processes_one_of_them_killed_give_the_same_keys_and_bytes(runs):
    quiet, killed = map(faults.state, runs)
    assert quiet == killed and made(runs[0]) == STAGES


def test_estimate_done_again_gives_its_bytes_and_stops_the_cascade(runs, capsys):
    work, before = runs[0], faults.state(runs[0])
    capsys.readouterr()
    assert turn("rerun", "estimate", "--work", work) == 0
    assert f"(1 stages made, {STAGES - 1} fresh)" in capsys.readouterr().err
    assert faults.state(work) == before
    assert turn("status", NAME, "--json", "--work", work) == 0
    states = {facts["state"] for facts in json.loads(capsys.readouterr().out)[NAME]["stages"].values()}
    assert states == {"FRESH"}


@pytest.mark.slow
def test_a_run_killed_eight_times_in_a_row_is_that_of_an_undisturbed_one(runs, tmp_path):
    chance, kills = random.Random(0), 0
    while kills < 8:
        kills += process(tmp_path / "work", chance.randint(20, 200)).wait() == -signal.SIGKILL
        if made(tmp_path / "work") == STAGES:
            break
    assert kills >= 4
    assert process(tmp_path / "work", 0).wait() == 0
    assert faults.state(tmp_path / "work") == faults.state(runs[0])
