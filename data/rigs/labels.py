"""The body of a moment, where a folder tells it: as a views set has it, in the world of the cameras."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from turnaround.data.people import FIELDS
from turnaround.data.rigs.moment import KnownBody
from turnaround.data.scans.fitting import fitted_body
from turnaround.data.scans.humman import HuMMan
from turnaround.data.scans.parameters import body_of, read_fields
from turnaround.models.body.model import BodyModel
from turnaround.pipeline.values.types import Body


def label_arrays(known: KnownBody | None, model_file: Path | None) -> dict[str, np.ndarray]:
    """joints (55,3) and body_*; nothing where no body is told.

    Args:
        model_file: the SMPL-X file that is trained with; None is the free body. Our layout's parameters
            belong to it; HuMMan's SMPL is laid into the textured mesh.

    Raises:
        ScanError: the file is missing or damaged, or the body does not lie on the mesh.
    """
    if known is None:
        return {}
    model = _model(model_file)
    body = _humman(known, model) if known.kind == "humman" else _smplx(known)
    with torch.no_grad():
        joints = model(body).joints.numpy().astype(np.float32)
    return {
        "joints": joints,
        **{f"body_{name}": getattr(body, name).numpy().astype(np.float32) for name in FIELDS},
    }


def _smplx(known: KnownBody) -> Body:
    fields = {name.removeprefix("body_") if name != "body_pose" else name: value
              for name, value in read_fields(known.file).items()}  # fmt: skip
    return body_of(known.file, fields, None, flat_hand=True)


def _humman(known: KnownBody, model: BodyModel) -> Body:
    root = known.file.parents[2]
    scan = HuMMan(root, texture_size=64).read(known.name)
    return fitted_body(scan.fit, scan.mesh.vertices, model, None).body


@lru_cache(maxsize=1)
def _model(file: Path | None) -> BodyModel:
    return BodyModel.load(file)
