"""Command line: `python -m turnaround.data.scans --layout thuman2 --root DIR --out DIR` (see
docs/datasets.md)."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turnaround.data.scans.convert import LAYOUTS, UNITS, ConvertOptions, convert
from turnaround.data.scans.splits import SPLITS


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; 0 when every scan was, 1 when some were not, 2 for a wrong call."""
    options: Any = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log = logging.getLogger(__name__)
    settings = {name: value for name, value in vars(options).items() if name not in ("layout", "root", "out")}
    try:
        report = convert(options.layout, options.root, options.out, ConvertOptions(**settings))
    except ValueError as error:
        log.error("%s", error)
        return 2
    log.info("%s", json.dumps(report, indent=1))
    return 1 if report["failed"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m turnaround.data.scans", description="Real scans to views for training and evaluation."
    )
    parser.add_argument("--layout", choices=LAYOUTS, required=True)
    parser.add_argument("--root", type=Path, required=True, help="the unpacked dataset")
    parser.add_argument("--out", type=Path, required=True, help="a folder for one .npz a scan")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument(
        "--list", dest="listed", type=Path, help="a file with one name a line, instead of the built-in split"
    )
    parser.add_argument("--limit", type=int, help="at most so many scans")
    parser.add_argument("--size", type=int, default=256, help="pixels of a view")
    parser.add_argument(
        "--body", type=Path, help="SMPLX_NEUTRAL.npz that is trained with (default: the free body)"
    )
    parser.add_argument(
        "--source-body",
        type=Path,
        help="the SMPL-X file that the fits were made with, usually SMPLX_MALE.npz",
    )
    parser.add_argument(
        "--fits", type=Path, help="folder of the SMPL-X fits, where it is not beside the scans"
    )
    parser.add_argument(
        "--unit", choices=sorted(UNITS), default="m", help="of Custom Humans' and HuMMan's meshes"
    )
    parser.add_argument(
        "--every", type=int, default=1, help="take every so-manieth frame of a HuMMan sequence"
    )
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument(
        "--truth",
        action="store_true",
        default=None,
        help="keep mesh and photo for the evaluation (default beyond 'train')",
    )
    truth.add_argument("--no-truth", dest="truth", action="store_false")
    parser.add_argument("--workers", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
