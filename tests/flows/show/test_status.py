"""What is shown of subjects and stages: a line a subject, paths to paste, a drawing of the graph."""

from __future__ import annotations

import functools
import json
import re
import shlex
from pathlib import Path

import pytest
import toy
import toy_person

import turnaround.flows.subjects.project
from turnaround import stages
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.show import status
from turnaround.flows.show.declarations import drawing
from turnaround.flows.subjects.fits import Cause, Fit
from turnaround.flows.subjects.project import Project

POOR = Fit((Cause("waist", "the photo ends at the waist", "use one that shows all of the person"),))


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


@pytest.fixture
def subjects(monkeypatch) -> None:
    """One of every state; bob is FRESH and fits poorly."""
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    fits = {"bob": POOR, "alice": Fit()}
    monkeypatch.setattr(status, "fit_of", lambda store, name: fits.get(name))
    for name in ("alice", "bob", "carol", "dave", "erin", "frank"):
        Path(f"{name}.png").write_text("bad" if name == "dave" else name * 9)
    turn("run", *Path().glob("[a-e]*.png"), "--direct")
    turn("run", "frank.png", "--direct", "--until", "count")
    Path("carol.png").write_text("another picture")
    Path("erin.png").unlink()


@pytest.mark.usefixtures("subjects")
def test_every_subject_has_a_line_with_state_fit_and_first_trouble(capsys):
    capsys.readouterr()
    assert turn("status") == 0
    *lines, total = capsys.readouterr().out.splitlines()
    told = {line.split()[0]: re.split(r"\d s ?", line)[1].strip() for line in lines}
    states = {line.split()[0]: line.split()[1] for line in lines}
    assert states == {
        "alice": "FRESH",
        "bob": "FRESH",
        "carol": "STALE",
        "dave": "FAILED",
        "erin": "UNKNOWN",
        "frank": "MISSING",
    }
    assert "good fit" in lines[0] and "poor fit" in lines[1] and "fit" not in lines[2]
    assert told["alice"] == ""
    assert told["bob"] == "the photo ends at the waist; use one that shows all of the person"
    assert told["carol"].startswith("count: INPUT photo.image: ")
    assert told["dave"].startswith("count: dave.png: the photo is bad; use another")
    assert told["frank"] == "share: not made yet" and "erin.png" in told["erin"]
    assert total.startswith("6 subjects: 2 FRESH, ") and ", 1 poor fit " in total
    assert turn("status", "--long") == 0
    assert capsys.readouterr().out.count("\n  count ") == 5, "but for the one whose photo is gone"


@pytest.mark.usefixtures("subjects")
def test_programs_are_told_the_same(capsys):
    capsys.readouterr()
    assert turn("status", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bob"]["fit"]["causes"][0]["code"] == "waist" and said["carol"]["fit"] is None
    assert said["alice"]["trouble"] is None and said["dave"]["trouble"].startswith("count: ")
    assert {name: facts["state"] for name, facts in said.items()}["erin"] == "UNKNOWN"
    assert said["alice"]["seconds"] >= 0 and Path(said["alice"]["folder"]).is_dir()


def test_a_subject_whose_runs_are_of_another_version_hides_no_other(tmp_path):
    root = toy_person.make(tmp_path / "work")
    (line,) = status.show_status(Project(), root, None, as_json=False).splitlines()
    assert re.match(r"toy +UNKNOWN  good fit .* `turnaround rerun -s toy`", line)


def test_inspected_files_have_their_own_sizes_and_paths_that_can_be_pasted(tmp_path, monkeypatch, capsys):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    Path("it's a photo.png").write_text("x" * 30)
    assert turn("run", "it's a photo.png", "--direct", "--work", "my work") == 0
    capsys.readouterr()
    assert turn("inspect", "it's a photo", "--work", "my work") == 0
    said = capsys.readouterr().out
    files = [line.split(maxsplit=4) for line in said.splitlines() if " bytes " in line]
    sizes = {Path(*shlex.split(words[4])): int(words[0].replace(",", "")) for words in files}
    assert {file.name for file in sizes} == {"number.json", "film.mp4", "quotient.json", "text.json"}
    assert all(file.stat().st_size == size for file, size in sizes.items())
    assert Path(*shlex.split(said.splitlines()[0].partition("  ")[2])).is_dir()


def test_every_file_of_an_output_is_counted_alone(tmp_path):
    from turnaround.flows.show.inspection import _files
    from turnaround.pipeline.store.store import Store

    store = Store(toy_person.make(tmp_path / "work"))
    record = store.linked("toy", "mesh")
    assert record is not None
    lines = list(_files(record.manifest["outputs"]["mesh"], record.path))
    sizes = {Path(line.split()[-1]).name: int(line.split()[0].replace(",", "")) for line in lines}
    assert sizes == {file: (record.path / file).stat().st_size for file in ("mesh.glb", "mesh.obj")}


def test_the_drawing_can_be_read_back_as_what_the_stages_need():
    classes = stages.classes()
    names, found = ["photo"], {}
    for line in drawing(classes)[1:]:
        cells = line[len("01 ") + max(len(stage.name) for stage in classes) + 1 :]
        name = line.split()[1]
        found[name] = {names[k] for k in range(len(names)) if cells[2 * k + 1] == "●"}
        names.append(name)
    assert found == {
        stage.name: {need.partition(".")[0] for need in stage.needs.values()} for stage in classes
    }
    assert "gpu" not in " ".join(drawing(classes)).lower(), "what this machine has is `doctor`'s to say"
