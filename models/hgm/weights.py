"""Trained weights of the Human Gaussian Model for the body model at hand."""

from __future__ import annotations

import copy
import logging
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.model import HGM
from turnaround.models.sparse import cuda
from turnaround.pipeline.errors import CallError

log = logging.getLogger(__name__)

EMBEDDED_BODY = "body"


def load_hgm(weights: str, body: str = EMBEDDED_BODY, device: torch.device | str = "cpu") -> HGM:
    """The model of a weight name or file, ready for a body model ("body" is the embedded one, else a file).

    Tokens belong to places on the body. On another body than the one that the weights were trained with, each
    token is the one of the nearest place in the rest pose. Loaded once a process and digest; do not change
    what is returned.

    Raises:
        MissingWeight: a file is not there.
        ValueError: the weights were trained with a body that is neither the given one nor the embedded one.
    """
    return _load(weights, zoo.digest(weights), body, zoo.digest(body), str(device))


@lru_cache(maxsize=2)
def _load(weights: str, _digest: str, body: str, _body_digest: str, device: str) -> HGM:
    given = BodyModel.shared(None if body == EMBEDDED_BODY else Path(body))
    if torch.device(device).type != "cpu":
        given = copy.deepcopy(given)  # it moves with the model
    _, metadata = zoo.load_state(weights)
    trained = metadata.get("body", given.digest)
    model = HGM.load(weights, device, given)
    if trained != given.digest and model.config.body_branch:
        move_tokens(model, _home(trained, weights))
    if torch.device(device).type == "cuda" and cuda.available():
        cuda.accelerate(model)
    model.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.requires_grad_(False)


def _home(digest: str, weights: str) -> BodyModel:
    """The body model that weights were trained with."""
    embedded = BodyModel.shared()
    if embedded.digest != digest:
        raise CallError(
            f"weights {weights!r} were trained with the body model of sha256 {digest[:12]}, which is neither "
            f"the given one nor "
            f"the embedded one ({embedded.digest[:12]}): give that body, or train again with `python -m "
            f"turnaround.models.hgm.train`"
        )
    return embedded


@torch.no_grad()
def move_tokens(model: HGM, home: BodyModel) -> None:
    """Give every token of `model` to the places of its own body that are nearest to the token's on `home`; in
    place.

    ValueError where the model's tokens are one a vertex and `home` has another number of vertices: such
    weights have no places on another mesh.
    """
    from turnaround.models.hgm.surface import BodySurface

    tokens = model.body_branch.tokens
    source = BodySurface(home, model.config.points).rest.to(tokens.device)
    tokens.copy_(tokens[nearest(model.surface.rest.to(tokens.device), source)])
    log.info("tokens moved to another body model: %d places", len(tokens))


def nearest(queries: Float[Tensor, "n 3"], points: Float[Tensor, "m 3"]) -> Int[Tensor, " n"]:
    """Index of the point nearest to each query."""
    return torch.cat([torch.cdist(chunk, points).argmin(1) for chunk in queries.split(1024)])
