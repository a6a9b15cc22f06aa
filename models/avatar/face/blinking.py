"""Blinks of a person who stands and waits."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.face.presets import PRESETS, knows_presets
from turnaround.pipeline.values.motion import Motion

EVERY = 3.0  # seconds from one blink to the next, about; whole ones are fitted into a clip
FIRST = 0.4  # of that time, when the first one comes: a clip that repeats begins with open eyes
CLOSING, CLOSED, OPENING = 0.08, 0.05, 0.16  # seconds


def blinking(motion: Motion, avatar: Avatar) -> Motion:
    """The motion of a person, who blinks; as it is where their face is not known, or moves already."""
    still = not bool(motion.body.expression.any())
    if avatar.face is None or not still or len(motion) < 2 or not knows_presets(avatar.model):
        return motion
    lids = torch.tensor(PRESETS["blink"].expression)
    shut = closed(torch.arange(len(motion)) / motion.fps, motion.duration)
    return replace(motion, body=replace(motion.body, expression=shut[:, None] * lids))


def closed(time: Float[Tensor, " f"], duration: float) -> Float[Tensor, " f"]:
    """How far the lids are shut at times in seconds of a clip so long: 0 is open, 1 shut."""
    period = duration / max(1, round(duration / EVERY))
    since = time - period * FIRST
    since = since - period * (since / period).floor()
    down = (since / CLOSING).clamp(0, 1)
    up = ((since - CLOSING - CLOSED) / OPENING).clamp(0, 1)
    return down * down * (3 - 2 * down) - up * up * (3 - 2 * up)
