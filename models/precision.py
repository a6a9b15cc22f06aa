"""In which number format a network runs at inference: float32, or bfloat16 where that was measured to be
faster.

`run(name, network, *inputs)` is how the inference code calls its large networks. On CUDA it is bfloat16
(matrix products and convolutions; what is sensitive stays float32, as torch.autocast does it). On a CPU it is
float32, unless the CPU multiplies bfloat16 itself (AMX, AVX512-BF16): then the first call of a large network
times both on that call's own input, and the faster one is kept for good in `~/.cache/turnaround/precision`,
so that one machine always gives the same numbers. Where nothing can be kept, it is float32.

Large is what has LARGE parameters (the paper's UNets, Stable Diffusion): there bfloat16 saves seconds. The
shipped networks are small; all of them together would gain some hundredths of the pipeline's time, which is
not worth numbers that differ from machine to machine. `TURNAROUND_PRECISION` is "auto" (the above),
"measured" (small networks are timed, too), "fp32" or "bf16".

How far bfloat16 may be from float32 is bounded for every network in tests/models/hgm/test_networks.py.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import user_cache, write_atomic
from turnaround.pipeline.store.locks import held_briefly

log = logging.getLogger(__name__)

VARIABLE = "TURNAROUND_PRECISION"
Format = Literal["fp32", "bf16"]
LARGE = 30_000_000  # parameters
GAIN = 1.1  # bfloat16 must be so many times as fast
ROUNDS, BUDGET = 5, 4.0  # timings of each format, and seconds after which no further round begins

Result = TypeVar("Result")


def run(name: str, network: Callable[..., Result], *inputs: Any) -> Result:
    """`network(*inputs)` in the format that this machine runs it fastest in; floating outputs are float32.

    While gradients are recorded or the caller has chosen a format itself (autocast), it is the plain call.

    Args:
        name: of the network, for the memory of timings.
        network: a module, or a function of one; it must not change its inputs.
    """
    device = next((x.device for x in inputs if isinstance(x, Tensor)), torch.device("cpu"))
    if torch.is_grad_enabled() or torch.is_autocast_enabled(device.type):
        return network(*inputs)
    chosen = choose(name, network, inputs, device)
    return _widened(_in(chosen, network, inputs, device)) if chosen == "bf16" else network(*inputs)


def choose(name: str, network: Callable[..., Any], inputs: tuple[Any, ...], device: torch.device) -> Format:
    """The format for a network; times it where that is needed and was not done on this machine.

    Raises:
        ValueError: TURNAROUND_PRECISION is none of auto, measured, fp32, bf16.
    """
    wanted = os.environ.get(VARIABLE, "auto")
    if wanted not in ("auto", "measured", "fp32", "bf16"):
        raise CallError(f"{VARIABLE}={wanted!r}: expected auto, measured, fp32 or bf16")
    if wanted in ("fp32", "bf16"):
        return wanted  # type: ignore[return-value]
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    size = _parameters(network)
    if device.type != "cpu" or not multiplies_bf16() or (wanted == "auto" and size < LARGE):
        return "fp32"
    return _remembered(f"{name}-{size}", lambda: _timed(network, inputs, device))


@lru_cache(maxsize=1)
def multiplies_bf16() -> bool:
    """Whether the CPU has instructions that multiply bfloat16."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("amx_bf16") or found.get("avx512_bf16"))


def known() -> dict[str, dict[str, Any]]:
    """What was measured on this machine: network -> format, milliseconds of both."""
    files = sorted(_folder().glob("*.json")) if _folder().is_dir() else []
    return {file.stem: json.loads(file.read_text()) for file in files}


def _timed(network: Callable[..., Any], inputs: tuple[Any, ...], device: torch.device) -> dict[str, Any]:
    """Milliseconds of both formats, in turn; the shortest of each, which other processes disturb least."""
    best = {"fp32": float("inf"), "bf16": float("inf")}
    started = time.perf_counter()
    for turn in range(ROUNDS + 1):  # the first is a warm-up
        for kind in best:
            begun = time.perf_counter()
            _in(kind, network, inputs, device)  # type: ignore[arg-type]
            if turn:
                best[kind] = min(best[kind], time.perf_counter() - begun)
        if turn and time.perf_counter() - started > BUDGET:
            break
    chosen = "bf16" if best["fp32"] > GAIN * best["bf16"] else "fp32"
    return {"format": chosen, **{f"{kind}_ms": round(1e3 * seconds, 2) for kind, seconds in best.items()}}


def _in(kind: Format, network: Callable[..., Any], inputs: tuple[Any, ...], device: torch.device) -> Any:
    with torch.autocast(device.type, torch.bfloat16, enabled=kind == "bf16"):
        return network(*inputs)


_CHOSEN: dict[tuple[Path, str], Format] = {}


def _remembered(name: str, measure: Callable[[], dict[str, Any]]) -> Format:
    """The format kept for a network, or what `measure` finds; the first process decides for all."""
    folder = _folder()
    key = (folder, name)
    if key not in _CHOSEN:
        file = folder / f"{name}.json"
        found = _read(file)
        if found is None:
            found = _keep(file, measure)
        _CHOSEN[key] = found["format"]
    return _CHOSEN[key]


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") in ("fp32", "bf16") else None


def _keep(file: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Measure and write, one process at a time: what waited takes what the first has found.

    Where nothing can be written every run would decide anew, so it is float32 there.
    """
    try:
        with held_briefly(file.with_name(f".{file.stem}.lock")):
            found = _read(file)
            if found is None:
                found = measure()
                write_atomic(file, json.dumps(found).encode())
                log.info("%s runs in %s here: %s", file.stem, found["format"], found)
            return found
    except OSError as error:
        log.info("bfloat16 is not used: %s cannot be written (%s)", file.parent, error)
        return {"format": "fp32"}


def _folder() -> Path:
    return user_cache("precision", machine())


@lru_cache(maxsize=1)
def machine() -> str:
    """The CPU and torch's version, as a folder's name."""
    found = torch.cpu.get_capabilities()
    cpu = found.get("cpu_name") or platform.processor() or platform.machine()
    text = f"{cpu}|{json.dumps(found, sort_keys=True, default=str)}"
    readable = "".join(c if c.isalnum() else "_" for c in text.split("|")[0])[:40]
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{readable}-{digest}-torch{torch.__version__.split('+')[0]}"


def _parameters(network: Callable[..., Any]) -> int:
    owner = network if isinstance(network, nn.Module) else getattr(network, "__self__", None)
    return sum(p.numel() for p in owner.parameters()) if isinstance(owner, nn.Module) else 0


def _widened(value: Any) -> Any:
    """Every bfloat16 tensor of nested lists and tuples as float32."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype == torch.bfloat16 else value
    if isinstance(value, list | tuple):
        return type(value)(_widened(item) for item in value)
    return value
