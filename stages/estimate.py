"""Stage 02: the SMPL-X body and the 2D joints of the person in the view."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from turnaround.models.estimator.config import FitConfig, GivenConfig, MergeConfig
from turnaround.pipeline.stage import Image, Stage, StageConfig, StageError, Trace

if TYPE_CHECKING:
    import torch

    from turnaround.models.body.model import BodyModel
    from turnaround.pipeline.values.fit import Cause
    from turnaround.pipeline.values.types import Body, View

log = logging.getLogger(__name__)


class EstimateConfig(StageConfig):
    """Settings of `estimate`."""

    provider: Literal["auto", "landmarks", "embedded", "given"] = Field(
        default="auto",
        description="auto: the SMPL-X file beside the photo where there is one, else landmarks where prepare "
        "found "
        "them and their body does not plainly miss the mask, else the picture's network alone (embedded)",
    )
    weights: str = Field(
        default="estimator", description="weight of the picture's network, or the path of a safetensors file"
    )
    lifter: str = Field(
        default="lifter", description="weight of the lifter from landmarks, or the path of a safetensors file"
    )
    fit: FitConfig = Field(default=FitConfig(), description="the fit of the lifted body to the landmarks")
    merge: MergeConfig = Field(
        default=MergeConfig(), description="how far the picture's network is believed beside the landmarks"
    )
    body: str = Field(
        default="body", description="body model: 'body' is the free one, else the path of SMPLX_NEUTRAL.npz"
    )
    fit_keypoints: bool = Field(
        default=True, description="move the body onto the landmarks, or onto the network's own 2D joints"
    )
    given: GivenConfig = Field(
        default=GivenConfig(), description="how the SMPL-X file beside the photo is meant"
    )


class Estimate(Stage[EstimateConfig]):
    """Finds the body."""

    name, version = "estimate", 5
    needs = {"view": "prepare.view", "landmarks": "prepare.landmarks", "given": "photo.body"}
    device = "gpu"
    Config = EstimateConfig
    moved = {**{name: f"given.{name}" for name in GivenConfig.model_fields}, "picture": "merge.strength"}

    class Outputs(NamedTuple):
        """The body, and what was seen of it."""

        body: Body
        keypoints: Trace  # name -> [x, y, sigma] in pixels of the view
        overlay: Image  # body and keypoints over the view
        doubts: Trace  # what speaks against a good result

    def weights(self) -> tuple[str, ...]:
        """The picture's network and the lifter, whose keypoints are used beside a given body too, and the
        body model."""
        lifter = () if self.config.provider == "embedded" else (self.config.lifter,)
        return (self.config.weights, *lifter, self.config.body)

    def run(self, *, device: torch.device, view: View, landmarks: Trace, given: bytes | None) -> Outputs:
        """The body and its 2D joints; StageError for a body file that cannot be understood."""
        from pathlib import Path

        from turnaround.models.body.model import BodyModel
        from turnaround.models.estimator.picture import body_overlay
        from turnaround.models.landmarks.record import keypoints_at, moved
        from turnaround.pipeline.values.crop import networks_copy
        from turnaround.pipeline.values.fit import causes_to_json

        config, small = self.config, networks_copy(view)
        if config.provider == "given" and given is None:
            raise StageError(
                "provider=given, but there is no SMPL-X file beside the photo (NAME.smplx.npz, .json or .pkl)"
            )
        free = config.body == "body"
        model = BodyModel.shared(None if free else Path(config.body))
        landmarks = moved(landmarks, view.camera, small.camera)
        body, found = self._estimate(small, landmarks, model, device)
        keypoints = keypoints_at(found, small.camera, view.camera)
        doubts: list[Cause] = []
        if given is not None and config.provider != "embedded":
            body = self._read(given, model, small, landmarks)
        elif landmarks.get("source") == "none":
            doubts = self._doubts(small, body, model, device)
        overlay = body_overlay(model, body, keypoints, view)
        return self.Outputs(body, keypoints, overlay, {"causes": causes_to_json(doubts)})

    def _doubts(self, view: View, body: Body, model: BodyModel, device: torch.device) -> list[Cause]:
        """Whether the photo is upside down or on its side: without landmarks only the body tells."""
        from turnaround.models.estimator.predict import load_estimator
        from turnaround.models.estimator.turned import better_turned
        from turnaround.models.location.doubts import not_upright

        found = better_turned(load_estimator(self.config.weights, device), view, body, model)
        doubts = [] if found is None else [not_upright(*found)]
        for cause in doubts:
            log.warning("%s; %s", cause.sentence, cause.remedy)
        return doubts

    def _estimate(
        self,
        view: View,
        landmarks: Trace,
        model: BodyModel,
        device: torch.device,
    ) -> tuple[Body, dict[str, list[float]]]:
        """The networks' body and keypoints: from landmarks where they are, else from the picture alone."""
        from turnaround.models.estimator.estimate import estimate_from_landmarks
        from turnaround.models.estimator.lifter.predict import load_lifter
        from turnaround.models.estimator.predict import estimate_body, load_estimator

        config, there = self.config, landmarks.get("source") != "none"
        if config.provider == "landmarks" and not there:
            raise StageError(f"provider=landmarks, but {landmarks.get('reason', 'prepare has found none')}")
        network = load_estimator(config.weights, device)
        if config.provider == "embedded" or not there:
            return estimate_body(network, view, model, fit_keypoints=config.fit_keypoints)
        return estimate_from_landmarks(
            load_lifter(config.lifter, device),
            network,
            view,
            landmarks,
            model,
            fit=config.fit if config.fit_keypoints else config.fit.but(steps=0),
            merge=config.merge,
            doubt=config.provider != "landmarks",
        )

    def _read(self, data: bytes, model: BodyModel, view: View, landmarks: Trace) -> Body:
        """The body of the sidecar file, compared with the person, turned and placed."""
        from turnaround.models.estimator.given.body_file import UnknownBody
        from turnaround.models.estimator.given.reader import Mismatch, given_body

        try:
            return given_body(data, model, view, landmarks, self.config.given)
        except UnknownBody as error:
            remedy = "or remove the file beside the photo to let the network estimate the body"
            raise StageError(f"{error}; {remedy}") from error
        except Mismatch as error:
            raise StageError(str(error)) from error
