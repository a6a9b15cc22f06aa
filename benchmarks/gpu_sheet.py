"""What a step of benchmarks/gpu.py measures, written after every figure."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Skipped(Exception):
    """A step that says nothing on this machine."""


class Sheet:
    """Figures of one step, written to its file whenever one is added."""

    def __init__(self, file: Path, device: str, quick: bool) -> None:
        self.file, self.device, self.quick = file, torch.device(device), quick
        self.figures: dict[str, Any] = {}

    def add(self, name: str, **values: Any) -> None:
        self.figures[name] = values
        self.file.write_text(
            json.dumps({"device": str(self.device), "quick": self.quick, "figures": self.figures}, indent=1)
            + "\n"
        )

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def timed(self, work: Callable[[], Any], rounds: int, warm: int = 2) -> list[float]:
        """Milliseconds of `rounds` calls after `warm` others; the device has nothing to do before and after
        each."""
        for _ in range(warm):
            work()
        times = []
        for _ in range(rounds):
            self.wait()
            before = time.perf_counter()
            work()
            self.wait()
            times.append(1e3 * (time.perf_counter() - before))
        return times

    def peak_mib(self) -> float | None:
        """MiB of the device at most since the last call."""
        if self.device.type != "cuda":
            return None
        peak = torch.cuda.max_memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
        return round(peak, 1)


def spread(times: list[float]) -> dict[str, Any]:
    return {"median_ms": statistics.median(times), "min_ms": min(times), "n": len(times)}
