"""A person: values read from the store, files of every format, what a notebook shows."""

from __future__ import annotations

import base64
import io
import re
import signal
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import toy_person
from PIL import Image

import turnaround as ta
from turnaround import showing
from turnaround.flows.exports.export import FORMATS, Changes, export_file
from turnaround.flows.exports.rigged import FORMATS as RIGGED
from turnaround.flows.viewer import html_page


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return toy_person.make(tmp_path_factory.mktemp("work"))


@pytest.fixture
def person(work) -> ta.Person:
    return ta.load(work, "toy")


def equal(found: Any, expected: Any) -> bool:
    return all(
        torch.allclose(getattr(found, name), value, atol=1e-6) if isinstance(value, torch.Tensor) else True
        for name, value in vars(expected).items()
    )


def test_values_are_those_of_the_last_stage_and_read_once(person):
    assert person.gaussians is person.gaussians and isinstance(person.gaussians, ta.Gaussians)
    assert len(person.gaussians) == len(person.load("detail.gaussians"))
    assert torch.equal(person.gaussians.means, person.load("detail.gaussians").means)
    assert isinstance(person.mesh, ta.TexturedMesh) and isinstance(person.view, ta.View)
    assert equal(person.body, toy_person.path()[2]), "the refined one"


def test_where_the_last_stages_are_missing_the_one_before_counts(tmp_path, caplog):
    without = ("turntable", "texture", "detail", "mesh", "refine")
    person = ta.load(toy_person.make(tmp_path, without=without), "toy")
    assert torch.equal(person.gaussians.means, person.load("fuse.gaussians").means)
    assert "no result of `detail` yet: this is that of `fuse`" in caplog.text
    assert equal(person.body, toy_person.path()[0]), "the estimated one"
    with pytest.raises(ta.TurnaroundError, match="toy has no glb yet"):
        _ = person.mesh
    with pytest.raises(ta.TurnaroundError, match=r"no output 'back_view\.view'"):
        _ = person.back_view


@pytest.mark.parametrize("to", [form for form in FORMATS if form not in ("html", *RIGGED)])
def test_save_writes_what_export_writes(work, person, tmp_path, to):
    path = person.save(tmp_path / "deep" / f"x.{to.upper()}")
    expected = export_file(work, "toy", to, tmp_path / f"y.{to}").path
    assert path == tmp_path / "deep" / f"x.{to.upper()}"
    assert path.read_bytes().replace(b"x.", b"y.") == expected.read_bytes().replace(b"x.", b"y.")


def test_save_knows_the_changes_of_export(work, person, tmp_path):
    tall = person.save(str(tmp_path / "tall.splat"), height=1.9)
    expected = export_file(work, "toy", "splat", tmp_path / "e.splat", Changes(height=1.9)).path
    assert tall.read_bytes() == expected.read_bytes() != person.save(tmp_path / "x.splat").read_bytes()
    with pytest.raises(ta.TurnaroundError, match="--gaussians goes with"):
        person.save(tmp_path / "x.glb", gaussians=100)


@pytest.mark.parametrize("name", ["x.stl", "x", ".ply"])
def test_save_refuses_an_ending_that_is_no_format(person, tmp_path, name):
    with pytest.raises(ta.TurnaroundError, match=r"ends as one of \.ply, \.splat"):
        person.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------- on screen


def test_a_notebook_shows_a_small_picture_and_its_name(person):
    with Image.open(io.BytesIO(person._repr_png_())) as image:
        assert image.size == (64, 64), "the view, where the turntable has no sheet"
    shown = person._repr_html_()
    inside = base64.b64decode(re.search('base64,([^"]+)"', shown).group(1))
    assert inside == person._repr_png_() and "Person(&#x27;toy&#x27;, 9 stages" in shown


@pytest.fixture
def programs(monkeypatch):
    """Pages without the packages of npm."""
    monkeypatch.setattr(html_page, "programs", lambda *_: {"three": b"code"})
    monkeypatch.setattr(html_page, "_notices", lambda: "licences")


@pytest.fixture
def notebook(monkeypatch) -> list[Any]:
    """Pretend that a notebook's kernel runs this; what is displayed."""
    displayed: list[Any] = []
    module, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    module.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    display.display = displayed.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return displayed


def test_show_puts_the_offline_page_into_a_notebook(person, programs, notebook, tmp_path):
    person.show()
    [page] = notebook
    source = re.fullmatch('<iframe srcdoc="([^"]*)" style=.*</iframe>', page._repr_html_(), re.DOTALL)
    saved = person.save(tmp_path / "toy.html").read_text()
    assert source is not None and page.text == saved
    assert source.group(1) == saved.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace(
        '"', "&quot;"
    ).replace("'", "&#x27;")


def test_show_opens_the_viewer_elsewhere(person, monkeypatch, capsys):
    opened: list[str] = []
    close = lambda: opened.append("closed")  # noqa: E731
    window = SimpleNamespace(port=8123, wait=lambda: signal.raise_signal(signal.SIGINT), close=close)
    scenes: list[Any] = []
    start = lambda scene, port: scenes.append(scene) or window  # noqa: E731
    monkeypatch.setattr("turnaround.flows.viewer.serve.start", start)
    monkeypatch.setattr(showing.webbrowser, "open", opened.append)
    person.show()
    assert opened == ["http://localhost:8123", "closed"]
    assert "toy: http://localhost:8123" in capsys.readouterr().err
    assert torch.equal(scenes[0].steps[-2].gaussians.means, person.gaussians.means)


def test_inline_without_ipython_says_what_to_do(person, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(ta.TurnaroundError, match=r"needs IPython.*save\('x.html'\)"):
        person.show(inline=True)


# -------------------------------------------------------------------------------------------- the import


def test_every_public_name_is_there_and_typed_as_it_is_imported():
    """Editors and pyright read the TYPE_CHECKING block, Python the table: they must say the same."""
    import ast

    source = ast.parse(Path(ta.__file__).read_text())
    block = next(node for node in source.body if isinstance(node, ast.If))
    typed = {
        node.module: tuple(alias.name for alias in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert typed == ta._MODULES
    assert (
        sorted({name for names in typed.values() for name in names} | {"__version__"})
        == dir(ta)
        == ta.__all__
    )
    for name in ta.__all__:
        assert getattr(ta, name) is not None, name
    with pytest.raises(AttributeError, match="no attribute 'reconstuct'; it has Body"):
        _ = ta.reconstuct  # type: ignore[attr-defined]


TIMED = """
import sys, time
before, started = set(sys.modules), time.perf_counter()
import {module}
print(time.perf_counter() - started, *sorted(set(sys.modules) - before))
"""


def timed(module: str) -> tuple[float, set[str]]:
    command = [sys.executable, "-c", TIMED.format(module=module)]
    words = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    return float(words[0]), set(words[1:])


def test_import_turnaround_costs_less_than_a_module_of_the_standard_library():
    """Measured beside `import json, email.message`, so that a busy machine slows both."""
    ours, modules = min((timed("turnaround") for _ in range(3)), key=lambda found: found[0])
    theirs, _ = min((timed("json, email.message") for _ in range(3)), key=lambda found: found[0])
    assert len(modules) < 12 and {"turnaround"} == {name for name in modules if "turnaround" in name}
    assert ours < 2 * theirs and ours < 0.2, (ours, theirs)
