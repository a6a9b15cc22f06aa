"""The ring that neither front nor back shows, filled in the cloth of both by image analogies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from models.body import BodyModel
from models.detail.sides import Side
from models.exemplar.analogy import synthesize
from models.exemplar.guidance import draw_guides
from models.exemplar.sheet import Sheet
from pipeline.types import Body


def fill(side: Side, sources: Sequence[Sheet], body: Body, model: BodyModel, *, seed: int) -> Float[np.ndarray, "h w 3"]:
    """The side's picture with what is not known copied from the sources, patch by patch.

    Args:
        side: a picture that is known in part; the rest has the surface's own colours.
        sources: `photo_sheet`s of pictures whose patches are copied: the photo and the view from behind.
        body: posed, which tells the limbs apart.
        model: of the body.
        seed: of the search.
    """
    person, known = side.sight.hit, side.known
    if not (person & ~known).any():
        return side.image
    guides = draw_guides(body, model, side.sight.camera)
    target = Sheet(side.image, side.image, guides.position, guides.part, guides.normal, person, known)
    return synthesize(sources, target, seed=seed)
