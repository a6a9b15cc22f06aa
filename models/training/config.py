"""Settings that all trainings share: length, optimiser, schedule, validation, device."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnaround.pipeline.errors import CallError


def setting(default: Any, text: str, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with the words that `--help` shows beside its flag, and the values that it may
    take."""
    return dataclasses.field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a run; all of them are recorded in the checkpoint and beside it."""

    out: Path = dataclasses.field(
        metadata={"help": "folder of checkpoints, log and sample pictures; an existing run is resumed"}
    )
    steps: int = setting(1000, "length of the schedule")
    minutes: float = setting(
        0.0,
        "length of the schedule in minutes of all calls together, where that is reached before `steps`; 0 "
        "= none",
    )
    stop_after: float = setting(
        0.0, "minutes after which this call saves and ends, the schedule stays as it is; 0 = none"
    )
    batch: int = setting(4, "samples a step and process")
    accumulate: int = setting(1, "batches a step, their gradients averaged")
    lr: float = setting(1e-3, "peak learning rate")
    warmup: int = setting(50, "steps of warm-up")
    schedule: str = setting(
        "cosine", "linear warm-up and cosine, or torch's OneCycleLR (the paper's)", ("cosine", "onecycle")
    )
    weight_decay: float = setting(0.01, "of AdamW")
    betas: tuple[float, float] = setting((0.9, 0.95), "of AdamW")
    clip: float = setting(1.0, "largest gradient norm")
    ema: float = setting(0.995, "decay of the averaged weights")
    seed: int = setting(0, "of initial weights and of all batches")
    validate_every: int = setting(200, "steps between validations on held-out people")
    sample_every: int = setting(
        0, "least steps between sample pictures, which are drawn after a validation; 0 = after each"
    )
    checkpoint_seconds: float = setting(60.0, "seconds between checkpoints")
    snapshots: tuple[int, ...] = setting(
        (), "steps at which the averaged weights are kept in snapshot_STEP.*"
    )
    max_skipped: int = setting(
        25, "steps in a row whose gradient is not finite before the run stops with an error"
    )
    device: str = setting("cpu", "cpu, cuda or cuda:N; under torchrun each process takes its own GPU")
    bf16: bool = setting(False, "autocast of forward and loss to bfloat16")
    compile: bool = setting(False, "torch.compile")
    workers: int = setting(0, "workers that make batches ahead; the batches are the same with any number")
    worker_kind: str = setting(
        "threads",
        "what the workers are; processes where batches are made by much Python",
        ("threads", "processes"),
    )
    tensorboard: bool = setting(True, "write TensorBoard logs, where the package is installed")

    def __post_init__(self) -> None:
        """ValueError for values that no run can have."""
        for name in ("steps", "batch", "accumulate", "validate_every", "max_skipped"):
            if getattr(self, name) < 1:
                raise CallError(f"{name}={getattr(self, name)}: expected at least 1")
        if self.workers < 0:
            raise CallError(
                f"workers={self.workers}: expected 0 (batches are made by the loop itself) or more"
            )
