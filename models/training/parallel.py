"""Several processes that train one model (`torchrun -m ...`, `accelerate launch -m ...`): gradients are their
mean.

Each process computes its own batches; after backward all gradients are averaged in one flat message. The same
as DistributedDataParallel without its overlap, but for any method of a model, not only `forward`, and for
parameters that a step does not touch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

TIMEOUT = timedelta(hours=2)  # the others wait while the first process validates


class Parallel:
    """This process's place among the processes that `torchrun` started; alone where there are none."""

    def __init__(self, device: str) -> None:
        self.world, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        if torch.device(device).type == "cuda" and torch.device(device).index is None and self.world > 1:
            device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        self.device = torch.device(device)
        if self.world > 1 and not dist.is_initialized():
            if self.device.type == "cuda":
                torch.cuda.set_device(self.device)
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=TIMEOUT)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and validates."""
        return self.rank == 0

    @torch.no_grad()
    def share(self, model: nn.Module) -> None:
        """Give every process the first one's parameters and buffers."""
        if self.world > 1:
            for tensor in [*model.parameters(), *model.buffers()]:
                dist.broadcast(tensor.data, 0)

    def agreed(self, value: float) -> float:
        """The first process's value."""
        if self.world == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, 0)
        return float(tensor)

    @torch.no_grad()
    def mean_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their mean over the processes; one that no process has stays None."""
        if self.world == 1:
            return
        reached = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        flat = torch.cat(
            [
                reached,
                *(
                    (p.grad if p.grad is not None else torch.zeros_like(p)).reshape(-1).float()
                    for p in parameters
                ),
            ]
        )
        dist.all_reduce(flat)
        reached, values = (
            flat[: len(parameters)].tolist(),
            (flat[len(parameters) :] / self.world).split([p.numel() for p in parameters]),
        )
        for parameter, count, value in zip(parameters, reached, values, strict=True):
            parameter.grad = _like(value, parameter) if count else None

    def close(self) -> None:
        """Wait for the others and leave the group."""
        if self.world > 1 and dist.is_initialized():
            dist.barrier()
            dist.destroy_process_group()


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """`value` in the shape, type and memory layout of a parameter (channels_last stays channels_last)."""
    return torch.empty_like(parameter).copy_(value.view(parameter.shape))
