"""Stage 02: the SMPL-X body and the 2D joints of the person in the view."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from turnaround.models.estimator.config import EstimationConfig, GivenConfig
from turnaround.pipeline.stage import Image, Stage, StageConfig, StageError, Trace

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import Body, View


class EstimateConfig(EstimationConfig, StageConfig):
    """Settings of `estimate`."""


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
        lifter = () if self.config.provider in ("embedded", "gst") else (self.config.lifter,)
        return (self.config.weights, *lifter, self.config.body)

    def run(self, *, device: torch.device, view: View, landmarks: Trace, given: bytes | None) -> Outputs:
        """The body and its 2D joints; StageError for a body file that cannot be understood."""
        from turnaround.models.estimator.person import NoBody, estimate_person

        try:
            return self.Outputs(*estimate_person(view, landmarks, given, self.config, device))
        except NoBody as error:
            raise StageError(str(error)) from error
