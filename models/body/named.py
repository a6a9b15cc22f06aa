"""The body model that a setting names."""

from __future__ import annotations

from pathlib import Path

import torch

from turnaround.models.body.model import BodyModel

FREE = "body"  # the setting's word for the embedded one


def named_body(name: str, device: torch.device | str = "cpu") -> BodyModel:
    """Give the free body for `body`, else the file's (SMPLX_NEUTRAL.npz); shared, see `BodyModel.shared`."""
    return BodyModel.shared(None if name == FREE else Path(name), device)
