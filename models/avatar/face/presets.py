"""Faces that have names, as the ten expressions of the free body and its jaw can make them.

The numbers are those of `python -m turnaround.data.body.presets`. What is not there the ten expressions
cannot make: they hardly know brows, so that nobody looks angry.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from turnaround.models.body.model import FREE_BODY, BodyModel
from turnaround.pipeline.store.digest import file_digest


class Preset(NamedTuple):
    """One face."""

    expression: tuple[float, ...]  # ten coefficients beyond the person's own
    jaw: float = 0.0  # how far the jaw is open, of `interchange.expression.OPEN`


_NONE = (0.0,) * 10
PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "happy": Preset((0.92, -1.38, 0.42, -0.98, -0.1, -0.41, 0.2, 0.58, 1.7, -0.19)),
        "sad": Preset((-0.43, 0.35, 1.85, 1.35, -0.17, -0.31, 0.64, 0.19, 0.12, -0.09)),
        "relaxed": Preset((0.33, -0.54, 2.26, -0.8, -0.07, -0.25, 0.02, 0.15, -0.15, 0.0)),
        "surprised": Preset((0.0, 0.01, -0.68, 0.14, 0.0, 0.01, 0.0, -0.02, 0.0, 0.17), 0.7),
        "aa": Preset(_NONE, 1.0),
        "ih": Preset((-0.24, -0.55, 0.17, 1.23, -0.21, -0.52, 0.27, 1.04, 0.07, 0.01), 0.15),
        "ou": Preset((0.54, 1.81, -0.13, -1.09, -0.24, -0.8, 0.38, 0.25, 0.22, 0.18)),
        "ee": Preset((0.41, -1.0, -0.02, 0.11, -0.18, -0.53, 0.08, 0.66, -0.09, 0.0), 0.1),
        "oh": Preset((-0.06, 0.95, -0.15, -0.82, -0.13, -0.68, 2.29, 1.34, -0.86, -0.58), 0.4),
        "blink": Preset((-0.02, -0.05, 4.26, -0.95, -0.01, -0.08, 0.08, 0.02, -0.13, 0.0)),
        "blinkLeft": Preset((-0.01, -0.02, 2.13, -0.46, 0.02, 0.02, 0.0, -0.09, -0.25, -5.54)),
        "blinkRight": Preset((-0.02, -0.03, 2.14, -0.49, -0.03, -0.1, 0.08, 0.12, 0.12, 5.54)),
    }
)
"""VRM's names -> what makes them."""


def knows_presets(model: BodyModel) -> bool:
    """Whether a body's expressions are those of the presets: they are the free body's."""
    return model.digest == file_digest(FREE_BODY)
