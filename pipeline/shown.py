"""Names of files for people: what a terminal would act upon is spelled out; command lines can be pasted."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path


def shown(name: str | Path) -> str:
    """Spell out what cannot be printed: `\\n` for an end of line, `\\xff` for a byte that is no UTF-8."""
    return "".join(letter if letter.isprintable() else _spelled(letter) for letter in str(name))


def _spelled(letter: str) -> str:
    byte = ord(letter) - 0xDC00  # as Python keeps a byte of a file's name that is no UTF-8
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else letter.encode("unicode_escape").decode()


def command_line(words: Iterable[str]) -> str:
    """Join words so that a shell (bash, zsh) reads the same words."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    escaped = (chr(b) if 0x20 <= b < 0x7F and b not in b"'\\" else f"\\x{b:02x}" for b in os.fsencode(word))
    return f"$'{''.join(escaped)}'"


def as_argument(path: Path) -> str:
    """The path as a word of a command line: one that begins with a dash, or as a list does, is no option."""
    text = str(path)
    return f"./{text}" if text.startswith(("-", "@")) else text
