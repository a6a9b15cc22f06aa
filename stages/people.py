"""Before the stages: the people of a photo, each with a mask of their own (`turnaround run --people all`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.stage import Stage, StageError
from stages.prepare import Prepare, PrepareConfig

if TYPE_CHECKING:
    import torch


class People(Stage[PrepareConfig]):
    """Finds everybody of comparable size, from left to right. Not one of the eight: what it makes becomes given masks."""

    name, version = "people", 1
    needs = {"image": "photo.image", "mask": "photo.mask"}
    makes = {"masks": "Images", "overlay": "Image"}
    device = "gpu"
    Config = PrepareConfig

    def weights(self) -> tuple[str, ...]:
        """The matting network's, as of `prepare`."""
        return Prepare(self.config).weights()

    def run(self, *, device: torch.device, image: bytes, mask: bytes | None) -> dict[str, Any]:
        """masks: "1", "2", ... at the photo's size (at most 2,048 px); StageError where nobody is found."""
        import numpy as np

        from models.matting.apart import people_apart
        from pipeline.preview import overlay

        pixels, soft, given = Prepare(self.config).everybody(image, mask, device)
        people = people_apart(soft, fill_holes=not given)
        if not people:
            raise StageError("no person was found in the photo; use one that shows whole people, or put a mask beside it")
        import torch

        everyone = torch.from_numpy(np.max(people, axis=0))
        return {"masks": {str(k): person for k, person in enumerate(people, 1)}, "overlay": overlay(torch.from_numpy(pixels), everyone)}
