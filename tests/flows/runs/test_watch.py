"""`run --watch`: photos that land are done once they are whole, again when they change, until Ctrl-C."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace

import pytest
import toy

import turnaround.flows.runs.watch
import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.runs.watch import Watched, watch
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.errors import CallError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path, clock) -> Watched:
    return Watched(tmp_path, quiet=2.0, clock=clock)


def names(folder: Watched, clock: Clock, seconds: float) -> list[str]:
    """What is ready when so much time has passed, a look every half a second; it is taken."""
    found = []
    for _ in range(round(seconds / 0.5) + 1):
        ready = folder.ready()
        folder.taken(ready)
        found += [photo.name for photo in ready]
        clock.now += 0.5
    return found


def test_a_file_that_grows_is_left_until_it_is_whole(folder, clock):
    photo = folder.folder / "a.jpg"
    for size in range(8):
        photo.write_bytes(bytes(size))
        assert names(folder, clock, 1.0) == []
    assert names(folder, clock, 2.0) == ["a.jpg"], "once it did not change for two seconds"
    assert names(folder, clock, 9.0) == [], "and then once"


def test_a_photo_that_changes_or_gets_a_mask_is_done_again(folder, clock):
    (folder.folder / "a.jpg").write_bytes(b"1")
    (folder.folder / "b.jpg").write_bytes(b"1")
    assert names(folder, clock, 3.0) == ["a.jpg", "b.jpg"]
    (folder.folder / "a.jpg").write_bytes(b"longer")
    (folder.folder / "b.mask.png").write_bytes(b"mask")
    (folder.folder / "b.txt").write_bytes(b"nothing to a photo")
    assert names(folder, clock, 3.0) == ["a.jpg", "b.jpg"]
    assert names(folder, clock, 3.0) == []


def test_what_is_no_photo_or_empty_or_of_a_photo_that_is_not_there_yet_waits(folder, clock):
    for name in ("c.mask.png", "d.jpg.part", ".e.jpg", "notes.txt", "deep/f.jpg"):
        (folder.folder / name).parent.mkdir(exist_ok=True)
        (folder.folder / name).write_bytes(b"1")
    (folder.folder / "g.jpg").touch()
    assert names(folder, clock, 4.0) == []
    (folder.folder / "c.png").write_bytes(b"1")
    assert names(folder, clock, 4.0) == ["c.png"]
    folder.recursive = True
    assert names(folder, clock, 4.0) == ["f.jpg"]


def test_a_folder_that_is_not_there_is_a_wrong_call(tmp_path):
    with pytest.raises(CallError, match="expected a folder"):
        watch(Watched(tmp_path / "nowhere"), print, print)


def test_photos_are_done_as_they_land_and_ctrl_c_ends_with_0(tmp_path, monkeypatch, capsys):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.setattr(turnaround.flows.runs.watch, "Watched", functools.partial(Watched, quiet=0.0))
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/alice.png").write_bytes(b"alice")
    beats = iter(["bob", "bad", "", None])

    def sleep(_seconds: float) -> None:
        """What happens while it waits: files land, and then a person has enough."""
        name = next(beats)
        if name is None:
            raise KeyboardInterrupt
        if name:
            Path(f"in/{name}.png").write_bytes(name.encode())

    monkeypatch.setattr(turnaround.flows.runs.watch, "time", SimpleNamespace(sleep=sleep))
    assert turn("run", "--watch", "in", "--direct") == 1
    said = capsys.readouterr().err
    assert "watching in for photos" in said and "3 subjects done, 1 of them failed" in said
    assert said.count("1 of 1 photos done") == 2 and "0 of 1 photos done" in said
    for words in (["photo.jpg"], ["--limit", "1"], ["--json"]):
        assert turn("run", "--watch", "in", "--direct", *words) == 2


def turn(*words: str) -> int:
    return guarded(lambda: app(list(words), standalone_mode=False))
