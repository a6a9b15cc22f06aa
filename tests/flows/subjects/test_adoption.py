"""Photos under another path: told, and with `--adopt` the subjects that they were."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import toy

import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.subjects import memory
from turnaround.flows.subjects.project import Project

ROOT = Path("work")


@pytest.fixture(autouse=True)
def _done(monkeypatch, tmp_path):
    """Two subjects whose folder was copied, so that the names are taken."""
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)
    for folder in ("old", "new"):
        Path(folder).mkdir()
        for name in ("alice", "bob"):
            Path(folder, f"{name}.png").write_bytes(name.encode() * 5)
    assert turn("run", "old", "--direct", "--set", "stages.share.divisor=3") == 0
    toy.calls.clear()


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


def test_equal_bytes_are_told_and_become_new_subjects(caplog):
    assert turn("run", "new", "--direct") == 0
    assert memory.names(ROOT) == ["alice", "bob", "new-alice", "new-bob"]
    assert "new/alice.png holds the same bytes as the photo of alice" in caplog.text
    assert "`--adopt` goes on with bob" in caplog.text
    caplog.clear()
    assert turn("run", "new", "--direct") == 0
    assert "same bytes" not in caplog.text, "they have names now"


def test_adopted_photos_go_on_as_what_they_were(caplog):
    words = ("run", "new", "--direct", "--set", "stages.share.divisor=3")
    assert turn(*words, "--adopt") == 0
    assert memory.names(ROOT) == ["alice", "bob"] and toy.calls == [] and "same bytes" not in caplog.text
    assert Path(memory.recall(ROOT, "bob").image) == Path("new/bob.png").absolute()
    assert turn(*words) == 0 and memory.names(ROOT) == ["alice", "bob"], "and stay that"
    assert turn("run", "old", "--direct") == 0
    assert memory.names(ROOT) == ["alice", "bob", "old-alice", "old-bob"], "the old path is another photo now"


def test_a_moved_folder_keeps_its_names_without_a_word(caplog):
    Path("new").rename("elsewhere")
    Path("old").rename("new")
    assert turn("run", "new", "--direct") == 0
    assert memory.names(ROOT) == ["alice", "bob"] and "same bytes" not in caplog.text


def test_neither_other_bytes_nor_both_paths_at_once_are_adopted(caplog):
    Path("new/alice.png").write_bytes(b"somebody else")
    assert turn("run", "new", "--direct", "--adopt") == 0
    assert memory.names(ROOT) == ["alice", "bob", "new-alice"]
    Path("copy.png").write_bytes(Path("new/bob.png").read_bytes())
    assert turn("run", "new", "copy.png", "--direct", "--adopt") == 0
    assert memory.names(ROOT) == ["alice", "bob", "copy", "new-alice"], "bob's own photo is there, too"


def test_the_people_of_one_photo_are_left_alone(caplog):
    file = ROOT / "subjects/names.json"
    known = json.loads(file.read_text())
    key = next(key for key, name in known.items() if name == "bob")
    file.write_text(json.dumps({k: n for k, n in known.items() if k != key} | {f"{key}#1": "bob"}))
    assert turn("run", "new/bob.png", "--direct", "--adopt") == 0
    assert "new-bob" in memory.names(ROOT)
