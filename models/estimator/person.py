"""The body of the person in a view by the provider that the settings name, and what speaks against it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.body.named import named_body
from turnaround.models.estimator.config import EstimationConfig, GivenConfig
from turnaround.models.estimator.estimate import estimate_from_landmarks
from turnaround.models.estimator.given.body_file import UnknownBody
from turnaround.models.estimator.given.reader import Mismatch, given_body
from turnaround.models.estimator.lifter.predict import load_lifter
from turnaround.models.estimator.picture import body_overlay
from turnaround.models.estimator.predict import Looked, body_of, load_estimator, looked
from turnaround.models.estimator.turned import better_turned
from turnaround.models.landmarks.record import keypoints_at, moved
from turnaround.models.location.doubts import not_upright
from turnaround.models.person_model import is_gst
from turnaround.pipeline.values.crop import networks_copy
from turnaround.pipeline.values.fit import Cause, causes_to_json
from turnaround.pipeline.values.types import Body, View

log = logging.getLogger(__name__)
ALONE = ("embedded", "gst")  # providers that are one network, without the lifter


class NoBody(ValueError):
    """What the provider goes by is not there, or is not of the person in the view; says what to do."""


class EstimatedPerson(NamedTuple):
    """The body, and what was seen of it."""

    body: Body
    keypoints: dict[str, list[float]]  # name -> [x, y, sigma] in pixels of the view
    overlay: Float[Tensor, "h w 3"]  # body and keypoints over the view
    doubts: dict[str, Any]  # {"causes"}: what speaks against a good result


def estimate_person(
    view: View,
    landmarks: Mapping[str, Any],
    given: bytes | None,
    config: EstimationConfig,
    device: torch.device,
) -> EstimatedPerson:
    """Find the body of a view.

    Args:
        view: a close look at one person, any lens.
        landmarks: `prepare.landmarks` of the view.
        given: the SMPL-X file beside the photo.
        config: who provides the body, and how.
        device: of the networks; what comes back is on the CPU.

    Raises:
        NoBody: no landmarks or no file where the provider is one of them, or a file of somebody else.
    """
    if config.provider == "given" and given is None:
        raise NoBody(
            "provider=given, but there is no SMPL-X file beside the photo (NAME.smplx.npz, .json or .pkl)"
        )
    small, model = networks_copy(view), named_body(config.body)
    landmarks = moved(landmarks, view.camera, small.camera)
    body, found = _estimated(small, landmarks, model, config, device)
    keypoints = keypoints_at(found, small.camera, view.camera)
    doubts: list[Cause] = []
    if given is not None and config.provider != "embedded":
        body = body_of_file(given, model, small, landmarks, config.given)
    elif landmarks.get("source") == "none":
        doubts = _doubts(small, body, model, config, device)
    overlay = body_overlay(model, body, keypoints, view)
    return EstimatedPerson(body, keypoints, overlay, {"causes": causes_to_json(doubts)})


def _estimated(
    view: View,
    landmarks: Mapping[str, Any],
    model: BodyModel,
    config: EstimationConfig,
    device: torch.device,
) -> tuple[Body, dict[str, list[float]]]:
    """The networks' body and keypoints: from landmarks where they are, else from the picture alone."""
    there = landmarks.get("source") != "none"
    if config.provider == "landmarks" and not there:
        raise NoBody(f"provider=landmarks, but {landmarks.get('reason', 'prepare has found none')}")
    look = _look(landmarks, config, device)
    if config.provider in ALONE or not there:
        return body_of(look(view), view, model, fit_keypoints=config.fit_keypoints)
    return estimate_from_landmarks(
        load_lifter(config.lifter, device),
        look(view) if config.merge.strength > 0 else None,
        view,
        landmarks,
        model,
        fit=config.fit if config.fit_keypoints else config.fit.but(steps=0),
        merge=config.merge,
        doubt=config.provider != "landmarks",
    )


def _look(
    landmarks: Mapping[str, Any], config: EstimationConfig, device: torch.device
) -> Callable[[View], Looked]:
    """The picture's network by its weight: an estimator, or a GST, which reads landmarks as tokens, too."""
    if config.provider != "gst" and not is_gst(config.weights):
        network = load_estimator(config.weights, device)
        return lambda view: looked(network, view)
    from turnaround.models.gst.person import seen_by
    from turnaround.models.gst.weights import load_gst

    gst = load_gst(config.weights, device)
    told = None if config.provider == "embedded" else landmarks
    return lambda view: seen_by(gst, view, told)


def _doubts(
    view: View, body: Body, model: BodyModel, config: EstimationConfig, device: torch.device
) -> list[Cause]:
    """Whether the photo is upside down or on its side: without landmarks only the body tells."""
    look = _look({"source": "none"}, config, device)
    found = better_turned(lambda turned: body_of(look(turned), turned, model)[0], view, body, model)
    doubts = [] if found is None else [not_upright(*found)]
    for cause in doubts:
        log.warning("%s; %s", cause.sentence, cause.remedy)
    return doubts


def body_of_file(
    data: bytes, model: BodyModel, view: View, landmarks: Mapping[str, Any], choice: GivenConfig
) -> Body:
    """Read the body of the sidecar file, compared with the person, turned and placed; NoBody for others."""
    try:
        return given_body(data, model, view, landmarks, choice)
    except UnknownBody as error:
        remedy = "or remove the file beside the photo to let the network estimate the body"
        raise NoBody(f"{error}; {remedy}") from error
    except Mismatch as error:
        raise NoBody(str(error)) from error
