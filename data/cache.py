"""The user's cache: where downloads and large derived files go (never the repository)."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "TURNAROUND_CACHE"


def folder(*parts: str) -> Path:
    """`$TURNAROUND_CACHE` (default `~/.cache/turnaround`) joined with `parts`; created when it is missing."""
    path = Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "turnaround").joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path
