"""Photos with names that some part of a system cannot hold: each is done, or fails alone, by name."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import pytest
import toy

import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.subjects import memory
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.photos.naming import Wanted
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.store.mirror import fetch_photo, send_photo

STEMS = [
    *(b"a" * 251, "é".encode() * 125, b"back\\slash", b"new\nline", b"esc\x1b[31mred", b"\xff\xfecaf\xe9"),
    *(
        b"\xe9",
        b"\xe8",
        b"-dash",
        b"--help",
        b"names.json",
        b"Case",
        b"case",
        "e\u0301".encode(),
        "é".encode(),
    ),
    *(b"[x]", b"%s {0}", b" ", b"plain"),
]


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path) -> Path:
    """p/ with a photo of each name, and one of an odd name that no stage can do."""
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "p"
    place.mkdir()
    for stem in STEMS:
        (place / os.fsdecode(stem + b".jpg")).write_bytes(b"0123456789")
    (place / os.fsdecode(b"\xfebad\n.jpg")).write_bytes(b"bad")
    return place


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


def test_each_is_done_and_one_fails_alone(capsys):
    assert turn("run", "p", "--direct", "--json") == 1
    told = capsys.readouterr()
    subjects = json.loads(told.out)["subjects"]
    assert len(subjects) == len(STEMS) + 1
    photos = {os.path.join("p", name) for name in os.listdir("p")}
    assert {subject["photo"] for subject in subjects.values()} == photos
    failed = [subject for subject in subjects.values() if not subject["ok"]]
    assert [subject["message"] for subject in failed] == ["\\xfebad\\n.jpg: the photo is bad; use another"]
    assert r"Resume with: turnaround run $'p/\xfebad\x0a.jpg'" in told.err
    for command in (["status"], ["status", "--json"], ["report"], ["verify"], ["gc"]):
        assert turn(*command) == 0, command
    text = Path("work/report/index.html").read_text(encoding="utf-8")
    assert all(name in text or json.dumps(name)[1:-1] in text for name in subjects)


def test_shards_are_a_partition_and_keep_the_names():
    for part in (1, 2, 3):
        assert turn("run", "p", "--direct", "--shard", f"{part}/3") in (0, 1)
    names = set(memory.names(Path("work")))
    assert len(names) == len(STEMS) + 1
    toy.calls.clear()
    assert turn("run", "p", "--direct") == 1
    assert toy.calls == ["count"], "only the bad one is tried again"
    assert set(memory.names(Path("work"))) == names


def test_a_name_that_could_not_be_is_given_anew(folder):
    """An earlier version remembered names by which no folder can be made."""
    photo = folder / "back\\slash.jpg"
    file = Path("work/subjects") / memory.NAMES
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({Wanted(photo).key: "back\\slash"}))
    assert turn("run", photo, "--direct") == 0 and memory.names(Path("work")) == ["back-slash"]


@pytest.mark.parametrize("stem", STEMS)
def test_a_worker_elsewhere_gets_it(stem, folder, tmp_path):
    photo = Photo.at(folder / os.fsdecode(stem + b".jpg"), "x")
    url = (tmp_path / "far").as_uri()
    digests = send_photo(photo, url)
    there = fetch_photo(photo, digests, tmp_path / "elsewhere", url)
    assert there.image != photo.image and there.image.read_bytes() == photo.image.read_bytes()
