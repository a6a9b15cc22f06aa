"""Weights of GST: read for inference, written with their configuration, begun from an estimator's."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.model import BodyEstimator
from turnaround.models.gst.config import GSTConfig
from turnaround.models.gst.model import GST
from turnaround.models.gst.paper.hmr2 import begin_with_hmr2
from turnaround.models.gst.paper.paper_network import PaperNetwork
from turnaround.pipeline.errors import CallError

ESTIMATOR = "estimator"  # whose image encoder is shared
CHECKPOINT = ".ckpt"  # how HMR 2.0's file ends


def load_gst(name_or_path: str = "gst", device: torch.device | str = "cpu") -> GST:
    """The trained network for inference, on the free body; loaded once a process and digest."""
    return _load(name_or_path, zoo.digest(name_or_path), str(device))


@lru_cache(maxsize=2)
def _load(name_or_path: str, _digest: str, device: str) -> GST:
    return read_gst(name_or_path).to(device).eval().requires_grad_(False)


def read_gst(name_or_path: str | Path) -> GST:
    """The network of a weight name or file, as it was written; CallError for another network's."""
    state, metadata = zoo.load_state(name_or_path)
    if "gst" not in metadata:
        raise CallError(f"{name_or_path} holds no GST configuration: it is the weight of another network")
    config = {"fill": False} | json.loads(metadata["gst"])  # older files do not speak of it
    model = GST(BodyModel.shared(), GSTConfig.model_validate(config))
    if "encoder" in metadata:
        state |= _encoder(model, metadata["encoder"], metadata["encoder_sha256"])
    model.load_state_dict(state)
    return model


def _encoder(model: GST, weights: str, digest: str) -> dict[str, Tensor]:
    """The image encoder's tensors, which are an estimator's; CallError where that has changed since."""
    if zoo.digest(weights) != digest:
        raise CallError(
            f"this GST was trained over the image encoder of {weights!r} with sha256 {digest[:12]}, "
            f"and here it has {zoo.digest(weights)[:12]}: restore it, or train GST again "
            f"(`turnaround train gst`)"
        )
    state, _ = zoo.load_state(weights)
    names = tuple(f"{name}." for name in model.network.encoder())
    return {f"network.{name}": value for name, value in state.items() if name.startswith(names)}


def begin(model: GST, estimator: str | Path) -> None:
    """Take an estimator's weights for encoder, decoder and body heads, in place; CallError for others.

    The paper's network takes those of HMR 2.0, of the user's own `.ckpt` (models/gst/paper/hmr2.py).
    """
    if isinstance(model.network, PaperNetwork):
        if Path(estimator).suffix != CHECKPOINT:
            raise CallError(
                f"the paper's network begins with HMR 2.0, not with {estimator!s}: --estimator "
                f"path/to/hmr2{CHECKPOINT}, your own file, or --estimator '' for none"
            )
        begin_with_hmr2(model.network, Path(estimator))
        return
    if Path(estimator).suffix == CHECKPOINT:
        raise CallError(f"{estimator} fits the paper's network alone: --size paper, or settings of kind vit")
    state, _ = zoo.load_state(estimator)
    try:
        model.network.load_state_dict(state)
    except RuntimeError as error:
        raise CallError(
            f"{estimator} does not fit GST's network (size, or another kind of weight): {error}"
        ) from error


def save_gst(
    model: GST, name_or_path: str | Path, state: dict[str, Tensor] | None = None, **facts: str
) -> Path:
    """Write the model's weights, or those of `state`, with its configuration and further facts.

    An image encoder that still is the shipped estimator's is named instead of written a second time.
    """
    metadata = {"gst": model.config.model_dump_json(), **facts}
    state = dict(state or model.state_dict())
    if isinstance(model.network, BodyEstimator):
        shared = _encoder(model, ESTIMATOR, zoo.digest(ESTIMATOR))
        if all(name in state and torch.equal(state[name].cpu(), value) for name, value in shared.items()):
            state = {name: value for name, value in state.items() if name not in shared}
            metadata |= {"encoder": ESTIMATOR, "encoder_sha256": zoo.digest(ESTIMATOR)}
    return zoo.save_state(name_or_path, state, metadata)
