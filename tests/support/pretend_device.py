"""A pretended accelerator: tensors that compute on the CPU but refuse to meet CPU tensors, as CUDA's do.

Code that passes on it moves what it must move; nothing is said about speed, autocast or CUDA's own kernels.
`install()` registers the device type "pretend" for the rest of the process; within `PretendMode()`
`.to("pretend")` works.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.library
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

aten = torch.ops.aten


class _Module(backend_registration._DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


@cache
def install() -> torch.device:
    backend_registration._setup_privateuseone_for_python_backend("pretend", backend_module=_Module())
    _LIBRARY.impl("empty_strided", _empty_strided)  # lists as indices become tensors below Python
    _LIBRARY.impl("empty.memory_format", _empty)
    _LIBRARY.impl("_copy_from", _copy_from)
    return torch.device("pretend", 0)


_LIBRARY = torch.library.Library("aten", "IMPL", "PrivateUse1")


def _empty_strided(size, stride, *, dtype=None, **_kwargs) -> torch.Tensor:
    return Pretended(torch.empty_strided(size, stride, dtype=dtype))


def _empty(size, *, dtype=None, **_kwargs) -> torch.Tensor:
    return Pretended(torch.empty(size, dtype=dtype))


def _copy_from(source, target, non_blocking=False) -> torch.Tensor:
    inner = target.inner if isinstance(target, Pretended) else target
    inner.copy_(source.inner if isinstance(source, Pretended) else source)
    return target


class Pretended(torch.Tensor):
    """Wraps a CPU tensor, says that it is elsewhere; `.numpy()` and mixing with CPU tensors raise."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=install(),
        )

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"Pretended({self.inner})"

    def tolist(self):
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


class PretendMode(TorchDispatchMode):
    """Catches what makes or moves tensors."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


def _run(function, args, kwargs):
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)]
    mine = [t for t in tensors if isinstance(t, Pretended)]
    if function is aten.copy_.default:
        target, source = (t.inner if isinstance(t, Pretended) else t for t in args[:2])
        target.copy_(source)
        return args[0]
    others = [t for t in tensors if not isinstance(t, Pretended) and t.ndim > 0]
    if mine and others and function is not aten._to_copy.default:
        raise RuntimeError(
            f"{function}: tensors on pretend and on cpu {[tuple(t.shape) for t in others]} meet"
        )
    device = kwargs.get("device")
    elsewhere = torch.device(device).type == "pretend" if device is not None else bool(mine)
    kwargs = {k: v for k, v in kwargs.items() if k != "pin_memory"} | (
        {"device": torch.device("cpu")} if device is not None else {}
    )
    args, kwargs = tree_map_only(Pretended, lambda t: t.inner, (args, kwargs))
    result = function(*args, **kwargs)
    same = {id(t.inner): t for t in mine}  # what in-place functions return
    return tree_map_only(
        torch.Tensor, lambda t: same[id(t)] if id(t) in same else (Pretended(t) if elsewhere else t), result
    )
