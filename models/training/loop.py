"""One training loop for every network: AdamW, warm-up and cosine, EMA, clipping, atomic checkpoints, exact
resume.

Plain torch and numpy, on one device or under torchrun on several; it needs nothing of the command line.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from turnaround.models.training import checkpoint as checkpoints
from turnaround.models.training.batches import device_of, moved, stream
from turnaround.models.training.config import TrainingConfig
from turnaround.models.training.log import Journal, Pictures
from turnaround.models.training.parallel import Parallel
from turnaround.models.training.settings import add_arguments, config_from
from turnaround.pipeline.errors import CallError

__all__ = ["Diverged", "Trainer", "TrainingConfig", "add_arguments", "config_from", "device_of", "moved"]

log = logging.getLogger(__name__)

Batch = Any
LossFn = Callable[
    [nn.Module, Batch], tuple[Tensor, dict[str, Any]]
]  # the loss, and detached tensors or floats to report
Batches = Callable[[int, np.random.Generator], Batch]
Validate = Callable[[nn.Module, int], dict[str, float]]
Samples = Callable[[nn.Module], Pictures]
Export = Callable[[nn.Module, Path], object]
Goal = tuple[str, Literal["min", "max"]]


class Diverged(RuntimeError):
    """Too many steps in a row had no finite gradient."""


class Trainer:
    """Trains `model` on `config.device` and keeps an averaged copy in `.ema`.

    The batch of a step depends on (seed, step, process) alone, so a resumed run sees exactly the batches that
    an undisturbed one would have seen, whatever number of workers makes them.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainingConfig,
        *,
        compiled: nn.Module | None = None,
        export: Export | None = None,
        slower: tuple[Sequence[nn.Parameter], float] = ((), 1.0),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Go on from the checkpoint in `config.out`, or begin.

        Args:
            model: with its initial weights; moved to the device.
            config: settings.
            compiled: the part of the model that `config.compile` compiles, all of it by default.
            export: writes the averaged model of a snapshot to a .safetensors file; without it snapshots are
            .pt files.
            slower: parameters whose learning rate is the schedule's times a factor.
            clock: seconds, for tests.
        """
        self.parallel = Parallel(config.device)
        self.device, self.clock, self.export = self.parallel.device, clock, export
        self.model, self.config = model.to(self.device), config
        self.parallel.share(self.model)
        self.ema = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            _groups(self.trained, *slower),
            lr=config.lr,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        self.step, self.elapsed, self.skipped, self.skipped_in_a_row = 0, 0.0, 0, 0
        self.best: dict[str, Any] = {}  # score and step of the best validation
        self.journal = Journal(config.out, tensorboard=config.tensorboard, enabled=self.parallel.first)
        self.checkpoint = config.out / checkpoints.LAST
        self._resume()
        if config.compile:
            (compiled or self.model).compile()

    def run(
        self,
        batches: Batches,
        loss_fn: LossFn,
        validate: Validate | None = None,
        *,
        samples: Samples | None = None,
        goal: Goal | None = None,
    ) -> nn.Module:
        """Train to the end of the schedule or of the time limit; returns the averaged model.

        Args:
            batches: (step, generator) -> batch, on the CPU; draws from that generator alone. The loop moves
            it to the device. loss_fn: (model, batch) -> the loss, and values to report.
            validate: (averaged model, step) -> figures of held-out people; only the first process calls it.
            samples: averaged model -> pictures to look at, called after a validation.
            goal: which figure of `validate` is best at its maximum or minimum; those weights are kept in
            best.pt.

        Raises:
            Diverged: `max_skipped` steps in a row had no finite gradient.
        """
        config, saved, shown, validated, history = self.config, self.clock(), self.step, self.step, []
        start, before = self.clock(), self.elapsed
        with contextlib.closing(self._stream(batches)) as source:
            while self._progress() < 1 and not (
                config.stop_after and self.elapsed - before >= 60 * config.stop_after
            ):
                history.append(self._update(source, loss_fn))
                self.step += 1
                self.elapsed = self.parallel.agreed(before + self.clock() - start)
                if self.step in config.snapshots:
                    self._snapshot(f"snapshot_{self.step:06d}")
                if self.step % config.validate_every == 0:
                    self._report(history, validate, goal)
                    history, validated = [], self.step
                    if samples and self.step - shown >= config.sample_every:
                        self._show(samples)
                        shown = self.step
                elif self.step in (1, 20):
                    self._report(history, None, goal)
                    history = []
                if self.clock() - saved > config.checkpoint_seconds:
                    self.save()
                    saved = self.clock()
        if validated != self.step:
            self._report(history, validate, goal)
            if samples:
                self._show(samples)
        self.save()
        self.journal.close()
        return self.ema

    def _stream(self, batches: Batches) -> Generator[tuple[int, Batch]]:
        """(seed of torch, batch) of every batch from this step on."""
        config, rank = self.config, self.parallel.rank

        def make(index: int) -> tuple[int, Batch]:
            step, part = divmod(index, config.accumulate)
            rng = np.random.default_rng((config.seed, step, rank, part))
            return int(rng.integers(2**62)), batches(step, rng)

        return stream(make, self.step * config.accumulate, config.workers, config.worker_kind)

    def _progress(self) -> float:
        """Share of the schedule that is done: steps, or seconds where a time limit is set, whichever is
        further."""
        share = self.step / max(self.config.steps, 1)
        return max(share, self.elapsed / (60 * self.config.minutes)) if self.config.minutes else share

    def rate(self) -> float:
        """The learning rate of the step to come."""
        config, done = self.config, min(self._progress(), 1.0)
        if config.schedule == "onecycle":
            return one_cycle(config.lr, self.step, config.warmup, max(config.steps, config.warmup + 1))
        warm = min(1.0, (self.step + 1) / max(config.warmup, 1))
        return config.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))

    def _update(self, source: Iterator[tuple[int, Batch]], loss_fn: LossFn) -> dict[str, Any]:
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate() * group.get("factor", 1.0)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        parts = []
        for _ in range(config.accumulate):
            seed, batch = next(source)
            torch.manual_seed(seed)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16):
                loss, values = loss_fn(self.model, moved(batch, self.device))
            (loss / config.accumulate).backward()
            parts.append({"loss": loss.detach(), **values})
        self.parallel.mean_gradients(self.trained)
        norm = nn.utils.clip_grad_norm_(self.trained, config.clip)
        self._apply(bool(torch.isfinite(norm)))
        return {
            name: sum(p[name] for p in parts if name in p) / sum(name in p for p in parts)
            for name in parts[-1]
        } | {"grad_norm": norm}

    def _apply(self, finite: bool) -> None:
        """Take the step, or count it as skipped."""
        if finite:
            self.optimizer.step()
            self._average()
            self.skipped_in_a_row = 0
            return
        self.skipped, self.skipped_in_a_row = self.skipped + 1, self.skipped_in_a_row + 1
        if self.skipped_in_a_row >= self.config.max_skipped:
            raise Diverged(
                f"{self.skipped_in_a_row} steps in a row up to step {self.step} had no finite gradient; the "
                f"checkpoint in "
                f"{self.config.out} is from before. Go on from it with a smaller --lr (now "
                f"{self.config.lr:g}) or --no-bf16"
            )

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()), 1 - decay)  # type: ignore[attr-defined]
        for mean, value in zip(self.ema.buffers(), self.model.buffers(), strict=True):
            mean.copy_(value)

    def _report(self, history: list[dict[str, Any]], validate: Validate | None, goal: Goal | None) -> None:
        if not self.parallel.first:
            return
        line: dict[str, Any] = {
            "step": self.step,
            "seconds": round(self.elapsed, 1),
            "skipped": self.skipped,
            "lr": float(f"{self.rate():.4g}"),
        }
        for name in history[-1] if history else ():
            line[name] = round(
                float(np.mean([float(values[name]) for values in history if name in values])), 6
            )
        if validate is not None:
            with torch.no_grad():
                scores = {k: float(v) for k, v in validate(self.ema, self.step).items()}
            line |= {f"val_{k}": round(v, 5) for k, v in scores.items()}
            if goal is not None:
                self._keep_best(scores, goal)
        self.journal.report(line)

    def _keep_best(self, scores: dict[str, float], goal: Goal) -> None:
        name, kind = goal
        score, before = scores[name], self.best.get("score", -math.inf if kind == "max" else math.inf)
        if (score > before) if kind == "max" else (score < before):
            self.best = {"name": name, "score": score, "step": self.step}
            self._write_averaged(checkpoints.BEST)

    @torch.no_grad()
    def _show(self, samples: Samples) -> None:
        if self.parallel.first:
            self.journal.show(self.step, samples(self.ema.eval()))

    def _snapshot(self, name: str) -> None:
        if self.export is None:
            self._write_averaged(f"{name}.pt")
        elif self.parallel.first:
            self.export(self.ema, self.config.out / f"{name}.safetensors")

    def _write_averaged(self, name: str) -> None:
        if self.parallel.first:
            checkpoints.write(
                {"ema": self.ema.state_dict(), "step": self.step, "best": self.best}, self.config.out / name
            )

    def kept_state(self, *, best: bool) -> dict[str, Tensor]:
        """The averaged weights: of the best validation, or of now; ValueError where there was no validation
        with a goal."""
        if not best:
            return self.ema.state_dict()
        file = self.config.out / checkpoints.BEST
        if not file.is_file():
            raise CallError(
                f"{file} does not exist: no validation has been made yet that could be the best; save the "
                f"last weights instead"
            )
        return torch.load(file, map_location=self.device, weights_only=True)["ema"]

    def save(self) -> None:
        """Write the checkpoint in one rename; the one before is kept."""
        if not self.parallel.first:
            return
        state = {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
            "skipped": self.skipped,
            "best": self.best,
            "config": {
                k: v if isinstance(v, int | float | bool | tuple) else str(v)
                for k, v in vars(self.config).items()
            },
        }
        checkpoints.write_last(state, self.config.out)

    def _resume(self) -> None:
        found = checkpoints.read_newest(self.config.out, self.device)
        if found is None:
            return
        state, file = found
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed, self.skipped = state["step"], state["elapsed"], state["skipped"]
        self.best = state.get("best", {})
        log.info("resumed %s at step %d", file, self.step)


def _groups(
    parameters: list[nn.Parameter], slower: Sequence[nn.Parameter], factor: float
) -> list[dict[str, Any]]:
    """The optimiser's groups: one, unless some parameters learn at another rate."""
    chosen = {id(parameter) for parameter in slower}
    groups = [
        {"params": [p for p in parameters if id(p) not in chosen]},
        {"params": [p for p in parameters if id(p) in chosen], "factor": factor},
    ]
    return [group for group in groups if group["params"]]


def one_cycle(peak: float, step: int, warmup: int, steps: int) -> float:
    """Learning rate of `torch.optim.lr_scheduler.OneCycleLR` with pct_start = warmup / steps: cosine up,
    cosine down."""
    low, end, top = peak / 25, peak / 25 / 1e4, warmup - 1

    def between(a: float, b: float, share: float) -> float:
        return b + (a - b) / 2 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))

    if step <= top and top > 0:
        return between(low, peak, step / top)
    return between(peak, end, (step - top) / max(steps - 1 - top, 1))
