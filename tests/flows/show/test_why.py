"""`why`: the first changed input, field, weight or version, old -> new, from the stage that was asked about
up to where it began."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import toy

import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.subjects.project import Project

WEIGHTS = dict(toy.WEIGHTS)


@pytest.fixture(autouse=True)
def _toys(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)
    Path("bob.png").write_bytes(b"bob" * 5)
    assert turn("run", "bob.png", "--direct") == 0


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


@pytest.fixture
def why(capsys):
    def ask(stage: str) -> list[str]:
        capsys.readouterr()
        assert turn("why", f"bob/{stage}") == 0
        return capsys.readouterr().out.splitlines()

    return ask


def test_a_fresh_stage_has_no_reason(why):
    assert why("label") == ["bob/label: FRESH"]


def test_a_changed_version_weight_or_setting_is_told_old_and_new(why, monkeypatch):
    monkeypatch.setattr(toy.Label, "version", 2)
    monkeypatch.setitem(WEIGHTS, "letters", "c" * 64)
    assert why("label") == [
        "bob/label: STALE(VERSION, WEIGHTS)",
        "  VERSION version: 1 -> 2",
        f"  WEIGHTS letters: {'a' * 12} -> {'c' * 12}",
    ]


def test_a_changed_photo_is_named_with_its_file(why):
    Path("bob.png").write_bytes(b"another photo")
    (head, cause) = why("count")
    assert (
        head == "bob/count: STALE(INPUT)"
        and cause.startswith("  INPUT photo.image: ")
        and cause.endswith("bob.png)")
    )


def test_the_cause_of_a_later_stage_is_followed_to_where_it_began(why, monkeypatch):
    monkeypatch.setattr(toy.Count, "version", 2)
    said = why("label")
    assert (
        said[0] == "bob/label: STALE(INPUT)"
        and "bob/share: STALE(INPUT)" in said
        and "bob/count: STALE(VERSION)" in said
    )
    assert said[-1] == "it begins with count: VERSION version: 1 -> 2"


def test_when_the_stage_before_was_done_again_its_old_and_new_settings_are_compared(why):
    turn("rerun", "count", "--only", "--set", "stages.count.offset=50")
    said = why("share")
    assert said[0] == "bob/share: STALE(INPUT)" and said[1].startswith("  INPUT count.number: ")
    assert said[-1] == "it begins with count: CONFIG offset: 0 -> 50"
    turn("rerun", "share", "--only")
    assert why("label")[-1] == "it begins with count: CONFIG offset: 0 -> 50", (
        "through a stage that was done since"
    )


def test_values_of_a_sweep_that_made_the_same_bytes_are_not_the_subject_s(why):
    pauses = ",".join(f"{k / 1e4}" for k in range(1, 7))  # they change keys, not outputs
    assert (
        turn("sweep", "bob", "--set", f"stages.count.pause={pauses}", "--set", "stages.count.offset=0,50")
        == 0
    )
    turn("rerun", "count", "--only", "--set", "stages.count.offset=50", "--set", "stages.count.pause=0.001")
    assert why("share")[-2:] == [
        f"it begins with count: CONFIG {what}" for what in ("offset: 0 -> 50", "pause: 0.0 -> 0.001")
    ]
    turn("rerun", "share", "--only")
    assert why("label")[-2:] == [
        f"it begins with count: CONFIG {what}" for what in ("offset: 0 -> 50", "pause: 0.0 -> 0.001")
    ]


def test_a_run_of_which_there_is_no_report_is_told_by_its_bytes(why):
    for file in Path("work/runs").glob("*/report.json"):
        file.unlink()  # as of a run that was killed
    turn("rerun", "count", "--only", "--set", "stages.count.offset=50")
    assert why("share")[-1] == "it begins with count: CONFIG offset: 0 -> 50"


def test_when_the_run_before_is_gone_that_is_told(why):
    turn("rerun", "count", "--only", "--set", "stages.count.offset=50")
    assert turn("gc") == 0
    said = why("share")
    assert said[-1].startswith("it begins with count: the run that made count.number ") and said[-1].endswith(
        " is gone"
    )


def test_a_missing_stage_tells_what_is_missing_first(why, capsys):
    Path("eve.png").write_bytes(b"eve" * 5)
    turn("run", "eve.png", "--direct", "--until", "count")
    capsys.readouterr()
    assert turn("why", "eve/label") == 0
    said = capsys.readouterr().out.splitlines()
    assert (
        said[0] == "eve/label: MISSING"
        and "eve/share: MISSING" in said
        and said[-1] == "it begins with share: MISSING"
    )


def test_a_failed_stage_tells_its_message(why, capsys):
    Path("eve.png").write_bytes(b"bad")
    turn("run", "eve.png", "--direct")
    capsys.readouterr()
    turn("why", "eve/label")
    said = capsys.readouterr().out
    assert (
        "eve/count: FAILED" in said
        and "the photo is bad" in said
        and said.rstrip().endswith("it begins with count: FAILED")
    )


def test_wrong_targets_name_the_remedy(capsys):
    for target, message in (
        ("bob", "expected SUBJECT/STAGE"),
        ("bob/mesh", "there are count, share, label"),
        ("eve/share", "knows no"),
    ):
        assert turn("why", target) == 2
        assert message in capsys.readouterr().err
