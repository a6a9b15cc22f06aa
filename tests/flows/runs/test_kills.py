"""kill -9 at every step that touches the disk and at random times: the next run finishes what was begun."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import faults
import pytest

STAGES = 3


def harness(folder: Path, *words: str) -> dict[str, Any]:
    """The kills are forks, which are made in a process without threads."""
    command = [sys.executable, faults.__file__, str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_killed_at_any_step_is_finished_by_the_next(tmp_path):
    found = harness(tmp_path / "f", "every", "run")["run"]
    assert found["wrong"] == [] and found["code"] == 0
    assert found["kills"] == sum(found["steps"].values()) >= 60
    assert (
        min(found["steps"][kind] for kind in ("fsync", "rename", "replace", "symlink", "half a write"))
        >= STAGES
    )


@pytest.mark.slow
def test_every_command_killed_at_any_step_is_finished_by_the_next(tmp_path):
    found = harness(tmp_path / "f", "every")
    assert set(found) == {"run", "rerun", "verify", "mend", "gc"}
    assert all(
        scenario["wrong"] == [] and scenario["kills"] == sum(scenario["steps"].values())
        for scenario in found.values()
    ), found


def test_runs_killed_at_random_are_finished_by_the_next(tmp_path):
    found = harness(tmp_path / "f", "random", "12")
    assert found["wrong"] == [] and found["kills"] == 12, found


@pytest.mark.slow
def test_a_hundred_random_kills(tmp_path):
    found = harness(tmp_path / "f", "random", "100")
    assert found["wrong"] == [] and found["kills"] == 100 and found["in the middle"] >= 10, found
