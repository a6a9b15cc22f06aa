"""LGM's public weights (ashawkey/LGM, MIT) as the start of the paper-size image branch."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import nn
from turnaround.pipeline.errors import CallError, MissingFile

log = logging.getLogger(__name__)

PARTS = ("unet.", "conv.")  # what the two networks have in common: LGM's whole network


@dataclass(frozen=True)
class LGMReport:
    """What a start from LGM's weights filled."""

    loaded: tuple[str, ...]  # tensors read from the file
    fresh: tuple[str, ...]  # the model's others, left as they were
    parameters: int  # numbers read


def load_lgm(model: nn.Module, file: Path) -> LGMReport:
    """Fill `unet.*` and `conv.*` of a paper-size HGM from LGM's safetensors file
    (model_fp16_fixrot.safetensors); in place.

    All of them or none: the shapes are compared before the first tensor is written. Layers outside of the
    image branch (tokens, attention to patches, volume, fusion, view embedding) keep their values and are
    listed in the report.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file's tensors and the image branch's differ in names or shapes; lists the first of
        them.
    """
    if not Path(file).is_file():
        raise MissingFile(
            f"LGM's weights {file} do not exist: download model_fp16_fixrot.safetensors of ashawkey/LGM from "
            f"the hub"
        )
    own = model.state_dict(keep_vars=True)
    wanted = {name: tensor for name, tensor in own.items() if name.startswith(PARTS)}
    with safe_open(str(file), framework="pt") as opened:
        found = {
            name: tuple(opened.get_slice(name).get_shape())
            for name in opened.keys()  # noqa: SIM118, no mapping
            if name.startswith(PARTS)
        }
        _compare(found, {name: tuple(tensor.shape) for name, tensor in wanted.items()}, file)
        for name, tensor in wanted.items():
            tensor.data.copy_(opened.get_tensor(name))
    report = LGMReport(
        tuple(sorted(wanted)),
        tuple(sorted(set(own) - set(wanted) - _buffers(model))),
        sum(t.numel() for t in wanted.values()),
    )
    log.info(
        "LGM: %d tensors, %.1f M parameters; %d tensors stay as initialised",
        len(wanted),
        report.parameters / 1e6,
        len(report.fresh),
    )
    return report


def _buffers(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_buffers()}


def _compare(found: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]], file: Path) -> None:
    """ValueError unless names and shapes agree."""
    if found == wanted:
        return
    missing, unknown = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    faults = [
        f"{n} is {found[n]}, expected {wanted[n]}"
        for n in sorted(set(found) & set(wanted))
        if found[n] != wanted[n]
    ][:3]
    if unknown:
        faults.insert(0, f"{len(unknown)} tensors are unknown, e.g. {unknown[0]}")
    if missing:
        faults.insert(0, f"{len(missing)} tensors are missing, e.g. {missing[0]}")
    raise CallError(
        f"{file} is not LGM 'big' for this model: {'; '.join(faults)}; use hgm_config('paper'). Nothing was "
        f"loaded"
    )
