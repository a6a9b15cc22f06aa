"""docs/notebook.ipynb does what it says: its cells run in order, on the tiny preset."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tiny_run import TINY_NAME, TINY_PHOTO

DOCS = Path(__file__).resolve().parents[3] / "docs"
NOTEBOOK = json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
PARAMETERS = "CONFIG, WORK = "  # the line of the first cell that the test replaces

KERNEL = """
import json, sys, types

sys.modules["IPython"] = IPython = types.ModuleType("IPython")
sys.modules["IPython.display"] = display = types.ModuleType("IPython.display")
IPython.get_ipython = lambda: types.SimpleNamespace(kernel=True)
shown = []
display.display = lambda value: shown.append(value._repr_html_())
from turnaround.flows.viewer import html_page

html_page.programs, html_page._notices = lambda *_: {}, str  # no network
space = {}
for number, cell in enumerate(json.load(open(sys.argv[1])), 1):
    *lines, last = cell.splitlines()
    exec("\\n".join(lines if last[0].isalpha() and last.isidentifier() else [*lines, last]), space)
    if last.isidentifier():
        shown.append(space[last]._repr_html_())
    print(f"cell {number} done")
assert len(shown) == 2 and all(len(text) > 1000 for text in shown), [len(text) for text in shown]
"""


def test_six_cells_without_outputs():
    assert len(CELLS) == 6 and all(cell.get("outputs", []) == [] for cell in NOTEBOOK["cells"])
    assert [number for number, cell in enumerate(CELLS) if PARAMETERS in cell] == [0]
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])


def test_the_cells_run_in_order(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "work", symlinks=True)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    photos = [str(TINY_PHOTO), str(tmp_path / "bad.jpg")]
    first = [
        f"CONFIG, WORK, PHOTOS = 'tiny', {str(tmp_path / 'work')!r}, {photos!r}"
        if PARAMETERS in line[:20]
        else line
        for line in CELLS[0].splitlines()
    ]
    (tmp_path / "cells.json").write_text(json.dumps(["\n".join(first), *CELLS[1:]]))
    command = [sys.executable, "-c", KERNEL, str(tmp_path / "cells.json")]
    done = subprocess.run(command, cwd=DOCS, env=os.environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" done") == 6
    assert "['turntable']\n" in done.stdout, "only what was changed is made again"
    assert f"{TINY_NAME} " in done.stdout and "bad bad.jpg: the photo: this is not a picture" in done.stdout
    assert {file.suffix for file in (tmp_path / "work" / "out").iterdir()} == {".ply", ".glb", ".mp4"}
