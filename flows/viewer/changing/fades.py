"""What the page needs to let added Gaussians fade in as `models.avatar.fading` does; its `fading.js` has the
rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int
from torch import Tensor

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.fading import WHOLE
from turnaround.models.avatar.skinning import transforms_of


def pack_fades(avatar: Avatar, about: Int[Tensor, "m 4"]) -> tuple[dict[str, Any], bytes]:
    """The rule's numbers, and the bones about the first m Gaussians of the page.

    Facts: how many these are, the metres at which they show whole, and T_world_rest of the photo's bones, row
    by row. Bytes: the first bones of all, then the second and so on (uint8).
    """
    photo = transforms_of(avatar.bones(avatar.rig.photo))
    facts = {"count": len(about), "whole": WHOLE, "photo": [round(v, 6) for v in photo.ravel().tolist()]}
    return facts, about.numpy().astype(np.uint8).T.tobytes()
