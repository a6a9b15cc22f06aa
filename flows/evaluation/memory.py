"""What has been measured of a person is remembered, so that a stopped evaluation goes on where it stopped.

A figure's key is that of the stage runs it was measured on, so a figure of other weights or settings is
another one. All of them are forgotten when the truth, or the code that measures, is not the same.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from turnaround.pipeline.files import write_atomic
from turnaround.pipeline.store.digest import bytes_digest, file_digest

log = logging.getLogger(__name__)
_ROOT = Path(__file__).resolve().parents[2]
_MEASURING = (
    "models/metrics/*.py",
    "models/splat/*.py",
    "models/splat/cpu/*.py",
    "models/mesh/zbuffer.py",
    *(f"flows/evaluation/measures/{name}.py" for name in ("measure", "backs", "baselines")),
)
DETAIL = (
    "flows/evaluation/measures/detail.py",
    "flows/evaluation/measures/fine.py",
)  # of the figures at 1,024 px alone
MATTING = (  # of the mask's figures alone
    *(f"models/matting/{name}.py" for name in ("model", "guided", "hub", "pieces", "cutout", "close")),
    "flows/evaluation/composites.py",
    "flows/evaluation/measures/matting.py",
)


@lru_cache(maxsize=2)
def sources_digest(patterns: tuple[str, ...] = _MEASURING) -> str:
    """One digest of the files that say how something is measured."""
    files = sorted(file for pattern in patterns for file in _ROOT.glob(pattern))
    return bytes_digest("".join(file_digest(file) for file in files).encode())[:16]


class Measured:
    """The remembered figures of one person; `truth` is a digest of what they are measured against."""

    def __init__(self, file: Path, truth: str) -> None:
        self.file, self.head = file, {"truth": truth, "measuring": sources_digest()}
        self.values: dict[str, Any] = {}
        try:
            found = json.loads(file.read_text())
            if all(found[name] == value for name, value in self.head.items()):
                self.values = found["values"]
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s); the person is measured again", file, error)

    def __call__(
        self, part: str, keys: Iterable[str], compute: Callable[[], Any], files: Iterable[Path] = ()
    ) -> Any:
        """The figure `part` of the stage runs `keys`, computed where it is not known or one of its files is
        gone."""
        name = f"{part}:{'+'.join(keys)}"
        if name not in self.values or not all(file.is_file() for file in files):
            self.values[name] = compute()
            self._write()
        return self.values[name]

    def _write(self) -> None:
        write_atomic(self.file, json.dumps({**self.head, "values": self.values}).encode())
