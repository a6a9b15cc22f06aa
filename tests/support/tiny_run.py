"""One photo through the real stages, once for all tests that look at the result."""

from __future__ import annotations

from pathlib import Path

import pytest

import turnaround as ta

TINY_NAME = "person_40004"
TINY_PHOTO = Path(__file__).resolve().parents[2] / "docs" / "demo" / f"{TINY_NAME}.jpg"


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Path:
    """The work folder of TINY_PHOTO under `--config tiny`; a test that changes something copies it."""
    work = tmp_path_factory.mktemp("tiny") / "work"
    ta.reconstruct(TINY_PHOTO, config="tiny", work=work, progress=False)
    return work
