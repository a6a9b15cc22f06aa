"""Stage 01: photo -> a close view of one person over white, with mask, camera and landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from turnaround.models.location.config import LocationConfig, landmark_networks
from turnaround.models.matting.config import weight_of
from turnaround.pipeline.stage import Image, Stage, StageConfig, Trace

if TYPE_CHECKING:
    import torch

    from turnaround.pipeline.values.types import View


class PrepareConfig(LocationConfig, StageConfig):
    """Settings of `prepare`."""

    size: int = Field(
        default=1024, ge=64, le=2048, description="pixels of the square picture, which the person fills"
    )


class Prepare(Stage[PrepareConfig]):
    """Finds the person and cuts them out."""

    name, version = "prepare", 6
    needs = {"image": "photo.image", "mask": "photo.mask"}
    accepts = {"mask": "mask"}
    device = "gpu"
    Config = PrepareConfig
    moved = {
        "weights": "matting.weights",
        "hub_model": "matting.model",
        "labels": "matting.labels",
        "local_files_only": "matting.local_files_only",
        "landmark_network": "landmarks.network",
    }

    class Outputs(NamedTuple):
        """One person, cut out."""

        view: View
        mask: Image  # that of the view
        overlay: Image  # the mask over what the camera took
        landmarks: Trace  # in pixels of the view
        doubts: Trace  # what speaks against a good result

    def weights(self) -> tuple[str, ...]:
        """The matting network's, of the hub too, and the landmark networks' that are used."""
        return (weight_of(self.config.matting), *landmark_networks(self.config))

    def run(self, *, device: torch.device, image: bytes, mask: bytes | None) -> Outputs:
        """One person over white; StageError where there is nobody, or no clear one."""
        from turnaround.models.location.person import cut_out

        return self.Outputs(*cut_out(image, mask, self.config, self.config.size, device))

    def beside(self, output: str, value: bytes, *, device: torch.device, **inputs: Any) -> bytes:
        """A mask of the whole photo whose close view has the mask `value`; one of the photo's shape is taken
        as it is."""
        from turnaround.models.location.person import whole_mask

        image, mask = inputs["image"], inputs["mask"]
        return whole_mask(value, image, mask, self.config, self.config.size, device)
