"""Which modules the suite watches for wrong shapes; its checker: beartype, an int counts as a float."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import beartype._check.code.codemain as generated
import jaxtyping._import_hook as hook
from beartype import BeartypeConf, beartype
from jaxtyping import config

ROOMS = ("pipeline", "models", "stages", "data", "flows")
COMPILED = {"njit", "intrinsic", "type_callable", "lower_builtin"}  # numba reads the function, no wrapper

# which item of a list is looked at: drawn aside, so that no draw of a test depends on it
generated.getrandbits = Random(0).getrandbits

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def shaped_modules(root: Path = Path(__file__).parents[2]) -> list[str]:
    """Name the modules of the package that import jaxtyping: those whose shapes can be checked."""
    files = (file for room in ROOMS for file in sorted((root / room).rglob("*.py")))
    return [_name(file.relative_to(root)) for file in files if _imports_jaxtyping(file)]


def watch(modules: list[str]) -> None:
    """Check shapes and types in these modules that are imported from now on; kernels stay as they are."""
    hook._is_no_type_check = _is_unchecked
    hook.install_import_hook(modules, "typecheck.checked")


@contextmanager
def unchecked() -> Iterator[None]:
    """Let wrong shapes and types in, to meet the function's own refusal."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)


def _name(file: Path) -> str:
    parts = file.with_suffix("").parts
    return ".".join(("turnaround", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def _imports_jaxtyping(file: Path) -> bool:
    return any(
        isinstance(node, ast.ImportFrom) and node.module == "jaxtyping"
        for node in ast.parse(file.read_bytes()).body
    )


_is_no_type_check = hook._is_no_type_check


def _is_unchecked(node: ast.AST) -> bool:
    function = node.func if isinstance(node, ast.Call) else node
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    return name in COMPILED or _is_no_type_check(node)
