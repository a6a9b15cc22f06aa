"""The base of the project's records: frozen dataclasses whose tensors are moved, cast and indexed
together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor


class TensorRecord:
    """Base of the dataclasses in `pipeline.types`."""

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changes[field.name] = function(value)
            elif isinstance(value, TensorRecord):
                changes[field.name] = value._map(function)
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def to(self, device: torch.device | str) -> Self:
        """The same record with every tensor on `device`."""
        return self._map(lambda tensor: tensor.to(device))

    def detach(self) -> Self:
        """The same record cut from the autograd graph."""
        return self._map(lambda tensor: tensor.detach())

    def __getitem__(self, index: Any) -> Self:
        """Index the leading dimension of every tensor field."""
        return self._map(lambda tensor: tensor[index])
