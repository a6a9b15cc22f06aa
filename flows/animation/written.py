"""Files that were made of persons in motion: where they go, what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnaround.pipeline.errors import CallError


@dataclass(frozen=True)
class Written:
    """A file, or a folder of frames."""

    path: Path
    subjects: tuple[str, ...]
    to: str
    frames: int
    fps: float
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of the file, or of all files of the folder."""
        files = self.path.iterdir() if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files)

    def __str__(self) -> str:
        length = f"{self.frames} frames" if self.frames > 1 else "1 frame"
        return f"{self.path} ({self.bytes / 1e6:.1f} MB, {length})"

    def as_json(self) -> dict[str, Any]:
        """As `animate --json` gives it (docs/animation.md)."""
        return {
            "subjects": list(self.subjects), "format": self.to, "path": str(self.path), "bytes": self.bytes,
            "frames": self.frames, "fps": self.fps, "notes": list(self.notes),
        }  # fmt: skip


def target(out: Path | None, name: str, to: str, formats: tuple[str, ...]) -> Path:
    """The file to write: `out` where it has an ending, else NAME.<to> in it, or in the current folder.

    CallError for the ending of another format.
    """
    if out is None or out.is_dir() or not (out.suffix or out.exists()):
        return (out or Path(".")) / f"{name}.{to}"
    other = out.suffix[1:].lower()
    if other in formats and other != to:
        raise CallError(f"--out {out} ends as {other}, and --to is {to}; give them the same")
    return out


def kind(out: Path | None, default: str) -> str:
    """The format that the ending of `out` says, `default` where it has none."""
    return default if out is None or not out.suffix or out.is_dir() else out.suffix[1:].lower()
