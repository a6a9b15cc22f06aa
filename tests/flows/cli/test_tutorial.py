"""The tutorial is true: its options exist, and (slow) its commands run, in order, on the real pipeline."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from turnaround.flows.cli.app import app

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "tutorial.md"


def commands(page: Path, fence: str = "```bash") -> list[str]:
    """The lines of a page's code blocks."""
    blocks = re.findall(rf"^{fence}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [
        line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")
    ]


def spans(page: Path) -> list[str]:
    """The commands within sentences, without the sketches ("turnaround run --people ...")."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [
        span
        for span in re.findall(r"`(turnaround [^-`][^`]*)`", text)
        if not re.search(r"\.\.\.|[A-Z]{3,}", span)
    ]


def parse(line: str) -> Any:
    """Let the command line parse the words, without doing anything; raises what a user would be told."""
    words = shlex.split(line, comments=True)[1:]
    command: Any = typer.main.get_command(app)
    context = command.make_context("turnaround", words, resilient_parsing=False)
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)
    return context


def test_the_page_has_commands_for_every_first_step():
    lines = [line.split()[1] for line in commands(PAGE) if line.startswith("turnaround ")]
    assert {
        "doctor",
        "run",
        "status",
        "rerun",
        "why",
        "sweep",
        "override",
        "init",
        "report",
        "export",
        "verify",
        "gc",
    } <= set(lines)


@pytest.mark.parametrize(
    "line", [line for line in commands(PAGE) + spans(PAGE) if line.startswith("turnaround ")]
)
def test_every_command_of_the_tutorial_is_understood(line):
    assert parse(line).info_name == line.split()[1]


def test_a_command_with_a_wrong_option_is_not_understood():
    with pytest.raises(Exception, match="No such option"):
        parse("turnaround run x.jpg --confg tiny")
    with pytest.raises(Exception, match="No such command"):
        parse("turnaround rnu x.jpg")


@pytest.mark.slow
def test_the_commands_of_the_tutorial_run(tmp_path):
    """In a folder with docs/demo, as a shell runs them; every one must end with 0."""
    shutil.copytree(ROOT / "docs" / "demo", tmp_path / "docs" / "demo")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "turnaround"
    script.write_text(
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m "
        f'turnaround.flows.cli.app "$@"\n'
    )
    script.chmod(0o755)
    ours = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    said = {}
    for line in commands(PAGE):
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=ours, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        said[line] = done.stdout + done.stderr
    assert "FRESH" in said["turnaround status person_40004"]
    assert "STALE(INPUT)" in said["turnaround override person_40004/back_view/refined.png mine.png"]
    assert (tmp_path / "person_40004.ply").stat().st_size > 100_000 and (
        tmp_path / "person_40004.glb"
    ).stat().st_size > 10_000
    manifest = json.loads((tmp_path / "work/subjects/person_40004/04_refine/manifest.json").read_text())
    assert manifest["config"]["fit"]["iterations"] == 8
