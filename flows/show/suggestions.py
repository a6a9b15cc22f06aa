"""What a person may have meant: the nearest names to a word that nothing is called."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from turnaround.pipeline.errors import CallError


def meant(word: str, known: Sequence[str]) -> str:
    """Return ", did you mean 'x'?", or nothing where no name is near; capitals do not count."""
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), list(by_folded), n=1, cutoff=0.6)
    return f", did you mean {by_folded[near[0]]!r}?" if near else ""


def no_stage(word: str, known: Sequence[str]) -> CallError:
    """Make the error for a stage that does not exist, with the ones that do."""
    return CallError(f"no stage is called {word!r}{meant(word, known)}; there are {', '.join(known)}")
