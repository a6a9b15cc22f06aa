"""The built wheel: one package, all of it, and it works elsewhere, beside foreign `models` and `data`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from turnaround.flows.subjects.project import Project
from turnaround.pipeline.graph import Subject
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.settings import presets
from turnaround.pipeline.store.store import Store

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("configs", "data", "flows", "models", "pipeline", "stages")
PHOTO = ROOT / "docs" / "demo" / "person_40004.jpg"
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
FOREIGN = ("models", "data", "pipeline", "stages", "flows", "configs", "tests", "benchmarks")

DOOR = """
import importlib.util, json, sys
import turnaround as ta

light = sorted(name for name in sys.modules if name in ("torch", "numpy", "pydantic"))
names = [name for name in ta.__all__ if getattr(ta, name) is None]
person = ta.reconstruct(sys.argv[1], config="tiny", until=sys.argv[2] or None, progress=False)
found = {name: importlib.util.find_spec(name) for name in %r}
ours = [str(module.__file__) for name, module in sys.modules.items() if name.split(".")[0] == "turnaround"]
told = {
    "light": light, "nameless": names, "presets": ta.presets(), "version": ta.__version__, "keys": dict(person.keys),
    "found": {name: spec.origin for name, spec in found.items() if spec is not None}, "ours": ours,
}
print(json.dumps(told))
"""  # noqa: E501


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built beside the checkout, so that nothing of the build is left in it."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", *ROOMS):
        (copy / name).symlink_to(ROOT / name)
    run(sys.executable, "-c", BUILD, out, folder=copy)
    [file] = out.iterdir()
    return file


@pytest.fixture(scope="module")
def target(wheel, tmp_path_factory) -> Path:
    """Where pip has installed it, alone."""
    target = tmp_path_factory.mktemp("target")
    words = ("install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", target, wheel)
    run(sys.executable, "-m", "pip", *words, folder=target)
    return target


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """A folder with a photo, and packages of somebody else that have our rooms' names."""
    (tmp_path / PHOTO.name).write_bytes(PHOTO.read_bytes())
    for name in FOREIGN[:2]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('a package of somebody else')\n")
    return tmp_path


def run(*command: object, folder: Path, environment: dict[str, str] | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(target: Path, folder: Path, *words: object) -> str:
    """Run Python with the wheel and its dependencies, and without this checkout: -S reads no .pth file, which
    is how an editable installation is found."""
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(target), *packages])}
    return run(sys.executable, "-S", *words, folder=folder, environment=environment)


def door(target: Path, folder: Path, until: str) -> dict:
    return json.loads(python(target, folder, "-c", DOOR % (FOREIGN,), PHOTO.name, until).splitlines()[-1])


def test_only_one_package_lands_in_site_packages(wheel, target):
    landed = {path.name for path in target.iterdir() if not path.name.endswith(".dist-info")}
    assert landed <= {"turnaround", "bin"} and "turnaround" in landed
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        assert all(top == "turnaround" or top.endswith(".dist-info") for top in tops)


def test_every_file_of_the_rooms_is_in_it(target):
    """Code, presets, weights, pages: what pyproject.toml forgets is missed only by users."""
    package = target / "turnaround"
    for room in ROOMS:
        for file in (ROOT / room).rglob("*"):
            inside = file.relative_to(ROOT).as_posix()
            if not file.is_file() or "__pycache__" in inside or file.name.startswith("."):
                continue
            place = package / inside.removeprefix("flows/api/")
            assert place.is_file() and place.stat().st_size == file.stat().st_size, inside


def test_the_door_opens_elsewhere_and_makes_what_the_checkout_makes(target, elsewhere, tmp_path_factory):
    told = door(target, elsewhere, "prepare")
    assert told["light"] == told["nameless"] == [] and told["presets"] == presets()
    assert all(target in Path(file).parents for file in told["ours"]) and len(told["ours"]) > 40
    for name, origin in told["found"].items():
        assert origin is None or not {target, ROOT} & set(Path(origin).parents), f"{name} is {origin}"
    project = Project()
    prepare = project.build(project.settings("tiny", ()))[0]
    store = Store(tmp_path_factory.mktemp("work"))
    subject = Subject.open(Photo.at(PHOTO), store, project.weight_digest)
    assert told["keys"] == {"prepare": subject.recipe(prepare).key}


def test_the_command_line_runs_as_a_module(target, elsewhere):
    said = python(target, elsewhere, "-m", "turnaround", "--version").split()
    assert said[0] == "turnaround" and (target / f"turnaround-{said[1]}.dist-info").is_dir()


@pytest.mark.slow  # kernels are compiled anew in a new place: a minute
def test_a_whole_photo_from_the_wheel_is_that_of_the_checkout(target, elsewhere, tmp_path):
    import turnaround as ta

    words = ("-m", "turnaround", "run", PHOTO.name, "--config", "tiny", "--direct")
    python(target, elsewhere, *words, "--work", "work")
    assert door(target, elsewhere, "")["keys"] == ta.load(elsewhere / "work", PHOTO.stem).keys
    here = ta.reconstruct(PHOTO, config="tiny", work=tmp_path / "here", progress=False)
    assert here.keys == ta.load(elsewhere / "work", PHOTO.stem).keys
    names = [name for name in here.outputs if name.split(".")[0] == "turntable"]
    theirs = ta.load(elsewhere / "work", PHOTO.stem)
    for name in names:
        stage, _, output = name.partition(".")
        assert here._record(stage).digest(output) == theirs._record(stage).digest(output), name
