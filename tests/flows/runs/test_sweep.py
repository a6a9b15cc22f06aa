"""`sweep`: every combination of settings, only what differs is computed, and the subjects stay as they
are."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest
import toy

import turnaround.flows.subjects.project
from turnaround.flows import report
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.runs.sweep import split_values, sweep, variants
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.store.store import Store

ROOT = Path("work")


@pytest.fixture(autouse=True)
def _toys(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)
    for name, times in (("alice", 5), ("bob", 20)):
        Path(f"{name}.png").write_bytes(name.encode() * times)
    assert turn("run", "alice.png", "bob.png", "--direct") == 0
    toy.calls.clear()


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


def snapshot() -> dict[str, str]:
    """Where the subjects' links point, and what is remembered of them."""
    found = {}
    for path in sorted(ROOT.glob("subjects/*/*")):
        found[str(path)] = os.readlink(path) if path.is_symlink() else path.read_text()
    return found


def test_every_combination_is_done_and_only_what_differs_is_computed():
    before = snapshot()
    project = turnaround.flows.subjects.project.Project()
    results = sweep(project, ROOT, [], ["stages.share.divisor=10,5,2", "stages.label.weights=letters,runes"])
    assert list(results) == [f"divisor={d}, weights={w}" for d in (10, 5, 2) for w in ("letters", "runes")]
    assert all(
        [r.subject for r in rows] == ["alice", "bob"] and all(r.ok for r in rows) for rows in results.values()
    )
    assert "count" not in toy.calls and toy.calls.count("share") == 4  # two subjects, two new divisors
    assert (
        toy.calls.count("label")
        == len({r.stages["label"]["key"] for rows in results.values() for r in rows}) - 2
    )
    assert snapshot() == before
    store = Store(ROOT)
    texts = {label: [_record(store, r).load("text")["text"] for r in rows] for label, rows in results.items()}
    assert texts["divisor=10, weights=letters"] == ["xx", "xxxxxx"] and texts["divisor=5, weights=runes"] == [
        "x" * 5,
        "x" * 12,
    ]
    toy.calls.clear()
    sweep(project, ROOT, [], ["stages.share.divisor=10,5,2", "stages.label.weights=letters,runes"])
    assert toy.calls == []


def _record(store: Store, result):
    record = store.find("label", result.stages["label"]["key"])
    assert record is not None
    return record


def test_the_command_ends_in_a_page_and_a_variant_is_adopted_without_computing(capsys):
    assert turn("sweep", "ali*", "--set", "stages.share.divisor=3,4") == 0
    page = Path(capsys.readouterr().out.strip())
    text = page.read_text()
    assert (
        page.suffix == ".html"
        and "alice" in text
        and "divisor=3" in text
        and "divisor=4" in text
        and ">bob<" not in text
    )
    toy.calls.clear()
    assert turn("rerun", "-s", "alice", "--set", "stages.share.divisor=4") == 0
    assert toy.calls == []
    turn("inspect", "alice/share")
    assert "config divisor: 4" in capsys.readouterr().out


def test_a_sweep_keeps_the_settings_of_each_subject_and_may_stop_early():
    turn("rerun", "count", "-s", "bob", "--set", "stages.count.offset=100")
    toy.calls.clear()
    results = sweep(
        turnaround.flows.subjects.project.Project(), ROOT, [], ["stages.share.divisor=4"], until="share"
    )
    (rows,) = results.values()
    assert [list(r.stages) for r in rows] == [["count", "share"]] * 2 and toy.calls == ["share", "share"]
    store = Store(ROOT)
    values = [store.find("share", r.stages["share"]["key"]) for r in rows]
    assert [v.load("quotient")["q"] for v in values if v] == [25 // 4, 160 // 4]


def test_a_variant_that_fails_is_told_and_the_others_are_done(monkeypatch, capsys):
    run = toy.Share.run

    def fails(self, **inputs):
        if self.config.divisor == 3:
            raise toy.StageError("three is not possible; use another")
        return run(self, **inputs)

    monkeypatch.setattr(toy.Share, "run", fails)
    before = snapshot()
    seen = {}
    monkeypatch.setattr(
        report,
        "write_sweep",
        lambda root, found, title: seen.update(found) or Path("page.html"),
        raising=False,
    )
    assert turn("sweep", "--set", "stages.share.divisor=3,4") == 1
    assert "FAILED divisor=3: alice/share: alice.png: three is not possible" in capsys.readouterr().err
    assert [r.ok for r in seen["divisor=3"]] == [False, False] and [r.ok for r in seen["divisor=4"]] == [
        True,
        True,
    ]
    assert snapshot() == before, "a failed variant is no failure of the subject"


def test_commas_in_brackets_and_quotes_belong_to_a_value():
    assert split_values("0.1, 0.2,4e-1") == ["0.1", "0.2", "4e-1"]
    assert split_values("[1,2],[3,[4,5]],{a: 1, b: 2}") == ["[1,2]", "[3,[4,5]]", "{a: 1, b: 2}"]
    assert split_values("'a,b',\"c,d\",''") == ["'a,b'", '"c,d"', "''"]
    assert [v.settings for v in variants(["a.x=[1,2],[3]", "b=1"])] == [
        ("a.x=[1,2]", "b=1"),
        ("a.x=[3]", "b=1"),
    ]
    assert [v.label for v in variants(["a.x=1", "b.x=2"])] == ["a.x=1, b.x=2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to sweep"),
        (["--set", "stages.share.divisor"], "expected KEY=VALUE,VALUE"),
        (["--set", "stages.share.divisor=1,,2"], "a value is empty"),
        (["--set", "stages.share.divisor=[1,2"], "']' is missing"),
        (["--set", "stages.share.divisor=1]"], "closes nothing"),
        (["--set", "stages.share.divisor=1", "--set", "stages.share.divisor=2"], "each key once"),
        (["--set", "stages.share.divisor=2,much"], "Input should be a valid integer"),
        (["--set", "stages.share.divisr=2"], "did you mean"),
        (
            ["--set", f"stages.share.divisor={','.join(map(str, range(1, 300)))}"],
            "more than anybody looks at",
        ),
        (["dora", "--set", "stages.share.divisor=2"], "knows no subject 'dora'"),
    ],
)
def test_wrong_sweeps_are_told_before_anything_is_computed(words, message, capsys):
    assert turn("sweep", *words) == 2
    assert message in capsys.readouterr().err
    assert toy.calls == []
