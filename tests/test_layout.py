"""The layout of the repository: our packages are ours, imports go one way, files and functions stay small, starting is cheap."""

from __future__ import annotations

import ast
import importlib
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("pipeline", "models", "stages", "data", "flows")
FORBIDDEN = {  # room -> what it may not import, not even inside a function
    "pipeline": {"models", "stages", "flows", "data", "prefect", "typer"},
    "models": {"stages", "flows", "data", "prefect", "typer"},
    "stages": {"flows", "data", "prefect", "typer"},
    "data": {"stages", "flows", "prefect", "typer"},
    "flows": set(),
}
ALL = [*ROOMS, "tests", "benchmarks"]
TRACKED = 45 * 2**20  # bytes that git holds in one checkout, at most


def python_files(*rooms: str) -> list[Path]:
    return sorted(file for room in rooms for file in (ROOT / room).rglob("*.py"))


@cache
def parsed(file: Path) -> list[ast.AST]:
    """Every node of a file, the module first."""
    return list(ast.walk(ast.parse(file.read_text())))


def imported(file: Path) -> Iterator[tuple[str, int]]:
    """Top-level packages that a file imports anywhere, with the line."""
    for node in parsed(file):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0], node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value).split(".")[0], node.lineno


@pytest.mark.parametrize("room", ROOMS)
def test_the_packages_are_this_repository_s(room):
    """The names are generic; another distribution's `models` or `data` would be imported silently."""
    file = importlib.import_module(room).__file__
    assert file is not None and Path(file).resolve() == ROOT / room / "__init__.py"


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room):
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in python_files(room)
        for name, line in imported(file)
        if name in FORBIDDEN[room]
    ]
    assert python_files(room) and not wrong, "\n".join(wrong)


def test_trainings_read_files_and_not_the_generator():
    """Beside `data`, which the rule above covers: nothing of the repository but models and pipeline, from anywhere."""
    trainings = [file for file in python_files("models") if "train" in file.stem]
    assert trainings
    for file in trainings:
        ours = {name for name, _ in imported(file) if name in {*ROOMS, "tests", "benchmarks"}}
        assert ours <= {"models", "pipeline"}, file


def test_no_relative_imports_and_no_import_of_tests():
    for file in python_files(*ROOMS):
        assert not any(isinstance(node, ast.ImportFrom) and node.level for node in parsed(file)), file
        allowed = {"benchmarks"} if file.name == "cli_bench.py" else set()  # the command that runs them
        assert not {name for name, _ in imported(file)} & {"tests", "benchmarks"} - allowed, file


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def test_files_stay_small():
    sizes = {file: lines(file) for file in python_files(*ALL)}
    assert not {str(file): size for file, size in sizes.items() if size > 400}
    ours = sorted(size for file, size in sizes.items() if file.name != "__init__.py" and file.parts[len(ROOT.parts)] in ROOMS)
    assert statistics.median(ours) <= 130 and ours[int(0.9 * len(ours))] <= 250, f"median {statistics.median(ours)}"


def test_what_is_tracked_stays_light():
    """A clone must stay quick: what grows beyond comes from elsewhere by its digest, or is trained."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("an unpacked archive, or no git: what is tracked is not known")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    sizes = {name: (ROOT / name).stat().st_size for name in listed.split("\0") if (ROOT / name).is_file()}
    largest = sorted(sizes, key=sizes.__getitem__)[-5:]
    assert sizes and sum(sizes.values()) < TRACKED, f"{sum(sizes.values()) / 2**20:.1f} MiB are tracked, the largest are {largest}"


def test_functions_stay_small():
    sizes = {}
    for file in python_files(*ALL):
        for node in parsed(file):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                sizes[f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"] = (node.end_lineno or node.lineno) - node.lineno + 1
    assert not {name: size for name, size in sizes.items() if size > 80}
    assert statistics.median(size for name, size in sizes.items() if name.startswith(ROOMS)) <= 15


def test_public_names_are_typed_and_documented():
    bare = []
    for file in python_files("pipeline", "stages", "flows"):
        for node in parsed(file):
            for item in node.body if isinstance(node, ast.Module | ast.ClassDef) else []:
                where = f"{file.relative_to(ROOT)}:{getattr(item, 'lineno', 0)}"
                if not isinstance(item, ast.FunctionDef | ast.ClassDef) or item.name.startswith("_"):
                    continue
                if isinstance(item, ast.FunctionDef) and item.returns is None:
                    bare.append(f"{where} {item.name} has no return type")
                if not ast.get_docstring(item):
                    bare.append(f"{where} {item.name} has no docstring")
    assert not bare, "\n".join(bare)


def test_a_file_s_first_line_says_what_it_is():
    assert not [str(file) for file in python_files(*ALL) if not ast.get_docstring(parsed(file)[0])]  # type: ignore[arg-type]


def test_nothing_prints():
    """Words to the user come from logging, or from rich in flows/."""
    prints = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in python_files(*ROOMS)
        for node in parsed(file)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not prints


def test_declaring_the_stages_imports_neither_torch_nor_prefect():
    """What makes a second run and `--help` quick."""
    names = "pipeline.graph, pipeline.store, pipeline.config"
    code = f"import sys, stages, {names}; assert len(stages.classes()) == len(stages.NAMES); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    heavy = {"torch", "prefect", "numba", "open3d", "trimesh", "diffusers", "transformers", "smplx", "scipy"}
    assert not heavy & set(done.stdout.split())
