"""Many photos at once: what a call names, the names of subjects, shards, limits, progress, and a run of
hundreds."""

from __future__ import annotations

import functools
import itertools
import json
import re
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.runs import run as running
from turnaround.flows.runs.pace import Pace, duration
from turnaround.flows.subjects import memory
from turnaround.flows.subjects.choice import Choice, choose, parse_shard
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.photos.gather import pictures
from turnaround.pipeline.photos.naming import Wanted, assign, of_shard
from turnaround.pipeline.stage import Trace


@pytest.fixture(autouse=True)
def _toys(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)
    toy.calls.clear()


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


def photo(path: str, content: bytes = b"0123456789") -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def made() -> list[str]:
    return memory.names(Path("work"))


# ---------------------------------------------------------------------------------------- what a call names


def test_folders_patterns_lists_and_recursion():
    hidden = ("p/deep/.hidden/d.jpg", "p/.e.jpg")
    for name in ("p/b.jpg", "p/a.png", "p/a.mask.png", "p/deep/c.jpg", "p/notes.txt", *hidden):
        photo(name)
    assert [f.as_posix() for f in pictures([Path("p")])] == ["p/a.png", "p/b.jpg"]
    assert [f.as_posix() for f in pictures([Path("p")], recursive=True)] == [
        "p/a.png",
        "p/b.jpg",
        "p/deep/c.jpg",
    ]
    assert [f.name for f in pictures([Path("p/**/*.jpg")])] == ["b.jpg", "c.jpg"]
    Path("p/list.txt").write_text(
        "\ufeff# two of them\r\n\r\ndeep/c.jpg\r\n  a.png  \r\n./a.png\n", encoding="utf-8"
    )
    for found in (pictures([Path("@p/list.txt")]), pictures([], lists=[Path("p/list.txt")])):
        assert [f.as_posix() for f in found] == ["p/deep/c.jpg", "p/a.png"]
    assert len(pictures([Path("p"), Path("p/a.png"), Path("p/../p/b.jpg"), Path("@p/list.txt")])) == 3


def test_a_work_folder_among_the_photos_is_not_searched():
    photo("p/a.jpg")
    for name in ("cache/prepare/0/view.png", "subjects/a/x.png", "runs/1/x.png"):
        photo(f"p/work/{name}")
    assert [f.name for f in pictures([Path("p")], recursive=True)] == ["a.jpg"]


def test_what_cannot_be_used_is_told(caplog):
    photo("p/a.jpg"), photo("p/a.mask.png"), photo("p/b.jxl"), photo("only/raw.nef")
    assert len(pictures([Path("p")])) == 1
    assert "1 file was left out: p/b.jxl (.jxl cannot be read; save it as JPEG or PNG)" in caplog.text
    caplog.clear()
    assert pictures([Path("p/a.jpg"), Path("p/a.mask.png")]) == [Path("p/a.jpg")] and not caplog.text
    for path, message in (
        ("only", "holds no photo"),
        ("p/*.tif", "no photo matches"),
        ("x.jpg", "does not exist"),
        ("p/a.mask.png", "no photo is left"),
    ):
        with pytest.raises(ValueError, match=message):
            pictures([Path(path)])
    photo("up/deep/x.jpg")
    with pytest.raises(ValueError, match="--recursive looks into"):
        pictures([Path("up")])


@pytest.mark.parametrize(
    "line", ["/etc/x.jpg", "../x.jpg", "a/../../x.jpg", "C:\\x.jpg", "\\\\host\\x.jpg", "..\\x.jpg"]
)
def test_lists_cannot_lead_out_of_their_folder(line):
    photo("p/a.jpg"), photo("x.jpg")
    Path("p/list.txt").write_text(f"a.jpg\nnobody.jpg\n{line}\n")
    with pytest.raises(ValueError, match="leads out of the list's folder") as error:
        pictures([Path("@p/list.txt")])
    assert "2 lines at fault" in str(error.value) and "line 2: p/nobody.jpg does not exist" in str(
        error.value
    )


def test_lists_that_are_no_lists():
    Path("empty.txt").write_text("# nothing\n")
    Path("bytes.txt").write_bytes(b"\xff\xfe\x00")
    for name, message in (
        ("empty.txt", "names no photo"),
        ("bytes.txt", "not text in UTF-8"),
        ("nosuch.txt", "cannot be read"),
    ):
        with pytest.raises(ValueError, match=message):
            pictures([Path(f"@{name}")])


# ---------------------------------------------------------------------------------------------- names


def named(*paths: str, known: dict[str, str] | None = None) -> list[str]:
    wanted = [Wanted(Path(path)) for path in paths]
    found = assign(wanted, known or {})
    return [found[item] for item in wanted]


def test_names_are_the_files_and_longer_only_where_they_clash():
    assert named("/d/x.jpg", "/d/y.jpg") == ["x", "y"]
    assert named("/d/a/x.jpg", "/d/b/x.jpg", "/d/b/y.jpg") == ["a-x", "b-x", "y"]
    assert named("/p/a/x.jpg", "/q/a/x.jpg", "/q/b/x.jpg") == ["p-a-x", "q-a-x", "b-x"]
    assert named("/d/x.jpg", "/d/x.png") == ["x-jpg", "x-png"]
    assert named("/d/X.jpg", "/e/x.jpg") == ["d-X", "e-x"], (
        "one folder on disks that do not tell capitals apart"
    )
    assert named("/d/a-x.jpg", "/d/a/x.jpg", "/d/b/x.jpg") == ["a-x", "d-a-x", "b-x"]
    assert named("/d/x .jpg") == ["x"]


PATHS = st.lists(
    st.lists(st.sampled_from(["a", "b", "a-b", "B", "x"]), min_size=1, max_size=4), min_size=1, max_size=12
)


@given(PATHS, st.randoms(use_true_random=False))
def test_names_are_distinct_and_do_not_depend_on_the_order(parts, random):
    paths = sorted({"/" + "/".join(p) + suffix for p in parts for suffix in (".jpg", ".png")})
    names = dict(zip(paths, named(*paths), strict=True))
    assert len({name.casefold() for name in names.values()}) == len(paths)
    shuffled = random.sample(paths, len(paths))
    assert dict(zip(shuffled, named(*shuffled), strict=True)) == names


def test_a_subset_keeps_its_names_and_newcomers_do_not_take_them():
    for path in ("p/a/x.jpg", "p/b/x.jpg", "p/y.jpg"):
        photo(path)
    root = Path("work")
    everything = choose(root, Choice([Path("p")], recursive=True))
    assert [p.name for p in everything] == ["y", "a-x", "b-x"]
    assert [p.name for p in choose(root, Choice([Path("p/b")]))] == ["b-x"]
    photo("q/y.jpg"), photo("q/z.jpg")
    assert [p.name for p in choose(root, Choice([Path("q")]))] == ["q-y", "z"]
    Path("p/y.jpg").rename("p/b/y.jpg")  # the photo has moved: it is the same subject
    assert [p.name for p in choose(root, Choice([Path("p/b/y.jpg")]))] == ["y"]


def test_names_of_an_older_work_folder_are_found_in_its_subjects(caplog):
    photo("a/x.jpg")
    assert turn("run", "a", "--direct") == 0
    Path("work/subjects/names.json").write_text("{broken")
    photo("b/x.jpg")
    assert [p.name for p in choose(Path("work"), Choice([Path("a"), Path("b")]))] == ["x", "b-x"]


def test_remembered_names_that_lead_elsewhere_are_not_taken():
    photo("a/x.jpg")
    turn("run", "a", "--direct", "--until", "count")
    file = Path("work/subjects/names.json")
    for name in ("../../x", "/tmp/x", "..", ".hidden", "a\\b"):
        file.write_text(
            json.dumps({str(Path("a/x.jpg").absolute()): name, str(Path("b/y.jpg").absolute()): name})
        )
        assert [p.name for p in choose(Path("work"), Choice([Path("a")]))] == ["x"]


def test_a_link_is_a_subject_of_its_own_name():
    Path("people").mkdir()
    Path("people/eve.jpg").symlink_to(photo("pool/0001.jpg").absolute())
    assert turn("run", "people", "--direct") == 0
    assert made() == ["eve"]
    assert turn("rerun", "count") == 0
    assert made() == ["eve"]


# ---------------------------------------------------------------------------------------------- shards,
# limits, faults


def test_shards_are_a_partition_and_do_not_depend_on_what_else_is_there():
    names = [f"person {k}" for k in range(500)]
    parts = [{name for name in names if of_shard(name, (k, 7))} for k in range(1, 8)]
    assert set().union(*parts) == set(names) and sum(map(len, parts)) == len(names)
    assert min(map(len, parts)) > 35
    for text in ("0/3", "4/3", "1", "a/b", "-1/3", "1/0", "²/3"):
        with pytest.raises(ValueError, match="expected i/n"):
            parse_shard(text)


def test_shards_together_do_every_photo_once():
    for k in range(10):
        photo(f"p/{k}/x.jpg", bytes(10 + k))
    for k in (1, 2, 3):
        assert turn("run", "p", "-r", "--direct", "--shard", f"{k}/3") == 0
    assert made() == [f"{k}-x" for k in range(10)]
    assert len(toy.calls) == toy.calls.count("count") + toy.calls.count("share") + toy.calls.count("label")
    assert toy.calls.count("count") == 10


def test_limit_takes_the_first_and_fail_fast_starts_no_other(capsys):
    for k in range(6):
        photo(f"p/{k}.jpg", b"bad" if k == 2 else bytes(10 + k))
    assert turn("run", "p", "--direct", "--limit", 2) == 0
    assert made() == ["0", "1"]
    assert turn("run", "p", "--direct", "--fail-fast", "--workers", 1) == 1
    said = capsys.readouterr().err
    assert made() == ["0", "1", "2"] and "3 photos were not started" in said and "2 of 6 photos done" in said
    resume = next(
        line
        for line in said.splitlines()
        if line.startswith("Resume with: turnaround run p/2.jpg p/3.jpg p/4.jpg p/5.jpg")
    )
    assert turn(*resume.removeprefix("Resume with: turnaround ").split()) == 1
    assert made() == [str(k) for k in range(6)]


def test_the_resume_command_of_many_is_the_call_itself(capsys):
    for k in range(25):
        photo(f"p/q/{k}.jpg", b"bad")
    Path("p/list.txt").write_text("q\n")
    assert turn("run", "--list", "p/list.txt", "--direct") == 1
    assert "Resume with: turnaround run --list p/list.txt --work work" in capsys.readouterr().err
    assert turn("run", "@p/list.txt", "--direct", "--shard", "1/1", "--limit", "25") == 1
    assert (
        "Resume with: turnaround run @p/list.txt --shard 1/1 --limit 25 --work work"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_fail_fast_under_prefect_starts_no_other(capsys):
    from prefect.testing.utilities import prefect_test_harness

    import turnaround.flows.prefect.flow  # noqa: F401, its settings come before prefect's import

    for k in range(12):
        photo(f"p/{k:02d}.jpg", b"bad" if k == 2 else bytes(10 + k))
    with prefect_test_harness(server_startup_timeout=120):
        assert turn("run", "p", "--fail-fast", "--workers", 1, "--set", "stages.count.pause=0.2") == 1
    said = capsys.readouterr().err
    assert "photos were not started" in said and 3 <= len(made()) < 12
    assert re.search(r"00: share \d+\.\d s\n", said), "Prefect's threads tell of stages, too"


# ---------------------------------------------------------------------------------------------- progress


def test_the_pace_is_that_of_computed_photos():
    now = 0.0
    pace = Pace(100, lambda: now)
    assert str(pace) == ""
    for _ in range(40):
        now += 0.001
        pace.finished(computed=False)
    assert pace.left is None
    for _ in range(10):
        now += 6
        pace.finished(computed=True)
    assert pace.seconds_each == pytest.approx(6) and pace.left == pytest.approx(6 * 50)
    assert str(pace) == "10.0/min, 5 min left"
    for _ in range(50):
        now += 0.5
        pace.finished(computed=True)
    assert str(pace) == "2.0/s"


def test_durations_as_people_say_them():
    assert [duration(s) for s in (0, 59.6, 100, 3600, 11100)] == [
        "0 s",
        "60 s",
        "2 min",
        "60 min",
        "3 h 05 min",
    ]


def test_progress_tells_count_rate_and_time_left(capsys):
    for k in range(3):
        photo(f"p/{k}.jpg", bytes(10 + k))
    turn("run", "p", "--direct", "--workers", 1)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("[2/3] 1: done (") and line.endswith("left)") for line in lines), lines


def test_bars_on_a_terminal_show_the_stage_and_the_rate(monkeypatch, capsys):
    import sys

    for k in range(3):
        photo(f"p/{k}[b].jpg", b"bad" if k == 1 else bytes(10 + k))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert turn("run", "p", "--direct", "--set", "stages.count.pause=0.15") == 1
    said = capsys.readouterr().err
    for part in ("photos", "0[b]", "count", "/s", "1[b]: FAILED in count", "3/3"):
        assert part in said, said


# ---------------------------------------------------------------------------------------------- many


def resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class Number(NamedTuple):
    number: Trace


class Slim(toy.Count):
    """Without the film, whose thumbnail takes longer than all stages."""

    def run(self, *, device: Any, image: bytes) -> Number:
        return Number(super().run(device=device, image=image).number)


def run_many(count: int, monkeypatch) -> tuple[list[float], list[float]]:
    """Times and MiB after each photo of one run of `count` photos; asserts that all are done and in one
    report."""
    for k in range(count):
        photo(f"p/{k % 10}/{k:04d}.jpg", b"%d" % k * 7)
    times, sizes = [], []
    told = running.Progress.finished

    def finished(self, result) -> None:
        told(self, result)
        times.append(time.perf_counter())
        sizes.append(resident())

    monkeypatch.setattr(running.Progress, "finished", finished)
    slim = functools.partial(Project, lambda: (Slim, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", slim)
    assert turn("run", "p", "-r", "--direct") == 0
    assert len(made()) == count
    (run,) = Path("work/runs").iterdir()
    report = json.loads((run / "report.json").read_text())
    assert len(report["subjects"]) == count and all(subject["ok"] for subject in report["subjects"].values())
    return times, sizes


def rates(times: list[float]) -> tuple[float, float]:
    """Median seconds a photo in the first and in the last quarter."""
    steps = [b - a for a, b in itertools.pairwise(times)]
    quarter = len(steps) // 4
    return statistics.median(steps[:quarter]), statistics.median(steps[-quarter:])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_200_photos_in_one_run(monkeypatch, capsys):
    times, sizes = run_many(200, monkeypatch)
    assert sizes[-1] - sizes[49] < 12, "MiB that 150 photos left behind"
    first, last = rates(times)
    assert last < 2.5 * first


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_1000_photos_in_one_run_need_no_more_memory_and_keep_their_rate(monkeypatch, capsys):
    times, sizes = run_many(1000, monkeypatch)
    first, last = rates(times)
    with capsys.disabled():
        import sys

        sys.stderr.write(
            f"\n{sizes[99]:.1f} MiB at 100, {sizes[-1]:.1f} at 1,000; {first * 1e3:.1f} ms a photo, then "
            f"{last * 1e3:.1f}\n"
        )
    assert sizes[-1] - sizes[99] < 25
    assert last < 2 * first
