"""Shared settings of the suite: shapes are checked while it runs, random tests are the same every time."""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow each other down on small machines
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
os.environ.setdefault(
    "TURNAROUND_PRECISION", "fp32"
)  # the same numbers on every machine; bfloat16 has tests of its own

import pytest
import sharing
from hypothesis import settings
from prefect_server import server  # noqa: F401, a fixture of the session
from tiny_run import tiny_run  # noqa: F401, too
from typecheck import shaped_modules, watch

settings.register_profile("same", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("same")

watch(shaped_modules())  # a call with a wrong shape, dtype or type fails its test


def pytest_configure(config: pytest.Config) -> None:
    sharing.share_cores(config)
    sharing.lock_kernels(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sharing.mark(items)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return sharing.is_left_out(collection_path, config.option.markexpr) or None


@pytest.hookimpl(optionalhook=True)  # xdist's
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return sharing.scheduler(config, log) if config.option.dist == "loadfile" else None
