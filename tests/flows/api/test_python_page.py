"""docs/python.md is true: its signatures are those of the code, and it names everything that is public."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import turnaround as ta

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "python.md").read_text(encoding="utf-8")
FUNCTIONS = [name for name in ta.__all__ if inspect.isfunction(getattr(ta, name))]
METHODS = ["save", "show", "load", "animate", "pose"]


def bare(function: object, *, method: bool = False) -> str:
    """A signature without annotations."""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    parameters = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    parameters = parameters[1:] if method else parameters
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_are_those_of_the_code(name):
    assert f"ta.{name}{bare(getattr(ta, name))}\n" in PAGE


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_those_of_a_person(name):
    assert f"{name}{bare(getattr(ta.Person, name), method=True)}" in PAGE


def test_every_argument_of_reconstruct_has_a_row():
    rows = {
        name
        for row in re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`(\w+)", row)
    }
    assert set(inspect.signature(ta.reconstruct).parameters) <= rows
    attributes = {name for name in vars(ta.Person) if not name.startswith("_")} - set(METHODS)
    assert attributes | {"report", "name", "photo", "work"} <= rows


def test_every_public_name_is_on_the_page():
    assert not [name for name in ta.__all__ if not re.search(rf"\b{name}\b", PAGE)]


def test_the_six_lines_of_the_readme_use_what_there_is():
    readme = (Path(__file__).resolve().parents[3] / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert sum(bool(line) for line in block.group(1).splitlines()) == 6  # beside the blank one
    owners = {"ta": dir(ta), "person": dir(ta.Person)}
    used = [node for node in ast.walk(ast.parse(block.group(1))) if isinstance(node, ast.Attribute)]
    assert len(used) >= 8
    assert all(node.attr in owners[ast.unparse(node.value)] for node in used)


def test_every_block_is_python():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    for block in blocks:
        ast.parse(re.sub(r"\*, ", "", block))
