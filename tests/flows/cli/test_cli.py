"""The command line over toy stages: what it does, says and exits with."""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy

import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.subjects import memory
from turnaround.flows.subjects.project import Project

HERE = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _toys(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)
    toy.calls.clear()


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, times in (("alice", 5), ("bob", 5), ("carol", 7)):  # 25, 15 and 35 bytes: nothing is shared
        (folder / f"{name}.png").write_bytes(name.encode() * times)
    (folder / "alice.mask.png").write_bytes(b"mask")
    return folder


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


def process(*arguments: object, **options) -> subprocess.Popen:
    command = [sys.executable, str(HERE / "support/toy_cli.py"), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_run_makes_every_stage_once_and_the_second_run_nothing(photos, capsys):
    assert turn("run", photos, "--direct") == 0
    assert sorted(toy.calls) == sorted(["count", "share", "label"] * 3)  # the mask beside alice is no subject
    assert turn("run", photos, "--direct") == 0
    assert len(toy.calls) == 9
    assert "3 of 3 photos done" in capsys.readouterr().err
    assert sorted(p.name for p in Path("work/subjects/alice").iterdir()) == [
        "01_count",
        "02_share",
        "03_label",
        "subject.json",
    ]


def test_several_workers_give_the_same(photos):
    assert turn("run", photos, "--direct", "--workers", 3) == 0
    assert len(toy.calls) == 9


def test_one_bad_photo_fails_alone_and_can_be_resumed(photos, capsys):
    (photos / "bob.png").write_bytes(b"bad")
    assert turn("run", photos, "--direct") == 1
    said = capsys.readouterr().err
    assert "2 of 3 photos done" in said
    assert "bob.png: the photo is bad; use another" in said
    resume = next(line for line in said.splitlines() if line.startswith("Resume with: ")).removeprefix(
        "Resume with: turnaround "
    )
    folder = next(Path("work/runs").iterdir())
    (failure,) = json.loads((folder / "failures.json").read_text())
    assert (failure["subject"], failure["failed"], failure["fault"]) == ("bob", "count", "picture")
    assert "the photo is bad" in (folder / "report.html").read_text()
    assert turn("status", "bob") == 0
    assert "FAILED" in capsys.readouterr().out
    (photos / "bob.png").write_bytes(b"good")
    assert turn(*resume.split()) == 0
    turn("status", "bob", "--long")
    assert capsys.readouterr().out.count("FRESH") == 3


def test_status_and_why_name_the_cause(photos, capsys, monkeypatch):
    turn("run", photos, "--direct")
    (photos / "bob.png").write_bytes(b"another photo")
    monkeypatch.setattr(toy.Label, "version", 2)
    turn("status", "bob", "--json")
    states = {
        stage: facts["state"] for stage, facts in json.loads(capsys.readouterr().out)["bob"]["stages"].items()
    }
    assert states == {"count": "STALE(INPUT)", "share": "STALE(INPUT)", "label": "STALE(VERSION)"}
    turn("why", "bob/label")
    assert "VERSION version: 1 -> 2" in capsys.readouterr().out


def test_rerun_takes_new_settings_and_stops_where_nothing_changed(photos, capsys):
    turn("run", photos, "--direct")
    toy.calls.clear()
    assert turn("rerun", "count", "-s", "bob", "--set", "stages.count.offset=1") == 0
    assert toy.calls == [
        "count",
        "share",
    ]  # 15 or 16 bytes have the same share, so there is nothing new to label
    assert turn("rerun", "share", "-s", "bob", "--only") == 0
    assert toy.calls == ["count", "share", "share"]
    turn("status", "bob", "--long")
    assert capsys.readouterr().out.count("FRESH") == 3
    assert turn("rerun", "share", "-s", "bob", "--set", "stages.share.divisor=2") == 0
    assert toy.calls[3:] == ["share", "label"]
    turn("inspect", "bob", "--json")
    facts = json.loads(capsys.readouterr().out)["stages"]
    assert facts["count"]["config"]["offset"] == 1 and facts["share"]["config"]["divisor"] == 2


def test_until_stops_after_a_stage(photos, capsys):
    assert turn("run", photos / "bob.png", "--direct", "--until", "share") == 0
    turn("status", "bob", "--long")
    assert "label        MISSING" in capsys.readouterr().out


def test_inspect_verify_finds_changed_bytes(photos, capsys):
    turn("run", photos / "bob.png", "--direct")
    assert turn("inspect", "bob", "--verify") == 0
    film = Path("work/subjects/bob/01_count/film.mp4")
    film.write_bytes(b"X" + film.read_bytes()[1:])
    assert turn("inspect", "bob/count", "--verify") == 1
    assert "other bytes" in capsys.readouterr().out


def test_gc_keeps_what_subjects_point_at(photos, capsys):
    turn("run", photos, "--direct")
    turn("rerun", "share", "-s", "bob", "--set", "stages.share.divisor=2")
    assert turn("gc", "--dry-run") == 0
    assert "would delete cache/share" in capsys.readouterr().out
    assert turn("gc") == 0
    toy.calls.clear()
    turn("run", photos / "alice.png", photos / "carol.png", "--direct")
    assert toy.calls == []
    assert turn("gc", "--dry-run") == 0
    assert capsys.readouterr().out.endswith("0 folders, 0.0 MiB\n")


def test_gc_frees_damaged_runs(photos, capsys):
    turn("run", photos / "bob.png", "--direct")
    stray = Path("work/cache/share/000000000000000000000000")
    stray.mkdir()
    turn("gc")
    assert not stray.exists()
    film = Path("work/subjects/bob/01_count/film.mp4")
    film.write_bytes(b"X" + film.read_bytes()[1:])
    half = Path("work/tmp/1234-half")
    half.mkdir()
    assert turn("verify") == 1 and len(list(Path("work/tmp").iterdir())) == 2
    assert turn("gc") == 0
    assert list(Path("work/tmp").iterdir()) == [half]  # somebody may be at work on it, on another machine


def test_weights_that_are_missing_are_told_before_anything_is_computed(photos, capsys, monkeypatch):
    from turnaround.models import zoo

    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), zoo.digest)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    assert turn("run", photos, "--direct", "--set", "stages.label.weights=/nosuch/file.safetensors") == 2
    assert "/nosuch/file.safetensors does not exist" in capsys.readouterr().err
    assert toy.calls == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "nosuch.jpg"], "nosuch.jpg does not exist"),
        (["run", "photos", "--set", "stages.cuont.offset=1"], "did you mean 'stages.count'"),
        (
            ["run", "photos", "--set", "stages.count.offset=much"],
            "stages.count.offset: Input should be a valid integer",
        ),
        (["run", "photos", "--config", "defualt"], "did you mean 'default'"),
        (["run", "photos", "--until", "mesh"], "no stage is called 'mesh'"),
        (["run", "photos", "--runner", "slurm"], "expected one of threads, processes, dask, ray"),
        (["run", "photos", "--work", "file"], "cannot be written"),
        (["status", "dora"], "knows no subject 'dora'"),
        (["why", "dora"], "expected SUBJECT/STAGE"),
        (["rerun", "count", "-s", "dora"], "knows no subject 'dora'"),
        (["export", "dora", "--to", "ply"], "knows no subject 'dora'"),
        (["train", "nosuch"], "no training is called 'nosuch'"),
        (["nosuch"], "No such command"),
        (["run"], "Missing argument"),
        (["run", "photos", "--device", "gpu"], "--device gpu: expected auto, cpu, cuda or cuda:N"),
        (["run", "photos", "--device", "cuda:x"], "expected auto, cpu, cuda or cuda:N"),
        (["status", "dor*"], "knows no subject 'dor*'"),
        (["init", "nosuch/x.yaml"], "give a path in a folder that is there"),
    ],
)
def test_wrong_calls_exit_with_2_and_name_the_remedy(words, message, photos, capsys):
    Path("file").write_text("in the way")
    assert turn(*words) == 2
    assert message in capsys.readouterr().err
    assert toy.calls == []


def test_a_gpu_that_is_not_there_is_told_before_anything_is_computed(photos, capsys, monkeypatch):
    assert turn("run", photos / "bob.png", "--direct", "--until", "count") == 0
    toy.calls.clear()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    capsys.readouterr()
    for words in (["run", photos], ["rerun"], ["sweep", "--set", "stages.share.divisor=2,3"]):
        assert turn(*words, "--device", "cuda") == 2
        assert "finds no CUDA device here; use --device auto or cpu" in capsys.readouterr().err
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert turn("run", photos, "--device", "cuda:2") == 2
    assert "the GPUs here are cuda:0 to cuda:1" in capsys.readouterr().err
    assert toy.calls == []


def test_status_and_verify_take_patterns(photos, capsys):
    assert turn("run", photos, "--direct") == 0
    capsys.readouterr()
    assert turn("status", "*o*") == turn("verify", "ali*") == 0
    said = capsys.readouterr().out
    assert "bob" in said and "carol" in said and "alice" not in said and "3 runs" in said


def test_a_disk_that_refuses_is_told_with_a_remedy(capsys):
    for number, remedy in (
        (errno.EROFS, "--out where there is one, or --work"),
        (errno.ENOSPC, "turnaround gc"),
    ):

        def refused(number=number):
            raise OSError(number, os.strerror(number), "work/report/index.html")

        assert guarded(refused) == 2
        said = capsys.readouterr().err
        assert (
            said.startswith("turnaround: work/report/index.html: ") and remedy in said and "Errno" not in said
        )


def test_names_with_colons_are_told_as_they_are(photos, capsys):
    (photos / "bob.png").rename(photos / "a:x:[b].png")
    (photos / "a:x:[b].png").write_bytes(b"bad")
    assert turn("run", photos / "a:x:[b].png", "--direct") == 1
    said = capsys.readouterr().err
    assert (
        "Resume with: turnaround run" in said and said.count("a:x:[b]") >= 3 and "\N{CROSS MARK}" not in said
    )


def test_two_photos_of_one_name_are_two_subjects(photos, capsys):
    (photos / "bob.jpg").write_bytes(b"other")
    assert turn("run", photos, "--direct") == 0
    assert sorted(p.parent.name for p in Path("work/subjects").glob("*/subject.json")) == [
        "alice",
        "bob-jpg",
        "bob-png",
        "carol",
    ]


def test_interrupt_ends_at_once_with_130_and_the_next_run_goes_on(photos):
    words = ("run", photos, "--direct", "--set", "stages.share.divisor=7", "--set", "stages.count.pause=0.05")
    # a shell that starts the suite in the background leaves SIGINT ignored, and children inherit that
    running = process(
        *words[:-1], "stages.count.pause=60", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    deadline = time.monotonic() + 30
    while not list(Path("work/locks").glob("count-*")):
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.05)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    assert running.wait(10) == 130, running.stderr.read()
    assert "goes on where this one stopped" in running.stderr.read()
    assert not list(Path("work/cache").glob("*/*/manifest.json"))
    assert turn(*words) == 0


def test_what_a_killed_run_has_made_is_known_and_kept(photos, capsys, monkeypatch):
    """Whatever ends the process in a later stage, `status`, `rerun` and `gc` know the subject and its first
    stages."""

    with monkeypatch.context() as patch:
        patch.setattr(toy.Share, "run", lambda self, **inputs: (_ for _ in ()).throw(KeyboardInterrupt))
        assert (
            app(
                ["run", str(photos / "bob.png"), "--direct", "--set", "stages.share.divisor=7"],
                standalone_mode=False,
            )
            == 130
        )
    capsys.readouterr()
    assert turn("status", "bob", "--long") == 0
    assert "count        FRESH" in capsys.readouterr().out
    assert turn("gc") == 0
    Path("work/subjects/bob/subject.json").rename("kept.json")  # as versions before left it
    assert turn("gc") == 0
    Path("kept.json").rename("work/subjects/bob/subject.json")
    toy.calls.clear()
    assert turn("rerun") == 0
    assert toy.calls == ["share", "label"] and memory.recall(Path("work"), "bob").overrides == (
        "stages.share.divisor=7",
    )


def test_a_fresh_run_imports_no_torch(photos):
    turn("run", photos, "--direct")
    code = f"""if True:
        import runpy, sys
        sys.argv[1:] = ['run', 'photos', '--direct']
        try:
            runpy.run_path({str(HERE / "support/toy_cli.py")!r}, run_name='__main__')
        except SystemExit as stop:
            assert not stop.code
        heavy = {{'torch', 'prefect', 'numba', 'PIL.Image'}} & set(sys.modules)
        assert not heavy, heavy
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_starts_quickly():
    """Under 0.7 s on an idle machine, so user time is compared with that of importing torch, which must not
    happen."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "turnaround.flows.cli.app", "--help"],
        capture_output=True,
        text=True,
        cwd=HERE.parent,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "Usage" in done.stdout and not loaded & {"torch", "numpy", "prefect", "pydantic", "PIL"}
    bare = min(_user_seconds("-c", "pass") for _ in range(2))
    assert min(_user_seconds("-m", "turnaround.flows.cli.app", "--help") for _ in range(2)) < bare + 0.5


def _user_seconds(*arguments: str) -> float:
    before = os.times().children_user
    subprocess.run([sys.executable, *arguments], capture_output=True, cwd=HERE.parent, check=True)
    return os.times().children_user - before


def test_folders_are_imported_from_this_repository():
    """The names are generic: another installed `models` or `data` must not shadow ours."""
    from turnaround import data, flows, models, pipeline, stages

    for module in (data, flows, models, pipeline, stages):
        assert Path(module.__file__).resolve().parents[1] == HERE.parent, module.__file__


def test_real_scans_are_converted_from_the_command_line(tmp_path, caplog):
    assert (
        turn(
            "data", "scans", "--layout", "thuman2", "--root", tmp_path / "nowhere", "--out", tmp_path / "out"
        )
        == 2
    )
    assert "nowhere" in caplog.text
