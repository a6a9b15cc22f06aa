"""The layout of the repository: one package, imports go one way, rooms, files and functions stay small."""

from __future__ import annotations

import ast
import importlib
import shutil
import statistics
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import sharing
from heavy_packages import HEAVY_PACKAGES

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "turnaround"
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
MOST = 14  # Python files at a folder's own level; a command is a file, so flows/cli has more
MANY = {"flows/cli", "models/hgm", "tests/support", "benchmarks"}


def python_files(*rooms: str) -> list[Path]:
    return sorted(file for room in rooms for file in (ROOT / room).rglob("*.py"))


@cache
def parsed(file: Path) -> list[ast.AST]:
    """Every node of a file, the module first."""
    return list(ast.walk(ast.parse(file.read_text())))


def called(node: ast.Call) -> str:
    """The last name of what is called: `c` of `a.b.c()`."""
    return getattr(node.func, "attr", None) or getattr(node.func, "id", "")


def modules(file: Path) -> Iterator[tuple[str, int]]:
    """Dotted names that a file imports anywhere, with the line; `from a import b` gives a.b."""
    for node in parsed(file):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) == "import_module":
            yield from ((str(a.value), node.lineno) for a in node.args[:1] if isinstance(a, ast.Constant))


def imported(file: Path) -> Iterator[tuple[str, int]]:
    """Our rooms and other people's packages that a file imports anywhere, with the line."""
    for name, line in modules(file):
        first, *rest = name.split(".")
        yield (rest[0] if first == PACKAGE and rest else first), line


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_are_those_of_the_package(room):
    file = importlib.import_module(f"{PACKAGE}.{room}").__file__
    assert file is not None and Path(file).resolve() == ROOT / room / "__init__.py"


def test_every_room_is_declared_as_a_package():
    """A folder that pyproject.toml does not name is missing from the wheel, and nothing else would say so."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {file.parent for file in python_files(*ROOMS, "configs") if file.parent != ROOT / "flows/api"}
    expected = {PACKAGE, *(".".join((PACKAGE, *folder.relative_to(ROOT).parts)) for folder in folders)}
    assert set(declared["packages"]) == expected
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_the_old_names_of_the_rooms_are_not_imported():
    """`models` and `data` are the commonest folders of other people's repositories."""
    tops = {name.split(".")[0] for file in python_files(*ALL) for name, _ in modules(file)}
    assert PACKAGE in tops and not tops & set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room):
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in python_files(room)
        for name, line in imported(file)
        if name in FORBIDDEN[room]
    ]
    assert python_files(room) and not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("package", "room"), [("prefect", "flows/prefect"), ("typer", "flows/cli")])
def test_one_room_alone_imports(package, room):
    importers = {file for file in python_files(*ROOMS) if package in {name for name, _ in imported(file)}}
    assert importers and not {str(f.relative_to(ROOT)) for f in importers if ROOT / room not in f.parents}


def test_trainings_read_files_and_not_the_generator():
    """Beside `data`, which the rule above covers: only models and pipeline, from anywhere."""
    trainings = [file for file in python_files("models") if "train" in file.stem]
    assert trainings
    for file in trainings:
        ours = {name for name, _ in imported(file) if name in {*ROOMS, "tests", "benchmarks"}}
        assert ours <= {"models", "pipeline"}, file


def test_no_relative_imports_and_no_import_of_tests():
    for file in python_files(*ROOMS):
        assert not any(isinstance(node, ast.ImportFrom) and node.level for node in parsed(file)), file
        allowed = {"benchmarks"} if file.name == "bench.py" else set()  # the command that runs them
        assert not {name for name, _ in imported(file)} & {"tests", "benchmarks"} - allowed, file


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    parts = parts[2:] if parts[:2] == ("flows", "api") else parts  # the door is the package itself
    return ".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)))


def test_files_import_each_other_in_no_circle():
    """Also not inside functions or for types alone: two files that need each other are one idea."""
    files = {module_of(file): file for file in python_files(*ROOMS)}
    needs: dict[str, set[str]] = {}
    for name, file in files.items():
        found = {m if m in files else m.rpartition(".")[0] for m, _ in modules(file)}
        needs[name] = {other for other in found if other in files and other != name}
    while True:  # files that need none of the rest, or that none of the rest needs, are in no circle
        needed = set().union(*needs.values()) if needs else set()
        straight = {name for name, others in needs.items() if name not in needed or not others & needs.keys()}
        if not straight:
            break
        left = needs.keys() - straight
        needs = {name: needs[name] & left for name in left}
    assert not needs, "\n".join(f"{name} -> {', '.join(sorted(needs[name]))}" for name in sorted(needs))


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def test_files_stay_small():
    sizes = {file: lines(file) for file in python_files(*ALL)}
    assert not {str(file): size for file, size in sizes.items() if size > 400}
    ours = [size for file, size in sizes.items() if file.relative_to(ROOT).parts[0] in ROOMS]
    ours = sorted(size for size in ours if size > 1)
    assert statistics.median(ours) <= 130 and ours[int(0.9 * len(ours))] <= 250, statistics.median(ours)


def test_folders_stay_small():
    counts = Counter(str(f.parent.relative_to(ROOT)) for f in python_files(*ALL) if f.name != "__init__.py")
    assert not {folder: count for folder, count in counts.items() if count > MOST and folder not in MANY}


def test_what_is_tracked_stays_light():
    """A clone must stay quick: what grows beyond comes from elsewhere by its digest, or is trained."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("an unpacked archive, or no git: what is tracked is not known")
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    sizes = {name: (ROOT / name).stat().st_size for name in listed.split("\0") if (ROOT / name).is_file()}
    largest = sorted(sizes, key=sizes.__getitem__)[-5:]
    tracked = sum(sizes.values())
    assert sizes and tracked < TRACKED, f"{tracked / 2**20:.1f} MiB, most in {largest}"


def test_functions_stay_small():
    sizes = {}
    for file in python_files(*ALL):
        for node in parsed(file):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                where = f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
                sizes[where] = (node.end_lineno or node.lineno) - node.lineno + 1
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
    files = python_files(*ALL)
    assert not [str(f) for f in files if not ast.get_docstring(parsed(f)[0])]  # type: ignore[arg-type]


def test_nothing_prints():
    """Words to the user come from logging, or from rich in flows/."""
    prints = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in python_files(*ROOMS)
        for node in parsed(file)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not prints


def test_files_are_written_whole_in_one_way():
    """`pipeline.files.replacing` alone writes beside and renames; links and downloads have their own way."""
    allowed = {"pipeline/files.py", "pipeline/store/links.py", "pipeline/packages/registry.py"}
    # these keep what was there
    allowed |= {"models/training/checkpoint.py", "flows/prefect/empty_database.py"}
    renaming = {
        str(file.relative_to(ROOT))
        for file in python_files(*ROOMS)
        for node in parsed(file)
        if isinstance(node, ast.Call) and called(node) == "replace"
        if ast.unparse(node.func) in ("os.replace", "temporary.replace")
    }
    assert "pipeline/files.py" in renaming and renaming <= allowed


def test_a_method_of_a_stage_imports_its_work_at_once():
    """What is more than one import belongs into the model's room."""
    wrong = []
    for file in python_files("stages"):
        for node in parsed(file):
            if isinstance(node, ast.FunctionDef) and file.name != "__init__.py":
                count = sum(isinstance(inner, ast.Import | ast.ImportFrom) for inner in ast.walk(node))
                wrong += [f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"] if count > 1 else []
    assert not wrong, "\n".join(wrong)


def test_declaring_the_stages_imports_neither_torch_nor_prefect():
    """What makes a second run and `--help` quick."""
    code = (
        "import sys; from turnaround import stages;"
        "import turnaround.pipeline.graph, turnaround.pipeline.settings, turnaround.pipeline.store.store;"
        "assert len(stages.classes()) == len(stages.NAMES); print(*sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert not HEAVY_PACKAGES & set(done.stdout.split())


def test_what_the_shared_suite_names_is_there():
    """A test that is renamed would silently compare seconds beside others."""
    files = {file.stem: file for file in (ROOT / "tests").rglob("test_*.py")}
    named = {*sharing.HEAVY, *sharing.ALONE, *sharing.TOGETHER, *sharing.TOGETHER.values()}
    assert named <= files.keys() and len(sharing.HEAVY) == len(set(sharing.HEAVY))
    for stem, tests in sharing.ALONE.items():
        assert tests and all(f"def {test}(" in files[stem].read_text() for test in tests)
