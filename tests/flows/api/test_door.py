"""`import turnaround`: what the command line makes, as functions; its messages, as exceptions."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import faults
import pytest
import toy

import turnaround as ta
import turnaround.flows.subjects.project
import turnaround.reconstruction
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.subjects import memory
from turnaround.flows.subjects.project import Project


@pytest.fixture(autouse=True)
def _toys(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.setattr(turnaround.reconstruction, "Project", toys)
    monkeypatch.chdir(tmp_path)
    toy.calls.clear()


def turn(*words: object) -> int:
    return guarded(lambda: app([str(word) for word in words], standalone_mode=False))


def photo(name: str, content: bytes = b"0123456789") -> Path:
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def reconstruct(source: Any, **arguments: Any) -> ta.Person:
    return ta.reconstruct(source, progress=False, **arguments)


def folder(source: Any, **arguments: Any) -> list[ta.Person | ta.Failure]:
    return list(ta.reconstruct_folder(source, progress=False, **arguments))


# ---------------------------------------------------------------------------------------- as the command line


SETTINGS = [
    ("stages.count.offset=5", "stages.share.divisor=3"),
    {"stages.count.offset": 5, "stages.share.divisor": 3},
    {"stages": {"count": {"offset": 5}, "share": {"divisor": 3}}},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_call_and_the_command_line_make_the_same_work_folder(settings, capsys):
    photo("a.jpg"), photo("a.mask.png")
    words = [word for text in SETTINGS[0] for word in ("--set", text)]
    assert turn("run", "a.jpg", "--work", "theirs", "--direct", "--json", *words) == 0
    said = json.loads(capsys.readouterr().out)["subjects"]["a"]
    person = reconstruct("a.jpg", work="ours", set=settings)
    assert faults.state(Path("ours")) == faults.state(Path("theirs"))
    assert {stage: facts["key"] for stage, facts in said["stages"].items()} == person.keys
    same = ("ok", "photo", "fit", "failed", "fault", "message")
    assert {name: person.report[name] for name in same} == {name: said[name] for name in same}
    assert person.report["name"] == person.name == "a" and person.work == Path("ours").absolute()


def test_whoever_comes_second_computes_nothing(capsys):
    photo("a.jpg")
    person = reconstruct("a.jpg")
    toy.calls.clear()
    assert turn("run", "a.jpg", "--direct") == 0 and not toy.calls
    again = reconstruct(Path("a.jpg"))
    assert not toy.calls and again.keys == person.keys
    assert {facts["state"] for facts in again.report["stages"].values()} == {"fresh"}
    assert turn("rerun", "share") == 0
    assert {facts["state"] for facts in person.report["stages"].values()} == {"made"}


def test_one_setting_may_be_a_word_and_values_keep_their_types():
    assert turnaround.reconstruction.overrides_of("a.b=1") == ("a.b=1",)
    values = {"a": {"b": True, "c": None}, "d.e": [1, "x"], "f": Path("g/h"), "i": "5", "j": "ö: #"}
    found = turnaround.reconstruction.overrides_of(values)
    parsed = {text.partition("=")[0]: json.loads(text.partition("=")[2]) for text in found}
    assert parsed == {"a.b": True, "a.c": None, "d.e": [1, "x"], "f": "g/h", "i": "5", "j": "ö: #"}


def test_until_ends_early_and_what_is_missing_is_said():
    photo("a.jpg")
    person = reconstruct("a.jpg", until="share")
    assert list(person.keys) == ["count", "share"] and toy.calls == ["count", "share"]
    assert person.outputs == ("count.film", "count.number", "share.quotient")
    assert person.load("share.quotient") == {"q": 1}
    with pytest.raises(ta.TurnaroundError, match=r"no output 'label\.text'; there are count\.film,"):
        person.load("label.text")


# ---------------------------------------------------------------------------------------------------- persons


def test_a_person_stays_what_it_is_when_the_photo_is_done_again():
    photo("a.jpg")
    first, second = (reconstruct("a.jpg", set={"stages.count.offset": offset}) for offset in (1, 2))
    assert first.load("count.number")["n"] == 11 and second.load("count.number")["n"] == 12
    assert first.keys != second.keys
    assert turn("gc") == 0
    assert second.load("count.number")["n"] == 12
    with pytest.raises(ta.TurnaroundError, match=r"turnaround gc.*reconstruct a again"):
        first.load("count.number")


def test_load_gives_what_the_last_run_left():
    photo("a.jpg")
    made = reconstruct("a.jpg", set="stages.count.offset=3")
    found = ta.load("work", "a")
    assert found.keys == made.keys and found.outputs == made.outputs and found.photo == made.photo
    assert [found.load(name) for name in found.outputs] == [made.load(name) for name in made.outputs]
    with pytest.raises(ta.TurnaroundError, match="knows no subject 'aa', did you mean 'a'"):
        ta.load("work", "aa")


def test_load_of_a_failed_photo_says_so():
    photo("a.jpg", b"bad")
    assert turn("run", "a.jpg", "--direct") == 1
    found = ta.load("work", "a")
    assert not found.keys and found.report["failed"] == "count" and "use another" in found.report["message"]


def test_people_and_failures_come_back_from_worker_processes():
    photo("p/a.jpg"), photo("p/b.jpg", b"bad")
    person, failure = folder("p", workers=1)
    assert isinstance(person, ta.Person) and isinstance(failure, ta.Failure)
    back, error = pickle.loads(pickle.dumps((person, failure.error)))
    assert back.keys == person.keys and back.load("count.number") == person.load("count.number")
    assert back.report == person.report and back.photo == person.photo
    assert str(error) == str(failure.error) and (error.name, error.kind) == ("b", "picture")


# ----------------------------------------------------------------------------------------------------- errors


def test_a_photo_that_fails_raises_the_message_of_the_command_line(capsys):
    photo("a.jpg", b"bad")
    assert turn("run", "a.jpg", "--direct", "--json", "--work", "theirs") == 1
    said = json.loads(capsys.readouterr().out)["subjects"]["a"]
    with pytest.raises(ta.ReconstructionError) as caught:
        reconstruct("a.jpg")
    error = caught.value
    assert str(error) == said["message"] and (error.kind, error.stage) == (said["fault"], said["failed"])
    assert (error.name, error.photo) == ("a", "a.jpg") and isinstance(error, ta.TurnaroundError)


def test_a_fault_of_the_program_keeps_its_trace(monkeypatch):
    monkeypatch.setattr(toy.Share, "run", lambda self, **_: {}["nothing"])
    photo("a.jpg")
    with pytest.raises(ta.ReconstructionError, match="KeyError") as caught:
        reconstruct("a.jpg")
    assert caught.value.kind == "program" and "Traceback" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"photo": "none.jpg"}, "none.jpg does not exist"),
        ({"photo": "."}, r"\. is a folder; turnaround.reconstruct_folder"),
        ({"photo": "*.jpg"}, "means 2 photos"),
        ({"config": "tinny"}, "no preset is called 'tinny': did you mean 'tiny'"),
        ({"set": {"stages.count.ofset": 1}}, "unknown setting 'stages.count.ofset': did you mean"),
        ({"set": "stages.count.offset=x"}, "stages.count.offset: .*integer"),
        ({"device": "gpu"}, "expected auto, cpu, cuda or cuda:N"),
        ({"until": "lable"}, "no stage is called 'lable', did you mean 'label'"),
        ({"people": "both"}, "expected one, largest, all"),
        ({"people": "all"}, "reconstruct_folder.photo, people=.all.. each"),
        ({"name": "a/b"}, "name='a/b': expected a plain file name"),
        ({"mask": "none.png"}, "mask: none.png cannot be read"),
        ({"body": 5}, "body: expected a path, bytes, a Body or a mapping of arrays, got int"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_errors_that_name_them(arguments, message):
    photo("a.jpg"), photo("b.jpg")
    with pytest.raises(ta.TurnaroundError, match=message):
        ta.reconstruct(**{"photo": "a.jpg", "progress": False} | arguments)
    assert not toy.calls


@pytest.mark.parametrize("wrong", [{"config": "tinny"}, {"set": "stages.x=1"}, {"people": "both"}])
def test_a_wrong_setting_is_told_before_the_work_folder_is_made(wrong):
    photo("a.jpg")
    for call in (reconstruct, folder):
        with pytest.raises(ta.TurnaroundError):
            call("a.jpg", **wrong)
    assert not Path("work").exists()


# ------------------------------------------------------------------------------------------- many photos


def test_one_bad_photo_is_a_failure_at_its_turn_and_the_others_go_on():
    photo("p/a.jpg"), photo("p/b.jpg", b"bad"), photo("p/c.jpg", b"x" * 50)
    found = folder("p", workers=1)
    assert [each.name for each in found] == ["a", "b", "c"] and [bool(each) for each in found] == [
        True,
        False,
        True,
    ]
    bad = found[1]
    assert isinstance(bad, ta.Failure) and bad.report["failed"] == bad.stage == "count"
    assert not hasattr(bad, "gaussian") and "use another" in repr(bad)
    for use in (lambda: bad.gaussians, lambda: bad.save("x.ply"), lambda: bad.keys):
        with pytest.raises(ta.ReconstructionError, match=r"b\.jpg: the photo is bad"):
            use()
    assert all(each.load("count.number")["n"] for each in found if each)


def test_a_folder_is_named_and_done_as_the_command_line_does():
    photo("p/a.jpg"), photo("p/q/a.jpg", b"x" * 30), photo("p/a.mask.png"), photo("p/b.jpg", b"bad")
    assert turn("run", "p", "-r", "--direct", "--work", "theirs") == 1
    found = folder("p", recursive=True, work="ours")
    assert {each.name for each in found} == set(memory.names(Path("theirs")))
    assert faults.state(Path("ours")) == faults.state(Path("theirs"))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_loop_that_ends_early_starts_no_further_photo(workers):
    for number in range(12):
        photo(f"p/{number:02}.jpg", b"x" * (20 + number))
    people = ta.reconstruct_folder("p", workers=workers, progress=False, set="stages.count.pause=0.02")
    first = next(people)
    assert first
    people.close()  # type: ignore[attr-defined]
    gc.collect()
    assert toy.calls.count("count") <= 2 * workers


def test_several_paths_and_patterns_each_photo_once():
    photo("p/a.jpg"), photo("p/b.jpg"), photo("c.jpg")
    assert [each.name for each in folder(["p/a.jpg", Path("c.jpg"), "p/*.jpg"], workers=1)] == ["a", "c", "b"]


def test_arguments_of_a_folder_are_checked_at_the_call():
    photo("p/a.jpg")
    for wrong in ({"photos": "none"}, {"photos": "p", "until": "x"}, {"photos": "p", "device": "tpu"}):
        with pytest.raises(ta.TurnaroundError):
            ta.reconstruct_folder(**wrong)


# --------------------------------------------------------------------------------------------- around it


def test_it_works_inside_an_event_loop_without_a_terminal_and_without_prefect(monkeypatch, capsys):
    photo("a.jpg")
    for name in [name for name in sys.modules if name.split(".")[0] == "prefect"]:
        monkeypatch.delitem(sys.modules, name)

    async def cell() -> ta.Person:
        return ta.reconstruct("a.jpg")

    assert asyncio.run(cell()).name == "a"
    assert "prefect" not in sys.modules
    assert "a: done" in capsys.readouterr().err


def test_progress_false_is_silent(capfd):
    photo("a.jpg")
    reconstruct("a.jpg")
    assert capfd.readouterr() == ("", "")


def test_a_poor_fit_is_told_with_its_photo(monkeypatch, caplog):
    from turnaround.pipeline.values.fit import Cause, Fit

    cause = Cause("sideways", "lies on the side", "turn it")
    monkeypatch.setattr("turnaround.person.fit_of", lambda store, subject: Fit.of([cause]))
    photo("a.jpg")
    person = reconstruct("a.jpg")
    assert person.report["fit"]["state"] == "poor" and "poor fit" in repr(person)
    assert "poor fit of a: lies on the side; turn it" in caplog.text
    assert "lies on the side; turn it" in person._repr_html_()
