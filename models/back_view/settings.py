"""How a back view is refined."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How a picture is refined."""

    strength: float  # share of the noise schedule that is added and taken away again; 0: no diffusion
    steps: int  # of the whole schedule; strength * steps are run, but at least one
    guidance: float  # classifier-free guidance, 1 = none
    control: float  # weight of the ControlNet
    seed: int
    keep_detail: (
        bool  # add only what the diffusion changed, so that the VAE's loss does not touch the picture
    )
    noise: float = (
        1.0  # amplitude of the noise relative to the schedule's; a weak denoiser leaves less of less noise
    )
    amount: float = 1.0  # share of the change that is added, with keep_detail
    keep_color: bool = (
        False  # slow changes of colour are left out, with keep_detail (the colour fix of StableSR)
    )

    @property
    def schedule(self) -> int:
        """Steps of the whole schedule, so many that one at least is run."""
        return max(self.steps, math.ceil(1 / self.strength)) if self.strength > 0 else self.steps
