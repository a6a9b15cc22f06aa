"""One training loop for every network: AdamW, warm-up and cosine, EMA, clipping, atomic checkpoints, exact resume.

Plain torch: needs no file of the command line, so it runs on any machine that has torch and numpy.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

Batch = Any
LossFn = Callable[[nn.Module, Batch], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a run; all of them are recorded in the checkpoint."""

    out: Path  # folder of checkpoint, log and sample pictures
    steps: int = 1000  # length of the cosine schedule
    minutes: float = 0.0  # wall-clock limit of this call, 0 = none; the schedule is then driven by the elapsed share
    batch: int = 4  # samples a step
    lr: float = 1e-3  # peak learning rate
    warmup: int = 50  # steps of linear warm-up
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0  # gradient norm
    ema: float = 0.995  # decay of the averaged weights
    seed: int = 0
    validate_every: int = 200  # steps
    checkpoint_seconds: float = 60.0
    device: str = "cpu"
    bf16: bool = False  # autocast of forward and loss


def add_arguments(parser: argparse.ArgumentParser, **defaults: Any) -> argparse.ArgumentParser:
    """The flags that every `python -m models.*train` shares; `defaults` are a network's own."""
    parser.add_argument("--data", type=Path, required=True, help="folder of the training set")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    for name, field in TrainingConfig.__dataclass_fields__.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "out":
            parser.add_argument(flag, type=Path, required=True, help="folder of the checkpoint; an existing one is resumed")
        elif name == "bf16":
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=defaults.get(name, False))
        elif name != "betas":
            value = defaults.get(name, field.default)
            parser.add_argument(flag, type=type(field.default), default=value)
    return parser


def config_from(arguments: argparse.Namespace) -> TrainingConfig:
    """The TrainingConfig of parsed flags; also sets the number of threads and logging."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(arguments.threads)
    names = [name for name in TrainingConfig.__dataclass_fields__ if hasattr(arguments, name)]
    return TrainingConfig(**{name: getattr(arguments, name) for name in names})


class Trainer:
    """Trains `model` (on `config.device`) and keeps an averaged copy in `.ema`.

    `batches(step, rng)` makes the batch of a step from a generator seeded by (seed, step): a resumed run sees exactly
    the batches that an undisturbed one would have seen.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self.model, self.config = model.to(config.device), config
        self.ema = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay)
        self.step, self.elapsed, self.skipped = 0, 0.0, 0
        config.out.mkdir(parents=True, exist_ok=True)
        self.checkpoint = config.out / "checkpoint.pt"
        if self.checkpoint.is_file():
            self._resume()

    def run(
        self,
        batches: Callable[[int, np.random.Generator], Batch],
        loss_fn: LossFn,
        validate: Callable[[nn.Module, int], dict[str, float]] | None = None,
    ) -> nn.Module:
        """Train to the end of the schedule or of the time limit; returns the averaged model."""
        config, start, saved, history = self.config, time.monotonic(), time.monotonic(), []
        before = self.elapsed
        while self._progress() < 1:
            rng = np.random.default_rng((config.seed, self.step))
            torch.manual_seed(int(rng.integers(2**62)))
            history.append(self._update(batches(self.step, rng), loss_fn))
            self.step += 1
            self.elapsed = before + time.monotonic() - start
            due = self.step % config.validate_every == 0
            if due or self.step in (1, 20):
                self._report(history, validate if due else None)
                history = []
            if time.monotonic() - saved > config.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        if history:
            self._report(history, validate)
        self.save()
        return self.ema

    def _progress(self) -> float:
        """Share of the schedule that is done: steps, or seconds where a time limit is set, whichever is further."""
        share = self.step / max(self.config.steps, 1)
        return max(share, self.elapsed / (60 * self.config.minutes)) if self.config.minutes else share

    def _update(self, batch: Batch, loss_fn: LossFn) -> dict[str, float]:
        config = self.config
        warm = min(1.0, (self.step + 1) / max(config.warmup, 1))
        rate = config.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(self._progress(), 1.0))))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        kind = torch.device(config.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=config.bf16):
            loss, values = loss_fn(self.model, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.trained, config.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
            self._average()
        else:
            self.skipped += 1
        return {"loss": float(loss.detach()), **{k: float(v) for k, v in values.items()}, "grad_norm": float(norm)}

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.ema.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for mean, value in zip(self.ema.buffers(), self.model.buffers(), strict=True):
            mean.copy_(value)

    def _report(self, history: list[dict[str, float]], validate: Callable[[nn.Module, int], dict[str, float]] | None) -> None:
        names = list(history[-1]) if history else []
        line: dict[str, Any] = {"step": self.step, "seconds": round(self.elapsed, 1), "skipped": self.skipped}
        line |= {name: round(float(np.mean([values[name] for values in history if name in values])), 6) for name in names}
        if validate is not None:
            with torch.no_grad():
                line |= {f"val_{k}": round(float(v), 5) for k, v in validate(self.ema, self.step).items()}
        log.info("%s", " ".join(f"{k} {v}" for k, v in line.items()))
        with open(self.config.out / "log.jsonl", "a") as stream:
            stream.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write the checkpoint in one rename."""
        state = {
            "model": self.model.state_dict(), "ema": self.ema.state_dict(), "optimizer": self.optimizer.state_dict(),
            "step": self.step, "elapsed": self.elapsed, "skipped": self.skipped,
            "config": {k: str(v) if isinstance(v, Path) else v for k, v in vars(self.config).items()},
        }  # fmt: skip
        temporary = self.checkpoint.with_suffix(f".{os.getpid()}.tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.config.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed, self.skipped = state["step"], state["elapsed"], state["skipped"]
        log.info("resumed %s at step %d", self.checkpoint, self.step)
