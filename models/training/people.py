"""Which people are learned from and which are held out: whole people, the last ones by name, never test
people."""

from __future__ import annotations

from pathlib import Path

from turnaround.pipeline.errors import CallError

HELD_OUT = 0.05  # share of the people that is only validated on, at least one
TEST_NUMBER = 900_000  # people for testing have file numbers from here on


def split_people(folder: Path, held_out: float = HELD_OUT, limit: int = 0) -> tuple[list[Path], list[Path]]:
    """Files to train on (the first `limit` of them, 0 = all) and to validate on.

    Raises ValueError where there are fewer than two people, or where test people are among them.
    """
    files = sorted(folder.glob("*.npz"))
    if len(files) < 2:
        raise CallError(
            f"{folder} holds {len(files)} people (*.npz), at least 2 are needed: make them with `turnaround "
            f"data people`"
        )
    refuse_test_people(files)
    held = max(1, round(len(files) * held_out))
    train = files[:-held]
    return train[:limit] if limit else train, files[-held:]


def refuse_test_people(files: list[Path]) -> None:
    """ValueError that names the first test person among the files: what was trained on cannot be measured
    on."""
    tests = [file for file in files if file.stem.isdigit() and int(file.stem) >= TEST_NUMBER]
    if tests:
        raise CallError(f"{tests[0]} is a test person: train on `turnaround data people --split train` alone")
