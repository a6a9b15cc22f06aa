"""The time left before a first photo is done, and what is said while one waits."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest
import toy

import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.runs import forecast, progress
from turnaround.flows.runs.execute import Job
from turnaround.flows.runs.forecast import Forecast, medians
from turnaround.flows.subjects.memory import Memory
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.store.recipe import Recipe
from turnaround.pipeline.store.store import Store

STAGES = (toy.Count(), toy.Share(), toy.Label())
USUAL = {"count": 8.0, "share": 2.0, "label": 5.0}


def run_of(store: Store, stage, seconds: float, number: int) -> None:
    """A run of the cache that took so long."""
    recipe = Recipe(stage.name, 1, stage.config.model_dump(mode="json"), {"photo.image": str(number)}, {})
    store.save(recipe, {"x": "Trace"}, {"x": {}}, {"seconds": seconds, "device": "cpu", "packages": {}})


@pytest.fixture
def store(tmp_path) -> Store:
    """Three runs of every stage: the usual one, a quick and a slow one."""
    found = Store(tmp_path)
    found.prepare()
    for stage in STAGES:
        for number, seconds in enumerate((USUAL[stage.name], 0.1, 100.0)):
            run_of(found, stage, seconds, number)
    return found


def jobs(root: Path, count: int) -> list[Job]:
    photos = [Photo(f"p{k}", root / f"p{k}.jpg") for k in range(count)]
    return [Job(photo, root, STAGES, str, Memory(str(photo.image))) for photo in photos]


def test_the_time_left_is_what_is_left_of_the_stages(store):
    now = 100.0
    seen = Forecast(jobs(store.root, 2), lambda: now)
    assert seen.left() == 30.0 and seen.left(workers=2) == 15.0
    seen.began("p0", "count")
    now += 3
    assert seen.left() == 27.0 and seen.long() == []
    now += 100
    assert seen.left() == 22.0, "a stage that takes longer than ever is about to end"
    assert seen.long() == [("p0", "count")]
    assert seen.ended("p0", "count") == 103.0 and seen.left() == 22.0
    seen.finished("p0")
    assert seen.left() == 15.0
    seen.finished("p1")
    assert seen.left() is None


def test_only_runs_under_the_same_settings_tell_until_most_stages_have_some(store):
    assert medians(store, STAGES) == USUAL
    new = toy.Count(toy.CountConfig(offset=1))
    run_of(store, toy.Share(toy.ShareConfig(divisor=3)), 70.0, 7)
    assert medians(store, (new, *STAGES[1:])) == {"count": 8.0, "share": 2.0, "label": 5.0}
    others = (new, toy.Share(toy.ShareConfig(divisor=4)), STAGES[2])
    assert medians(store, others) == {"label": 5.0}, "another preset: its times are others"
    assert Forecast([Job(j.photo, j.root, others, str, j.memory) for j in jobs(store.root, 1)]).left() is None


@pytest.fixture
def turn(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "_BEAT", 0.02)
    monkeypatch.setattr(forecast, "PATIENCE", 0.05)
    for name in ("a", "b"):
        Path(f"{name}.png").write_text(name * 20)
    return lambda *words: guarded(lambda: app(list(words), standalone_mode=False))


@pytest.mark.parametrize("terminal", [False, True])
def test_one_photo_has_a_time_left_and_the_first_says_what_takes_so_long(turn, terminal, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    pause = ("--direct", "--set", "stages.count.pause=0.3")
    assert turn("run", "a.png", *pause) == 0
    first = capsys.readouterr().err
    assert first.count("a: count is at work; the first photo loads the networks") == 1 and "left" not in first
    assert turn("run", "b.png", *pause) == 0
    second = capsys.readouterr().err
    assert "is at work" not in second and "about 0 s left" in second
    assert turn("run", "b.png", *pause) == 0
    assert "left" not in capsys.readouterr().err, "nothing is left where all is there"
