"""Settings that all trainings share: length, optimiser, schedule, validation, device."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from turnaround.pipeline.frozen import Frozen


class TrainingConfig(Frozen):
    """Settings of a run; all of them are recorded in the checkpoint and beside it."""

    out: Path = Field(
        description="folder of checkpoints, log and sample pictures; an existing run is resumed"
    )
    steps: int = Field(default=1000, ge=1, description="length of the schedule")
    minutes: float = Field(
        default=0.0,
        ge=0,
        description="length of the schedule in minutes of all calls together, where that is reached before "
        "`steps`; 0 = none",
    )
    stop_after: float = Field(
        default=0.0,
        ge=0,
        description="minutes after which this call saves and ends, the schedule stays as it is; 0 = none",
    )
    batch: int = Field(default=4, ge=1, description="samples a step and process")
    accumulate: int = Field(default=1, ge=1, description="batches a step, their gradients averaged")
    lr: float = Field(default=1e-3, description="peak learning rate")
    warmup: int = Field(default=50, description="steps of warm-up")
    schedule: Literal["cosine", "onecycle"] = Field(
        default="cosine", description="linear warm-up and cosine, or torch's OneCycleLR (the paper's)"
    )
    weight_decay: float = Field(default=0.01, description="of AdamW")
    betas: tuple[float, float] = Field(default=(0.9, 0.95), description="of AdamW")
    clip: float = Field(default=1.0, description="largest gradient norm")
    ema: float = Field(default=0.995, description="decay of the averaged weights")
    seed: int = Field(default=0, description="of initial weights and of all batches")
    validate_every: int = Field(default=200, ge=1, description="steps between validations on held-out people")
    sample_every: int = Field(
        default=0,
        description="least steps between sample pictures, drawn after a validation; 0 = after each",
    )
    checkpoint_seconds: float = Field(default=60.0, description="seconds between checkpoints")
    snapshots: tuple[int, ...] = Field(
        default=(), description="steps at which the averaged weights are kept in snapshot_STEP.*"
    )
    max_skipped: int = Field(
        default=25,
        ge=1,
        description="steps in a row whose gradient is not finite before the run stops with an error",
    )
    device: str = Field(
        default="cpu", description="cpu, cuda or cuda:N; under torchrun each process has its own GPU"
    )
    bf16: bool = Field(default=False, description="autocast of forward and loss to bfloat16")
    compile: bool = Field(default=False, description="torch.compile")
    workers: int = Field(
        default=0,
        ge=0,
        description="workers that make batches ahead, 0: the loop itself; the batches are the same with any "
        "number",
    )
    worker_kind: Literal["threads", "processes"] = Field(
        default="threads", description="what the workers are; processes where batches are made by much Python"
    )
    tensorboard: bool = Field(
        default=True, description="write TensorBoard logs, where the package is installed"
    )
