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

import pytest
from documented import commands, parse, spans

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "tutorial.md"


TEXT = PAGE.read_text(encoding="utf-8")
SKETCH = re.compile(r"\.\.\.|[A-Z]{3,}")  # "turnaround run --people ..."


def test_the_page_has_commands_for_every_first_step():
    lines = [line.split()[1] for line in commands(TEXT) if line.startswith("turnaround ")]
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
    "line",
    [line for line in commands(TEXT) if line.startswith("turnaround ")]
    + [span for span in spans(TEXT) if not SKETCH.search(span)],
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
    for line in commands(TEXT):
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
