"""Pickles of numpy arrays and plain values, and nothing else: reading a body file must not run somebody's code."""

from __future__ import annotations

import io
import pickle
from typing import Any

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's format before 1.6
_SAFE = {
    ("numpy", "ndarray"), ("numpy", "dtype"), ("collections", "OrderedDict"),
    *(("numpy" + core, name) for core in (".core.multiarray", "._core.multiarray") for name in ("_reconstruct", "scalar")),
    *(("numpy" + core, "_frombuffer") for core in (".core.numeric", "._core.numeric")),
    *(("builtins", name) for name in ("dict", "list", "tuple", "set", "int", "float", "str", "bool", "complex")),
    ("_codecs", "encode"),
}  # fmt: skip


class UnsafePickle(ValueError):
    """The pickle asks for something that is neither an array nor a plain value."""


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Only the names that arrays and containers need."""
        if module.startswith("torch"):
            raise UnsafePickle(
                f"it holds PyTorch objects ({module}.{name}); save numpy arrays: `numpy.savez(path, **{{k: v.cpu().numpy()}})`"
            )
        if (module, name) not in _SAFE:
            raise UnsafePickle(f"it asks for {module}.{name}, which is not a numpy array or a plain value; save the arrays as .npz instead")
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """Torch's storages come this way."""
        raise UnsafePickle("it holds PyTorch tensors; save numpy arrays as .npz instead")


def load_pickle(data: bytes) -> Any:
    """The object in `data`; UnsafePickle or ValueError where it is not plain or not a pickle."""
    if data[:2] == b"PK":
        raise UnsafePickle("it is a PyTorch archive (torch.save); save numpy arrays as .npz instead")
    try:
        value = _Restricted(io.BytesIO(data), encoding="latin1").load()
    except UnsafePickle:
        raise
    except Exception as error:  # a broken pickle raises nearly anything
        raise ValueError(f"it is not a readable pickle ({type(error).__name__}: {error})") from error
    if isinstance(value, int) and value == _TORCH_MAGIC:
        raise UnsafePickle("it is an old PyTorch file (torch.save); save numpy arrays as .npz instead")
    return value
