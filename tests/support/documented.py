"""Commands that pages name: found in their text, and parsed as when somebody types them, but not run."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from turnaround.flows.cli.app import app
from turnaround.flows.cli.options import PASS


class Understood(Exception):
    """A program has parsed its words."""


def commands(text: str, fence: str = "```bash") -> list[str]:
    """The lines of a text's code blocks."""
    blocks = re.findall(rf"^{fence}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def spans(text: str, start: str = "turnaround (?!-)") -> list[str]:
    """What stands within sentences as code and begins so."""
    return re.findall(rf"`((?:{start})[^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def section(page: Path, title: str) -> str:
    """What a page says under a headline."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page} has no section {title}"
    return found.group(1)


def parse(line: str) -> Any:
    """Let the command line parse the words, without doing anything; raises what a user would be told."""
    words = shlex.split(line, comments=True)[1:]
    command: Any = typer.main.get_command(app)
    context = command.make_context("turnaround", words, resilient_parsing=False)
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)
    return context


def understand(line: str) -> None:
    """Parse a command of this project, or a `python -m` of its programs, with the program's own flags.

    A program stops where its parser (one with `--help`; a training has a smaller one before it) is done.
    """
    original = argparse.ArgumentParser.parse_known_args

    def stop(self: argparse.ArgumentParser, *words: Any) -> Any:
        found, unknown = original(self, *words)
        if unknown and self.add_help:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        if self.add_help:
            raise Understood
        return found, unknown

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_known_args", stop)
        try:
            if line.startswith("turnaround "):
                context = parse(line)
                if context.command.context_settings != PASS:
                    return
                context.command.invoke(context)
            else:
                python, flag, module, *words = shlex.split(line, comments=True)
                assert (python, flag) == ("python", "-m")
                importlib.import_module(module).main(words)
        except Understood:
            return
    raise AssertionError(f"nothing parsed: {line}")
