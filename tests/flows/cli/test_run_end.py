"""The end of a run: where the results are, how to look, what fits poorly; its exit codes and its document for
programs."""

from __future__ import annotations

import functools
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy
import toy_person

import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.runs import summary
from turnaround.flows.runs.execute import Result
from turnaround.flows.runs.summary import Run
from turnaround.flows.subjects import fits
from turnaround.flows.subjects.fits import Cause, Fit
from turnaround.flows.subjects.project import Project

POOR = Fit((Cause("waist", "the photo ends at the waist", "use one that shows all of the person"),))


@pytest.fixture(autouse=True)
def _toys(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)
    toy.calls.clear()


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


def photo(name: str, content: str = "") -> Path:
    file = Path(f"{name}.png")
    file.write_text(content or name)
    return file


@pytest.fixture
def bob_is_poor(monkeypatch):
    for module in (summary, fits):
        monkeypatch.setattr(
            module,
            "fit_of",
            lambda store, name: POOR if name == "bob" else Fit() if name == "alice" else None,
        )


def ended(root: Path, names: list[str]) -> Run:
    return Run(
        root,
        [Result(name, f"{name}.jpg") for name in names],
        len(names),
        1.0,
        root / "runs/x",
        "turnaround run",
    )


def test_files_that_a_person_wants_are_named_and_can_be_pasted(tmp_path):
    root = toy_person.make(tmp_path / "my work")
    told = summary.lines(ended(root, ["toy"]))
    named = [Path(*shlex.split(line)) for line in told if line.startswith("  ")]
    assert [file.name for file in named] == ["mesh.glb", "gaussians.ply", "turntable.mp4"] and all(
        file.is_file() for file in named
    )
    assert named[0].parent.name[3:] == "texture" and "my work/subjects/toy" in str(named[0]), (
        "the final ones, where a person looks"
    )
    look = next(line for line in told if line.startswith("look: "))
    assert shlex.split(look)[1:] == ["turnaround", "view", "toy", "--work", str(root)]


def test_a_batch_stays_short(tmp_path):
    names = [f"p{k:02}" for k in range(9)]
    toy_person.make(tmp_path / "work", names[0])
    for name in names[1:]:
        shutil.copytree(
            tmp_path / "work/subjects" / names[0], tmp_path / "work/subjects" / name, symlinks=True
        )
    few, many = (summary.lines(ended(tmp_path / "work", names[:count])) for count in (5, 9))
    assert len(few) == len(many) and sum(line.startswith("and 6 more in ") for line in many) == 1


@pytest.mark.usefixtures("bob_is_poor")
def test_a_poor_fit_is_told_by_name_with_its_remedy_also_where_all_is_fresh(capsys):
    for attempt in range(2):
        toy.calls.clear()
        assert turn("run", photo("alice"), photo("bob"), "--direct") == 0
        said = capsys.readouterr().err
        assert (
            "POOR FIT bob: the photo ends at the waist; use one that shows all of the person" in said
            and "POOR FIT alice" not in said
        )
        assert "report: work/runs/" in said
        assert bool(toy.calls) == (attempt == 0)


@pytest.mark.usefixtures("bob_is_poor")
def test_exit_codes_of_strict_runs():
    words = ("run", photo("alice"), photo("bob"), "--direct")
    assert turn(*words) == 0 and turn(*words, "--strict") == 3
    assert turn("run", "alice.png", "--direct", "--strict") == 0
    assert turn(*words, photo("carol", "bad"), "--strict") == 1, "a failure is worse than a poor fit"
    assert turn(*words, "--out", "x") == turn(*words, "--export", "stl") == 2


@pytest.mark.usefixtures("bob_is_poor")
def test_the_document_for_programs_is_all_of_stdout(capsys):
    assert turn("run", photo("alice"), photo("bob"), photo("carol", "bad"), "--direct", "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert (
        said["photos"] == 3
        and said["resume"].startswith("turnaround run carol.png")
        and Path(said["report"]).is_file()
    )
    assert {name: facts["ok"] for name, facts in said["subjects"].items()} == {
        "alice": True,
        "bob": True,
        "carol": False,
    }
    bob, carol = said["subjects"]["bob"], said["subjects"]["carol"]
    assert (
        bob["fit"]["state"] == "poor"
        and bob["fit"]["causes"][0]["code"] == "waist"
        and Path(bob["folder"]).is_dir()
    )
    assert (carol["failed"], carol["fault"], carol["fit"]) == (
        "count",
        "picture",
        None,
    ) and "use another" in carol["message"]
    assert turn("sweep", "alice", "--set", "stages.share.divisor=2,3", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (
        list(said["variants"]) == ["divisor=2", "divisor=3"] and said["variants"]["divisor=2"]["alice"]["ok"]
    )
    assert Path(said["page"]).is_file()
    assert turn("graph", "--json") == 0
    assert json.loads(capsys.readouterr().out)["stages"]["share"]["needs"] == {"number": "count.number"}
    photo("alice", "another picture")
    assert turn("why", "alice/share", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["stage"] for row in said["stages"]] == ["share", "count"] and said["begins"][0].startswith(
        "count: INPUT photo.image"
    )


def test_what_cannot_be_exported_after_a_run_is_told_and_the_code_is_1(capsys):
    assert turn("run", photo("alice"), "--direct", "--export", "glb", "--out", "models") == 1
    assert "FAILED alice.glb: alice has no glb yet" in capsys.readouterr().err


def documented() -> dict[str, dict]:
    """Command -> the example of its document in docs/commands.md."""
    text = (Path(__file__).resolve().parents[3] / "docs/commands.md").read_text(encoding="utf-8")
    found = re.findall(r"^`(\w+)`[^\n]*(?:\n[^`\n]+)?:\n\n```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return {command: json.loads(example) for command, example in found}


NAMES = {"NAME", "prepare", "view", "image", "iterations=15"}  # of the examples; others stand there in truth


def lacking(example: object, said: object, path: str = "") -> Iterator[str]:
    """Fields of an example that a document does not have."""
    if isinstance(example, list) and isinstance(said, list) and example and said:
        yield from lacking(example[0], said[0], path)
    if isinstance(example, dict) and isinstance(said, dict):
        for key, item in example.items():
            if key in NAMES and said:
                yield from lacking(item, next(iter(said.values())), f"{path}/*")
            elif key in said:
                yield from lacking(item, said[key], f"{path}/{key}")
            else:
                yield f"{path}/{key}"


def test_documents_have_the_documented_fields(tmp_path, capsys):
    examples = documented()
    assert set(examples) == {"run", "status", "inspect", "why", "graph", "export", "sweep"}
    photo("alice")
    words = {
        "run": ["alice.png", "--direct"],
        "status": ["alice"],
        "inspect": ["alice"],
        "why": ["alice/share"],
        "graph": [],
        "sweep": ["alice", "--set", "stages.share.divisor=2,3"],
    }
    for command, rest in words.items():
        capsys.readouterr()
        assert turn(command, *rest, "--json") == 0
        said = json.loads(capsys.readouterr().out)
        assert not list(lacking(examples[command], said)), command
        assert set(said) == set(examples[command]) or set(examples[command]) <= NAMES, "all is documented"
    assert list(lacking({"NAME": {"x": [{"y": 1}]}}, {"a": {"x": [{"z": 2}]}})) == ["/*/x/y"]
