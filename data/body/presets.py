"""Named faces as the body's ten expressions make them: `python -m turnaround.data.body.presets` tells the
numbers of `models/avatar/face/presets.py`, and how much of each face they make."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from turnaround.data.body.build import SURFACE
from turnaround.data.body.expressions import face_units
from turnaround.data.body.makehuman import data_folder, load_mesh
from turnaround.models.body.model import BodyModel

log = logging.getLogger(__name__)


def _both(**shares: float) -> dict[str, float]:
    """Units of both sides."""
    return {f"{name}{side}": share for name, share in shares.items() for side in ("Left", "Right")}


# a blink a little over what the body needs: people's lids are not quite where the landmarks say
MIXES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "happy": _both(mouthSmile=0.5, cheekSquint=0.5, eyeBlink=0.15),
        "angry": _both(browDown=1.0, noseSneer=0.6, mouthFrown=0.5, mouthPress=0.5, eyeBlink=0.25),
        "sad": {**_both(mouthFrown=1.0, eyeBlink=0.4), "mouthShrugLower": 0.5},
        "relaxed": _both(mouthSmile=0.2, eyeBlink=0.6),
        "surprised": _both(eyeWide=1.0),
        "ih": _both(mouthStretch=0.7),
        "ou": {"mouthPucker": 1.0},
        "ee": _both(mouthSmile=0.3, mouthStretch=0.3),
        "oh": {"mouthFunnel": 1.0},
        "blink": _both(eyeBlink=1.1),
        "blinkLeft": {"eyeBlinkLeft": 1.1},
        "blinkRight": {"eyeBlinkRight": 1.1},
    }
)
"""VRM's names -> face units and how much of each; `aa` is the jaw alone."""


def fitted(
    units: Mapping[str, Float[np.ndarray, "v 3"]],
    mix: Mapping[str, float],
    directions: Float[np.ndarray, "v 3 k"],
) -> tuple[Float[np.ndarray, " k"], float]:
    """The coefficients whose face is nearest to a mix of units, and the share of its squares that is made."""
    wanted = sum(share * units[name] for name, share in mix.items())
    flat, target = directions.reshape(-1, directions.shape[-1]), np.asarray(wanted).reshape(-1)
    found, *_ = np.linalg.lstsq(flat, target, rcond=None)
    return found, 1 - float(((target - flat @ found) ** 2).sum() / (target**2).sum())


def main() -> None:
    """Log a line a face."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    root = data_folder()
    mesh = load_mesh(root / "mpfb2")
    surface = np.concatenate([mesh.groups[name] for name in SURFACE])
    every = face_units(root / "faceunits01/targets/faceunits", len(mesh.vertices))
    units = {name: offsets[surface] for name, offsets in every.items()}
    directions = BodyModel.load().shapedirs[..., 10:].double().numpy()
    for name, mix in MIXES.items():
        found, share = fitted(units, mix, directions)
        log.info("%-10s %3.0f %%  %s", name, 100 * share, tuple(np.round(found, 2).tolist()))


if __name__ == "__main__":
    main()
