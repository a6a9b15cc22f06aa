"""Command line: `turnaround data rig FOLDER --out SET` (see docs/multiview.md)."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from turnaround.data.rigs.convert import RigOptions, convert
from turnaround.data.rigs.readers import LAYOUTS
from turnaround.pipeline.errors import CallError

log = logging.getLogger("turnaround.data.rigs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; 0 when every moment was, 1 when some were not, 2 for a wrong call."""
    options: Any = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = {name: value for name, value in vars(options).items() if name not in ("folder", "out")}
    # what is said of a photo that one person is to be made from does not matter to a rig
    with _level("turnaround.models.location", logging.ERROR), _level("turnaround.data.rigs", logging.INFO):
        try:
            report = convert(options.folder, options.out, RigOptions(**settings))
        except CallError as error:
            log.error("%s", error)
            return 2
        log.info("%s", json.dumps(report, indent=1))
    return 1 if report["failed"] else 0


@contextmanager
def _level(name: str, level: int) -> Generator[None]:
    """The level of one log for a while: it is the process's, and others may listen."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turnaround data rig",
        description="Pictures of several calibrated cameras to a set that `turnaround train gst` reads.",
    )
    parser.add_argument("folder", type=Path, help="one person's pictures and cameras, or a folder of people")
    parser.add_argument("--out", type=Path, required=True, help="a folder for one .npz a moment")
    parser.add_argument("--layout", choices=("auto", *LAYOUTS), default="auto", help="of the folder")
    parser.add_argument("--every", type=int, default=1, help="take every so-manieth moment of a person")
    parser.add_argument("--limit", type=int, help="at most so many moments")
    parser.add_argument("--size", type=int, default=256, help="pixels of a view")
    parser.add_argument(
        "--body", type=Path, help="SMPL-X file that labels are meant in (default: the free body)"
    )
    parser.add_argument("--workers", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
