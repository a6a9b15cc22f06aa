"""Before the stages: the people of a photo, each with a mask of their own (`turnaround run --people all`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from turnaround.pipeline.stage import Image, Images, Stage, StageError
from turnaround.stages.prepare import Prepare, PrepareConfig

if TYPE_CHECKING:
    import numpy as np
    import torch

    from turnaround.models.location.locator import Locator
    from turnaround.models.matting.scene import Scene, Somebody


class People(Stage[PrepareConfig]):
    """Finds everybody of comparable size, from left to right.

    Not one of the eight: what it makes becomes given masks.
    """

    name, version = "people", 4
    needs = {"image": "photo.image", "mask": "photo.mask"}
    device = "gpu"
    Config = PrepareConfig

    class Outputs(NamedTuple):
        """Everybody."""

        masks: Images  # "1", "2", ... from left to right, at the photo's size (at most 2,048 px)
        overlay: Image  # all of them over the photo

    def weights(self) -> tuple[str, ...]:
        """As of `prepare`."""
        return Prepare(self.config).weights()

    def run(self, *, device: torch.device, image: bytes, mask: bytes | None) -> Outputs:
        """A soft mask for each person; StageError where nobody is found."""
        import numpy as np
        import torch

        from turnaround.models.location.choice import NOBODY
        from turnaround.models.location.locator import Locator
        from turnaround.pipeline.formats.preview import overlay

        locator = Locator(self.config, device)
        scene, seen = locator.opened(image, mask)
        people = _masks(locator, scene, seen)
        if not people:
            raise StageError(NOBODY)
        everyone = torch.from_numpy(np.max(people, axis=0))
        shown = overlay(torch.from_numpy(scene.pixels), everyone)
        masks = {str(k): torch.from_numpy(person) for k, person in enumerate(people, 1)}
        return self.Outputs(masks, shown)


def _masks(locator: Locator, scene: Scene, seen: Sequence[Somebody]) -> list[np.ndarray]:
    """The soft mask (h, w) of each person, from left to right: by landmarks, or of a mask taken apart."""
    from turnaround.models.matting.apart import people_apart

    if scene.given is not None:
        return people_apart(scene.given)
    if seen:
        in_order = sorted(seen, key=lambda somebody: somebody.centre_x)
        return [locator.told(scene, somebody) for somebody in in_order]
    return people_apart(locator.mask_of_all(scene), fill_holes=True)
