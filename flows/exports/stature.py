"""How tall the reconstructed person is when they stand upright, whatever they do in the photo."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.runs import LinkedRuns
from turnaround.pipeline.values.types import Body


def stature(store: LinkedRuns, subject: str) -> float:
    """Metres from sole to crown of the refined body in the T pose, bare; ValueError where there is no such
    body yet."""
    from turnaround.models.body.model import BodyModel

    record = store.linked(subject, "refine")
    if record is None:
        raise CallError(
            f"--height needs the body of `refine`; `turnaround status {subject}` tells what is missing"
        )
    file = record.manifest["config"].get("body", "body")
    upright = dataclasses.replace(Body.neutral(), betas=record.load("body").betas)
    heights = BodyModel.shared(None if file == "body" else Path(file))(upright).vertices[..., 1]
    return float(heights.max() - heights.min())
