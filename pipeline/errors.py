"""Errors whose message is for people: one base class, which says what kind of thing is at fault.

A message names the file or setting, what was expected, what was found, and what to do. What is no
`TurnaroundError` is a fault of the program and keeps its trace.
"""

from __future__ import annotations

import sys
from typing import ClassVar, Literal, TypeAlias

FaultKind: TypeAlias = Literal["picture", "weights", "disk", "memory", "network", "call", "program"]


class TurnaroundError(Exception):
    """The base of all errors that are told to people as they are, without a trace."""

    fault: ClassVar[FaultKind] = "call"


class CallError(TurnaroundError, ValueError):
    """Something was asked for that cannot be: an option, a name, a setting, a folder."""


class MissingFile(TurnaroundError, FileNotFoundError):
    """A file or folder that the call names, or that has to be made first, is not there."""


class FormatError(TurnaroundError, ValueError):
    """The content of a file is not what its format asks for, or more than is read from strangers."""

    fault = "picture"


def is_one_of(error: BaseException, *classes: str) -> bool:
    """Whether an error is of a class `module:Name` of a package that need not be installed or loaded.

    An error of a class exists only where its module was imported, so that nothing is imported here.
    """
    for name in classes:
        module, _, attribute = name.partition(":")
        found = getattr(sys.modules.get(module), attribute, None)
        if isinstance(found, type) and isinstance(error, found):
            return True
    return False
