"""Pickles of numpy arrays and plain values, and nothing else: reading a body file must not run somebody's
code.

The program of a pickle is read first, without running it: only what arrays and containers need may occur.
Then it is run with our own stand-ins for numpy's functions: numpy's own trust what a pickle says of an
array's type and memory.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sized
from typing import Any

import numpy as np

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.untrusted import check_plain

MAX_BYTES = 256 * 2**20
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's format before 1.6
_OPCODES = {
    *("PROTO", "STOP", "FRAME", "MARK", "POP", "POP_MARK", "DUP", "MEMOIZE"),
    *(
        "PUT",
        "BINPUT",
        "LONG_BINPUT",
        "GET",
        "BINGET",
        "LONG_BINGET",
        "GLOBAL",
        "STACK_GLOBAL",
        "REDUCE",
        "BUILD",
        "NEWOBJ",
    ),
    *(
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "FLOAT",
        "BINFLOAT",
    ),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET"),
}
_MAX_TUPLES = 20_000  # tuples in tuples are hashed by recursion
_OBJECT = "O8"  # only what numpy.save wraps a whole value in
_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c(8|16)|S\d{1,4}|U\d{1,4})|bool")


class UnsafePickle(ValueError):
    """The pickle asks for something that is neither an array nor a plain value."""


class _DType:
    """Stands in for numpy.dtype: numbers and texts only."""

    __slots__ = ("text",)

    def __init__(self, text: Any = "", *_: Any) -> None:
        text = text.decode("latin1") if isinstance(text, bytes) else text
        if not isinstance(text, str) or not (_DTYPE.fullmatch(text) or text == _OBJECT):
            raise UnsafePickle(
                f"it holds an array of type {str(text)[:40]!r}, which is neither numbers nor text"
            )
        self.text = text

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "|"
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "="):
            raise UnsafePickle(f"it holds an array of byte order {order!r}")
        if order in "<>":
            self.text = order + self.text.lstrip("<>|=")

    def real(self) -> np.dtype:
        if "O" in self.text:
            raise UnsafePickle("it holds an array of objects, which is neither numbers nor text")
        return np.dtype(self.text)


class _Array:
    """Stands in for numpy.ndarray until its content is known and fits."""

    __slots__ = ("saved", "value")

    def __init__(self) -> None:
        self.value: np.ndarray | None = None
        self.saved: list[Any] | None = None  # the one value that numpy.save wrapped

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise FormatError("an array without its content")
        _, shape, dtype, fortran, data = state
        if isinstance(dtype, _DType) and dtype.text == _OBJECT:
            if shape != () or type(data) is not list or len(data) != 1:
                raise UnsafePickle("it holds an array of objects, which is neither numbers nor text")
            self.saved = data
            return
        self.value = _filled(data, dtype, shape, "F" if fortran else "C")


def _filled(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """The array of these bytes; ValueError where they are not exactly as many as its shape and type say."""
    data = data.encode("latin1") if isinstance(data, str) else data
    if (
        not isinstance(dtype, _DType)
        or not isinstance(data, bytes | bytearray)
        or order not in ("C", "F", "A", "K")
    ):
        raise FormatError("an array without type or content")
    shape = (shape,) if isinstance(shape, int) else shape
    if (
        not isinstance(shape, tuple)
        or len(shape) > 32
        or not all(isinstance(n, int) and 0 <= n <= MAX_BYTES for n in shape)
    ):
        raise FormatError(f"an array of shape {str(shape)[:80]}")
    kind = dtype.real()
    if math.prod(shape) * kind.itemsize != len(data) or not kind.itemsize:
        raise FormatError(f"an array of shape {shape} of {kind} in {len(data)} bytes")
    return np.frombuffer(bytes(data), kind).reshape(
        shape, order="F" if order == "F" else "C"
    )  # a view: a pickle may use bytes often


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return _filled(data, dtype, (), "C")[()]


def _encode(text: Any, codec: Any = "latin1", *_: Any) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise UnsafePickle(f"it asks for the codec {str(codec)[:40]!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How Python 3 writes empty bytes for Python 2."""
    return b""


def _reconstruct(*_: Any) -> _Array:
    return _Array()


class _Budget:
    """Bytes that a pickle may make anew of its own: it can name the same text a million times."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise FormatError("it grows to many times its own size")


class _Call:
    """A function that a pickle may call and not change."""

    __slots__ = ("budget", "function")

    def __init__(self, function: Callable[..., Any], budget: _Budget) -> None:
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "budget", budget)

    def __call__(self, *arguments: Any) -> Any:
        self.budget.spend(sum(len(argument) for argument in arguments if isinstance(argument, Sized)))
        return self.function(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise UnsafePickle("it changes a function")

    def __setstate__(self, state: Any) -> None:
        raise UnsafePickle("it changes a function")


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _reconstruct,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("builtins", "bytes"): _no_bytes,
    **{("numpy" + core, "_reconstruct"): _reconstruct for core in (".core.multiarray", "._core.multiarray")},
    **{("numpy" + core, "scalar"): _scalar for core in (".core.multiarray", "._core.multiarray")},
    **{("numpy" + core, "_frombuffer"): _filled for core in (".core.numeric", "._core.numeric")},
    ("collections", "OrderedDict"): OrderedDict,
    **{("builtins", kind.__name__): kind for kind in (set, complex)},
}


class _Restricted(pickle.Unpickler):
    def __init__(self, data: bytes, budget: _Budget) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._budget = budget

    def find_class(self, module: str, name: str) -> Any:
        """Only the names that arrays and containers need, and none of numpy's own."""
        if module.startswith("torch"):
            raise UnsafePickle(
                f"it holds PyTorch objects ({module}.{name}); save numpy arrays: `numpy.savez(path, **{{k: "
                f"v.cpu().numpy()}})`"
            )
        known = _KNOWN.get(("builtins" if module == "__builtin__" else module, name))
        if known is None:
            raise UnsafePickle(
                f"it asks for {module}.{name}, which is not a numpy array or a plain value; save the arrays "
                f"as .npz instead"
            )
        return _Call(known, self._budget)


def load_pickle(data: bytes) -> Any:
    """The object in `data`; UnsafePickle or ValueError where it is not plain or not a pickle."""
    if data[:2] == b"PK":
        raise UnsafePickle("it is a PyTorch archive (torch.save); save numpy arrays as .npz instead")
    if len(data) > MAX_BYTES:
        raise FormatError(
            f"a pickle of {len(data) / 2**20:.0f} MiB; at most {MAX_BYTES / 2**20:.0f} MiB are read"
        )
    try:
        _check_program(data)
        budget = _Budget(4 * len(data) + 2**20)
        value = _Restricted(data, budget).load()
        if isinstance(value, _Array) and value.saved is not None:
            value = value.saved[0]  # within a value, such arrays stay without content, and are refused
        check_plain(value)
        value = _arrays(value, budget)
    except UnsafePickle:
        raise
    except Exception as error:  # a broken pickle raises nearly anything
        raise FormatError(
            f"it is not a readable pickle ({type(error).__name__}: {str(error)[:200]})"
        ) from error
    if isinstance(value, int) and value == _TORCH_MAGIC:
        raise UnsafePickle("it is an old PyTorch file (torch.save); save numpy arrays as .npz instead")
    return value


def load_npy(data: bytes) -> Any:
    """The value that `numpy.save(file, value)` pickled; raises as `load_pickle` does."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream, max_header_size=10_000)
    except Exception as error:  # the header is Python syntax: its parser raises anything
        raise FormatError(f"it is not an .npy file ({type(error).__name__})") from error
    if not dtype.hasobject or shape != ():
        raise FormatError(f"it holds an array {shape} of {dtype}, expected one pickled value")
    return load_pickle(data[stream.tell() :])


def _check_program(data: bytes) -> None:
    """Read every instruction up to the end of the first pickle without running one."""
    tuples = 0
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("PERSID", "BINPERSID"):
            raise UnsafePickle("it holds PyTorch tensors; save numpy arrays as .npz instead")
        if opcode.name not in _OPCODES:
            raise UnsafePickle(
                f"its instruction {opcode.name} is none that arrays need; save the arrays as .npz instead"
            )
        if opcode.name.endswith("PUT") and isinstance(argument, int) and argument > len(data):
            raise FormatError(f"place {argument} in the memory of a pickle of {len(data)} bytes")
        tuples += "TUPLE" in opcode.name
        if tuples > _MAX_TUPLES:
            raise FormatError(f"more than {_MAX_TUPLES} tuples")


def _arrays(value: Any, budget: _Budget) -> Any:
    """The value with arrays in place of their stand-ins."""
    if isinstance(value, _Array):
        if value.value is None:
            raise FormatError("an array without its content")
        value = value.value
    if isinstance(value, np.ndarray):
        budget.spend(value.nbytes)
        return value.copy(order="K")
    if isinstance(value, _DType | _Call):
        raise UnsafePickle("it holds types or functions, not values")
    if isinstance(value, Mapping):
        return {_key(key): _arrays(child, budget) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_arrays(child, budget) for child in value]
    return value


def _key(value: Any) -> Any:
    if isinstance(value, _Array | _DType | _Call):
        raise FormatError("a name that is an array")
    return value
