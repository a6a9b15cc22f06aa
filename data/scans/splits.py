"""Which scans are for training and which for testing: the papers' splits as far as they are public, or a
list."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from turnaround.pipeline.errors import CallError

logger = logging.getLogger(__name__)
SPLITS = ("train", "val", "test", "held-out", "all")
TRAIN, TEST, FIRST_BATCH = (
    500,
    505,
    526,
)  # of THuman2.0's sorted names, as ICON's and SIFU's code divides them
HUMMAN_LISTS = "https://caizhongang.github.io/projects/HuMMan/splits/{split}.txt"


def chosen(layout: str, names: Sequence[str], split: str, root: Path, listed: Path | None) -> list[str]:
    """The names of a split, sorted.

    Args:
        listed: a text file with one name a line (a name, or the beginning of one up to "_", as sequences
        are); it
            replaces the built-in split.

    Raises:
        ValueError: a split that is not known for the layout, or a list that names nothing.
    """
    if split not in SPLITS:
        raise CallError(f"--split {split}: expected one of {', '.join(SPLITS)}")
    if listed is not None:
        return _listed(names, listed)
    if split == "all":
        return sorted(names)
    if layout == "thuman2":
        return _thuman2(sorted(names), split)
    if layout == "humman":
        file = root / f"{split}.txt"
        if not file.is_file():
            raise CallError(
                f"{file} is missing: download {HUMMAN_LISTS.format(split=split)} to it, or give --list FILE "
                f"or --split all"
            )
        return _listed(names, file)
    if layout == "custom-humans" and split in ("test", "held-out"):
        # the papers train on THuman2.0 only and test here; which 45 (HGM) or 60 (SiTH) is not published
        return sorted(names)
    if layout == "gps-gaussian":
        return sorted(names)  # the renders' own folders are the split
    raise CallError(
        f"--split {split}: no published split of {layout} is known; give --list FILE with one name a line, "
        f"or --split all"
    )


def _thuman2(names: list[str], split: str) -> list[str]:
    first = names[:FIRST_BATCH]
    parts = {
        "train": first[:TRAIN],
        "test": first[TRAIN:TEST],
        "val": first[TEST:],
        "held-out": first[TRAIN:],
    }
    if not parts[split]:
        raise CallError(
            f"--split {split}: begins after scan {TRAIN} of THuman2.0's sorted list, there are {len(names)} "
            f"here; use --list or --split all"
        )
    return parts[split]


def _listed(names: Sequence[str], file: Path) -> list[str]:
    if not file.is_file():
        raise CallError(f"--list {file}: no such file; expected one name a line")
    wanted = {
        line.strip().split("/")[-1]
        for line in file.read_text().splitlines()
        if line.strip() and not line.startswith("#")
    }
    found = sorted(name for name in names if name in wanted or name.rsplit("_", 1)[0] in wanted)
    missing = sorted(wanted - {part for name in found for part in (name, name.rsplit("_", 1)[0])})
    message = (
        f"{file}: {len(missing)} of {len(wanted)} names are not among the {len(names)} scans: "
        f"{', '.join(missing[:5])}"
    )
    if not found:
        raise CallError(message)
    if missing:  # a part of a large dataset is on this machine
        logger.warning("%s", message)
    return found
