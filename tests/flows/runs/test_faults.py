"""Faults from outside: full and read-only disks, odd paths, clocks, two runs at once, damage, Ctrl-C,
a full GPU."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faults
import pytest
import toy

import turnaround.flows.runs.execute
import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.store.store import Store

SUPPORT = Path(faults.__file__).resolve().parent
STAGES = 3


@pytest.fixture(autouse=True)
def _toys(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)
    toy.calls.clear()


@pytest.fixture
def photos(tmp_path) -> Path:
    return people(tmp_path / "photos")


def people(folder: Path, count: int = 2) -> Path:
    folder.mkdir(parents=True)
    for i in range(count):
        (folder / f"p{i}.png").write_bytes(b"x" * (25 + 10 * i))
    return folder


def turn(*words: object) -> int:
    return guarded(lambda: app([str(word) for word in words], standalone_mode=False))


def process(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SUPPORT / "toy_cli.py"), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a shell's background jobs ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(condition: Any, running: subprocess.Popen[str], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until and running.poll() is None, running.communicate()
        time.sleep(0.02)


def undisturbed(photos: Path, *words: object) -> dict[str, str]:
    """What a work folder holds after a run that nothing happened to."""
    assert turn("run", photos, "--direct", "--work", "quiet", *words) == 0
    toy.calls.clear()
    return faults.state(Path("quiet"))


# ---------------------------------------------------------------------------------------------- disks


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Any]:
    """A file system of a few kilobytes; yields a function that mounts it again with other options."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk here")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("free", [0, 8, 24, 40, 56, 100])
def test_a_full_disk_fails_with_the_remedy_and_the_run_goes_on_when_there_is_room(
    photos, tmp_path, capsys, free
):
    """Whatever it is that does not fit: a lock, an output, a link or the report (a photo's film has 25 and 35
    kB)."""
    wanted = undisturbed(photos)
    capsys.readouterr()
    with small_disk(tmp_path / "disk", "200k") as remount:
        work = tmp_path / "disk" / "work"
        Store(work).prepare()
        disk = os.statvfs(tmp_path / "disk")
        (tmp_path / "disk" / "ballast").write_bytes(bytes(disk.f_bavail * disk.f_frsize - free * 1024))
        code = turn("run", photos, "--direct", "--work", work)
        said = capsys.readouterr().err
        assert code in (1, 2) and "No space left on device" in said and "Traceback" not in said, said
        assert faults.state(work).keys() <= wanted.keys(), "nothing half-written under a final name"
        remount("size=10m")
        assert turn("run", photos, "--direct", "--work", work) == 0
        assert faults.state(work) == wanted


def test_a_read_only_folder_can_be_looked_at_and_nothing_more(photos, tmp_path, capsys):
    with small_disk(tmp_path / "disk", "10m") as remount:
        work = tmp_path / "disk" / "work"
        assert turn("run", photos, "--direct", "--work", work) == 0
        film = next(work.glob("cache/count/*/film.mp4"))
        film.write_bytes(b"y" + film.read_bytes()[1:])
        remount("ro")
        capsys.readouterr()
        assert turn("run", photos, "--direct", "--work", work) == 2
        assert (
            "cannot be written (Read-only file system); choose another with --work" in capsys.readouterr().err
        )
        assert turn("status", "--work", work) == turn("inspect", "p0", "--work", work) == 0
        assert capsys.readouterr().out.count("FRESH") >= 2 * STAGES
        assert turn("verify", "--work", work) == 1
        assert "left where it is" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["with spaces and 'quotes'", "wörk ‹日本› 🙂", "-dash $HOME `x` %41 #1?"])
def test_folders_of_any_name(tmp_path, name, capsys):
    photos = people(tmp_path / name / "photos")
    (photos / "p1.png").write_bytes(b"bad")
    (photos / "p0.png").rename(photos / f"{name.replace('?', '')}.png")
    assert turn("run", photos, "--direct", "--work", tmp_path / name / "work") == 1
    said = capsys.readouterr().err
    (photos / "p1.png").write_bytes(b"good now")
    resume = next(line for line in said.splitlines() if line.startswith("Resume with: turnaround "))
    script = (
        f'set -e; turnaround() {{ {sys.executable} {SUPPORT / "toy_cli.py"} "$@"; }}; '
        f"{resume.removeprefix('Resume with: ')}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert turn("status", "--long", "--work", tmp_path / name / "work") == 0
    assert capsys.readouterr().out.count("FRESH") == 2 * STAGES
    assert turn("verify", "--work", tmp_path / name / "work") == 0


# ---------------------------------------------------------------------------------------------- clocks


def test_a_clock_that_goes_back_loses_and_repeats_nothing(photos, monkeypatch):
    wanted = undisturbed(photos)
    clock, shift = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: clock() + shift[0])
    monkeypatch.setattr(
        time,
        "strftime",
        lambda form, *rest, f=time.strftime: f(form, *(rest or (time.localtime(time.time()),))),
    )
    assert turn("run", photos, "--direct") == 0
    for shift[0] in (-0.5, -86400.0 * 365, 86400.0):
        assert turn("run", photos, "--direct") == 0
    assert len(toy.calls) == 2 * STAGES and faults.state(Path("work")) == wanted
    assert len(list(Path("work/runs").iterdir())) == 4, (
        "runs of the same second, and of years ago, have folders of their own"
    )
    young = Path("work/tmp/1-half-written")
    young.mkdir()
    shift[0] = -86400.0
    assert turn("gc") == 0 and young.is_dir() and faults.state(Path("work")) == wanted


def test_a_photo_that_changes_within_a_tick_of_the_clock_is_seen(photos):
    """Same size, same times: only its content tells."""
    photo = photos / "p0.png"
    then = time.time() - 1e6
    for content in (b"1" * 25, b"2" * 25, b"1" * 25):
        photo.write_bytes(content)
        os.utime(photo, (then, then))
        assert turn("run", photo, "--direct") == 0
        film = Path("work/subjects/p0/01_count/film.mp4")
        assert film.read_bytes()[:25] == content
    assert toy.calls.count("count") == 2


# ---------------------------------------------------------------------------------------------- together


def test_two_runs_on_one_folder_compute_nothing_twice(photos):
    wanted = undisturbed(photos, "--set", "stages.count.pause=0.3")
    words = ("run", photos, "--direct", "--workers", 2, "--set", "stages.count.pause=0.3")
    both = [process(*words) for _ in range(2)]
    said = [running.communicate(timeout=120) for running in both]
    assert [running.returncode for running in both] == [0, 0], said
    reports = [json.loads(file.read_text()) for file in Path("work/runs").glob("*/report.json")]
    states = [
        stage["state"]
        for report in reports
        for subject in report["subjects"].values()
        for stage in subject["stages"].values()
    ]
    assert len(reports) == 2 and sorted(states) == ["fresh"] * 2 * STAGES + ["made"] * 2 * STAGES
    assert faults.state(Path("work")) == wanted


def test_gc_does_not_delete_under_a_run(photos, capsys):
    running = process(
        "run", photos, "--direct", "--set", "stages.share.divisor=3", "--set", "stages.count.pause=0.5"
    )
    wait_for(lambda: list(Path("work/locks").glob("count-*")), running)
    assert turn("gc") == 2
    assert "a run is at work in this folder" in capsys.readouterr().err
    assert running.wait(60) == 0, running.communicate()
    assert turn("gc") == 0


# ---------------------------------------------------------------------------------------------- damage


def test_verify_finds_flipped_bits_and_run_makes_them_again(photos, capsys):
    wanted = undisturbed(photos)
    assert turn("run", photos, "--direct") == 0
    assert turn("verify") == 0
    flipped = sorted(Path("work/cache").glob("*/*/*.*"))
    flipped = [file for file in flipped if file.name != "manifest.json"][::3]
    for file in flipped:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 4
        file.write_bytes(content)
    capsys.readouterr()
    assert turn("verify", "--keep", "--json") == 1
    report = json.loads(capsys.readouterr().out)
    told = {f"{damage['run']}/{fault['file']}" for damage in report["damaged"] for fault in damage["faults"]}
    assert told == {file.relative_to("work").as_posix() for file in flipped} and not report["intact"]
    assert all(
        len(fault["expected"]) == len(fault["got"]) == 64
        for damage in report["damaged"]
        for fault in damage["faults"]
    )
    assert turn("verify") == 1
    assert "set aside as tmp/damaged-" in capsys.readouterr().out
    toy.calls.clear()
    assert turn("run", photos, "--direct") == 0
    assert len(toy.calls) == len(report["damaged"]) and faults.state(Path("work")) == wanted
    assert turn("verify") == 0


def test_verify_looks_at_the_subjects_asked_for(photos, capsys):
    turn("run", photos, "--direct")
    film = Path("work/subjects/p1/01_count/film.mp4")
    film.write_bytes(film.read_bytes()[:-1])
    assert turn("verify", "p0", "--keep") == 0
    assert turn("verify", "p1", "--keep") == 1
    assert "film.mp4 has 34999 bytes, expected 35000" in capsys.readouterr().out
    assert turn("verify", "nobody") == 2


def test_damage_met_on_the_way_is_made_again_by_itself(photos, caplog):
    """A flipped bit in what a stage needs, found when it is read: never computed from, and mended without
    being asked."""
    wanted = undisturbed(photos, "--set", "stages.share.divisor=2")
    assert turn("run", photos, "--direct") == 0
    number = Path("work/subjects/p0/01_count/number.json")
    number.write_text(number.read_text().replace("25", "26"))
    toy.calls.clear()
    assert turn("run", photos, "--direct", "--set", "stages.share.divisor=2") == 0
    assert toy.calls.count("count") == 1 and "number.json cannot be read" in caplog.text
    got = faults.state(Path("work"))
    assert {name: got[name] for name in wanted} == wanted


# ---------------------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(["--direct"], id="direct"),
        pytest.param(["--direct", "--workers", "2"], id="threads"),
        pytest.param([], id="prefect", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_ends_at_once_with_130_and_the_next_run_goes_on(photos, how):
    wanted = undisturbed(photos)
    until = ("run", photos, "--until", "count", "--direct")
    assert turn(*until) == 0  # something is done already, and stays
    running = process("run", photos, *how, "--set", "stages.count.pause=60")
    wait_for(lambda: len(list(Path("work/locks").glob("count-*"))) > 2, running)
    time.sleep(0.3)
    started = time.monotonic()
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130 and time.monotonic() - started < 10
    assert (
        said.endswith("interrupted; the same command goes on where this one stopped\n")
        and "Traceback" not in said
    )
    alive = subprocess.run(
        ["ps", "-o", "cmd", "-s", str(running.pid)], capture_output=True, text=True
    ).stdout.splitlines()[1:]
    assert not alive, "no server and no worker outlives it"
    toy.calls.clear()
    assert turn("run", photos, "--direct") == 0
    assert "count" not in toy.calls and faults.state(Path("work")) == wanted


# ---------------------------------------------------------------------------------------------- a full GPU


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_full_gpu_is_tried_once_more_and_then_the_subject_fails_alone(photos, monkeypatch, times, capsys):
    import torch

    emptied, tries, run = [], [], toy.Share.run

    def full(self, **inputs):
        if inputs["number"]["n"] == 25:
            tries.append(1)
            if len(tries) <= times:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore")
        return run(self, **inputs)

    monkeypatch.setattr(toy.Share, "run", full)
    monkeypatch.setattr(turnaround.flows.runs.execute, "_empty_gpu", lambda: emptied.append(1))
    assert turn("run", photos, "--direct") == (0 if times == 1 else 1)
    assert len(tries) == 2 and emptied == [1]
    if times > 1:
        assert "1 of 2 photos done" in (said := capsys.readouterr().err)
        assert "p0.png: the GPU has too little free memory" in said and "--device cpu" in said
        (failure,) = json.loads(next(Path("work/runs").glob("*/failures.json")).read_text())
        assert (failure["subject"], failure["fault"], failure["trace"]) == ("p0", "memory", "")


def test_a_full_gpu_is_emptied_of_the_first_try(photos, monkeypatch):
    """The first try's tensors must be free when the cache is emptied: the traceback that held them is
    gone."""
    import weakref

    import torch

    held: list[Any] = []
    run = toy.Share.run

    def full(self, **inputs):
        if not held:
            big = torch.zeros(10)
            held.append(weakref.ref(big))
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        assert held[0]() is None
        return run(self, **inputs)

    monkeypatch.setattr(toy.Share, "run", full)
    assert turn("run", photos / "p0.png", "--direct") == 0
