"""The command line as a whole: a file a command, groups, suggestions, `--version`, `open`."""

from __future__ import annotations

import functools
import importlib
import re
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import toy
import typer.main

import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.cli.groups import GROUPS
from turnaround.flows.show import opener
from turnaround.flows.subjects.project import Project

ROOT = Path(__file__).resolve().parents[3]
PARTS = {"__init__", "app", "completion", "groups", "options"}  # of the folder that are no commands
GROUP: Any = typer.main.get_command(app)


@pytest.fixture(autouse=True)
def _toys(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


def test_one_command_is_one_file():
    files = {file.stem for file in (ROOT / "flows/cli").glob("*.py")} - PARTS
    assert files == set(GROUP.commands) == {name for names in GROUPS.values() for name in names}
    for name in files - {"data"}:
        module = importlib.import_module(f"turnaround.flows.cli.{name}")
        assert GROUP.commands[name].callback.__module__ == module.__name__
        assert (module.__doc__ or "").startswith(f"The command `{name}`: ")


def test_help_lists_all_commands_in_groups_with_whole_sentences(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    for flag in ("--help", "-h"):
        assert turn(flag) == 0
        said = capsys.readouterr().out
        heads = [line for line in said.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)]
        assert heads == ["Options:", *(f"{heading}:" for heading in GROUPS)]
        commands = said[said.index("Make:") :]
        assert "..." not in commands and all(len(line) <= 80 for line in said.splitlines())
        for name in GROUP.commands:
            assert re.search(rf"^  {name} +[A-Z].*\.$", commands, re.MULTILINE), name
    assert turn("data", "-h") == 0 and "..." not in capsys.readouterr().out.partition("Commands:")[2]
    for name in set(GROUP.commands) - {"train"}:
        assert turn(name, "-h") == 0
        assert "Usage: " in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    from importlib.metadata import version

    assert turn("--version") == 0
    assert capsys.readouterr().out == f"turnaround {version('turnaround')}\n"


MISSES = [
    ("staus", "'status'"),
    ("run alice.png --drect", "--direct"),
    ("run alice.png --until shar", "'share'"),
    ("rerun lable", "'label'"),
    ("why alice/cuont", "'count'"),
    ("inspect Alise", "'alice'"),
    ("status alcie", "'alice'"),
    ("open alica", "'alice'"),
    ("override alice/cuont/number.json alice.png", "'alice/count/number.json'"),
    ("diff alice/cuont", "'count'"),
    ("train hgm-corse", "'hgm-coarse'"),
    ("export allice --to ply", "'alice'"),
]


def test_near_misses_are_answered_with_what_was_meant(capsys):
    Path("alice.png").write_text("alice")
    assert turn("run", "alice.png", "--direct", "--until", "count") == 0
    for line, meant in MISSES:
        capsys.readouterr()
        assert turn(*line.split()) == 2
        said = capsys.readouterr().err
        assert re.search(rf"[Dd]id you mean:? {meant}|Possible options?: .*{meant}", said), said


def test_open_shows_the_folder_and_prints_the_path_where_there_is_no_desktop(monkeypatch, tmp_path, capsys):
    Path("alice.png").write_text("alice")
    turn("run", "alice.png", "--direct")
    capsys.readouterr()
    opened, program = tmp_path / "opened", tmp_path / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(opener.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert turn("open", "alice") == 0
    assert capsys.readouterr().out == "work/subjects/alice\n" and not opened.exists()
    monkeypatch.setenv("DISPLAY", ":0")
    for words, path in (
        (["alice"], "work/subjects/alice"),
        (["alice", "--report"], "work/report/index.html"),
    ):
        opened.unlink(missing_ok=True)
        assert turn("open", *words) == 0
        assert capsys.readouterr().out == f"{path}\n" and Path(path).exists()
        deadline = time.monotonic() + 10
        while not (opened.exists() and opened.read_text()):
            assert time.monotonic() < deadline, "the opener was not called"
            time.sleep(0.02)
        assert Path(opened.read_text().strip()) == tmp_path / path
