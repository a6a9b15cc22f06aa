"""Weights of the Human Gaussian Model: its own files, for the body model at hand, and LGM's as a start."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.config import config_from_json
from turnaround.models.hgm.create import create_hgm
from turnaround.models.hgm.model import HGM
from turnaround.models.hgm.surface import BodySurface, nearest
from turnaround.models.sparse import cuda
from turnaround.pipeline.errors import CallError, MissingFile

log = logging.getLogger(__name__)

EMBEDDED_BODY = "body"
LGM_PARTS = ("unet.", "conv.")  # what the two networks have in common: LGM's whole network


def load_hgm(weights: str, body: str = EMBEDDED_BODY, device: torch.device | str = "cpu") -> HGM:
    """Load a model for inference: a weight name or file, for a body model ("body", the embedded, or a file).

    Tokens belong to places on the body. On another body than the one that the weights were trained with, each
    token is the one of the nearest place in the rest pose. Loaded once a process and digest; do not change
    what is returned.

    Raises:
        MissingWeight: a file is not there.
        CallError: the weights were trained with a body that is neither the given one nor the embedded one.
    """
    return _load(weights, zoo.digest(weights), body, zoo.digest(body), str(device))


@lru_cache(maxsize=2)
def _load(weights: str, _digest: str, body: str, _body_digest: str, device: str) -> HGM:
    given = BodyModel.shared(None if body == EMBEDDED_BODY else Path(body))
    if torch.device(device).type != "cpu":
        given = copy.deepcopy(given)  # it moves with the model
    _, metadata = zoo.load_state(weights)
    trained = metadata.get("body", given.digest)
    model = read_hgm(weights, device, given)
    if trained != given.digest and model.config.body_branch:
        move_tokens(model, _home(trained, weights))
    if torch.device(device).type == "cuda" and cuda.available():
        cuda.accelerate(model)
    model.image_branch.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.requires_grad_(False)


def read_hgm(
    name_or_path: str | Path, device: torch.device | str = "cpu", body_model: BodyModel | None = None
) -> HGM:
    """Read the model of a weight name or file as it was written.

    Raises:
        CallError: the file holds no configuration of this version.
        RuntimeError: a tensor is missing, unknown or of another shape.
    """
    state, metadata = zoo.load_state(name_or_path)
    if "config" not in metadata:
        raise CallError(
            f"{name_or_path} holds no HGM configuration; LGM's weights start a model through `load_lgm`"
        )
    model = create_hgm(config_from_json(metadata["config"]), body_model)
    model.load_state_dict(state)
    return model.to(device).eval()


def save_hgm(
    model: HGM, name_or_path: str | Path, state: dict[str, Tensor] | None = None, **facts: str
) -> Path:
    """Write the model's weights, or those of `state`, with its configuration, its body and further facts."""
    config = json.dumps(dataclasses.asdict(model.config))
    metadata = {"config": config, "body": model.body_model.digest, **facts}
    return zoo.save_state(name_or_path, state or model.state_dict(), metadata)


def _home(digest: str, weights: str) -> BodyModel:
    """The body model that weights were trained with."""
    embedded = BodyModel.shared()
    if embedded.digest != digest:
        raise CallError(
            f"weights {weights!r} were trained with the body model of sha256 {digest[:12]}, which is neither "
            f"the given one nor the embedded one ({embedded.digest[:12]}): give that body, or train again "
            "with `python -m turnaround.models.hgm.train`"
        )
    return embedded


@torch.no_grad()
def move_tokens(model: HGM, home: BodyModel) -> None:
    """Move tokens from their places on `home` to the nearest ones of the model's own body; in place.

    CallError where the model has no tokens.
    """
    if model.body_branch is None:
        raise CallError("the model has no body branch, so no tokens to move: load it as it is")
    tokens = model.body_branch.tokens
    source = BodySurface(home, model.config.points).rest.to(tokens.device)
    tokens.copy_(tokens[nearest(model.surface.rest.to(tokens.device), source)])
    log.info("tokens moved to another body model: %d places", len(tokens))


@dataclass(frozen=True)
class LGMReport:
    """What a start from LGM's weights filled."""

    loaded: tuple[str, ...]  # tensors read from the file
    fresh: tuple[str, ...]  # the model's others, left as they were
    parameters: int  # numbers read


def load_lgm(model: nn.Module, file: Path) -> LGMReport:
    """Fill the image branch of a paper-size model from LGM's model_fp16_fixrot.safetensors (MIT); in place.

    All of `unet.*` and `conv.*` or none: the shapes are compared before the first tensor is written. Layers
    outside of them (tokens, attention to patches, volume, fusion, view embedding) keep their values and are
    listed in the report.

    Raises:
        MissingFile: no such file.
        CallError: names or shapes of the file's tensors and the image branch's differ; lists the first few.
    """
    if not Path(file).is_file():
        raise MissingFile(
            f"LGM's weights {file} do not exist: download model_fp16_fixrot.safetensors of ashawkey/LGM from "
            "the hub"
        )
    own = model.state_dict(keep_vars=True)
    wanted = {name: tensor for name, tensor in own.items() if name.startswith(LGM_PARTS)}
    with safe_open(str(file), framework="pt") as opened:
        names = [name for name in opened.keys() if name.startswith(LGM_PARTS)]  # noqa: SIM118, no mapping
        found = {name: tuple(opened.get_slice(name).get_shape()) for name in names}
        _compare(found, {name: tuple(tensor.shape) for name, tensor in wanted.items()}, file)
        for name, tensor in wanted.items():
            tensor.data.copy_(opened.get_tensor(name))
    parameters, fresh = sum(t.numel() for t in wanted.values()), sorted(set(own) - set(wanted))
    log.info("LGM: %d tensors, %.1f M parameters", len(wanted), parameters / 1e6)
    log.info("%d tensors stay as initialised", len(fresh))
    return LGMReport(tuple(sorted(wanted)), tuple(fresh), parameters)


def _compare(found: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]], file: Path) -> None:
    """CallError unless names and shapes agree."""
    if found == wanted:
        return
    missing, unknown = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    common = sorted(set(found) & set(wanted))
    differ = [name for name in common if found[name] != wanted[name]]
    faults = [f"{name} is {found[name]}, expected {wanted[name]}" for name in differ[:3]]
    if unknown:
        faults.insert(0, f"{len(unknown)} tensors are unknown, e.g. {unknown[0]}")
    if missing:
        faults.insert(0, f"{len(missing)} tensors are missing, e.g. {missing[0]}")
    raise CallError(
        f"{file} is not LGM 'big' for this model: {'; '.join(faults)}; use hgm_config('paper'). "
        "Nothing was loaded"
    )
