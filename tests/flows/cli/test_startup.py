"""What commands cost beside the work: what they import, and how many files they open for each finished
subject."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from heavy_packages import HEAVY_PACKAGES

from turnaround.models import zoo
from turnaround.pipeline.store.digest import DigestMemo

HERE = Path(__file__).resolve().parents[2]

SPY = """
import json, os, runpy, sys
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
script, report = sys.argv[1], sys.argv[2]
sys.argv = [script, *sys.argv[3:]]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as stop:
    assert not stop.code, stop.code
here = os.getcwd() + os.sep
names = [path.removeprefix(here) for name in opened if (path := os.path.abspath(name)).startswith(here)]
json.dump({"opened": names, "modules": [name for name in sys.modules if "." not in name]}, open(report, "w"))
"""


def spied(folder: Path, *words: object, script: Path = HERE / "support/toy_cli.py") -> dict[str, list[str]]:
    """The files below work/ and photos/ that a command opens in a fresh process, and the packages that it
    imports."""
    report = folder / "spied.json"
    command = [sys.executable, "-c", SPY, str(script), str(report), *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(report.read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> dict[int, Path]:
    """Work folders with 4 and 16 finished subjects, whose photos are old enough to be remembered."""
    folders = {}
    for count in (4, 16):
        folder = tmp_path_factory.mktemp(f"subjects{count}")
        (folder / "photos").mkdir()
        for number in range(count):
            (folder / "photos" / f"p{number:02}.png").write_bytes(b"x" * (20 + number))
        folders[count] = folder
    time.sleep(1.1)
    for folder in folders.values():
        spied(folder, "run", folder / "photos", "--direct", "--work", folder / "work")
    return folders


def test_help_imports_nothing_heavy(tmp_path):
    modules = set(spied(tmp_path, "--help", script=HERE.parent / "flows" / "cli" / "app.py")["modules"])
    assert not modules & (HEAVY_PACKAGES | {"numpy", "pydantic", "PIL", "yaml", "safetensors"})


@pytest.mark.parametrize(
    "words", [["status"], ["run", "photos", "--direct"], ["run", "photos"], ["verify"]], ids=" ".join
)
def test_what_is_finished_costs_a_few_small_files_and_no_photo(finished, words):
    seen = {count: spied(folder, *words) for count, folder in finished.items()}
    assert not HEAVY_PACKAGES & set(seen[16]["modules"])
    photos = [name for name in seen[16]["opened"] if name.startswith("photos/") and name.endswith(".png")]
    if words[0] == "run":  # the report makes a thumbnail of each photo once
        photos = [
            name
            for name in spied(finished[16], *words)["opened"]
            if name.startswith("photos/") and name.endswith(".png")
        ]
    assert not photos, "digests of photos are remembered"
    each = (len(seen[16]["opened"]) - len(seen[4]["opened"])) / 12
    films = sum(name.endswith(".mp4") for name in seen[16]["opened"])
    # a memory and what was given, read a few times, and three manifests; verify reads the four artifacts too,
    # and `run` without --direct reads the manifests once more, to see that nothing needs Prefect
    most = {"status": 11, "run photos --direct": 16, "run photos": 21, "verify": 9}[" ".join(words)]
    assert 3 <= each <= most, seen[16]["opened"]
    assert films == (16 if words[0] == "verify" else 0), "artifacts are not read to tell that they are there"


def test_big_weights_are_hashed_once_for_all_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("TURNAROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo, "_BIG", 10)
    weight = tmp_path / "big.safetensors"
    weight.write_bytes(b"x" * 20)
    os.utime(weight, (1, 1))
    first = zoo.digest(weight)
    monkeypatch.setattr("turnaround.pipeline.store.digest.time.time", lambda now=time.time: now() + 5)
    assert zoo.digest(weight) == first
    memo = tmp_path / "cache" / "digests.txt"
    assert first in memo.read_text() and first in DigestMemo(memo)._known.values()
