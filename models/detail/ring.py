"""The ring that neither front nor back shows, filled in the cloth of both by image analogies."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float

from turnaround.models.body.model import BodyModel
from turnaround.models.detail.sides import Side
from turnaround.models.exemplar.analogy import synthesize
from turnaround.models.exemplar.guidance import draw_guides
from turnaround.models.exemplar.sheet import Sheet
from turnaround.pipeline.values.types import Body


def fill(
    sides: Sequence[Side], sources: Sequence[Sheet], body: Body, model: BodyModel, *, seed: int
) -> list[Float[np.ndarray, "_ _ 3"]]:
    """The sides' pictures with what is not known copied from the sources, patch by patch; one thread a side.

    Args:
        sides: pictures that are known in part; the rest has the surface's own colours.
        sources: `photo_sheet`s of pictures whose patches are copied: the photo and the view from behind.
        body: posed, which tells the limbs apart.
        model: of the body.
        seed: of the search.
    """
    targets = [_sheet(side, body, model) for side in sides]
    with ThreadPoolExecutor(len(targets)) as threads:
        return list(threads.map(lambda target: synthesize(sources, target, seed=seed), targets))


def _sheet(side: Side, body: Body, model: BodyModel) -> Sheet:
    guides = draw_guides(body, model, side.sight.camera)
    return Sheet(
        side.image, side.image, guides.position, guides.part, guides.normal, side.sight.hit, side.known
    )
