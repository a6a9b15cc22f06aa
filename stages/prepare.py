"""Stage 01: photo -> a close view of one person over white, with mask, camera and landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from turnaround.models.location.config import LandmarkNetworks, LocationConfig, landmark_networks
from turnaround.models.matting.config import EmbeddedMatting
from turnaround.pipeline.stage import Image, Stage, StageConfig, Trace

if TYPE_CHECKING:
    import torch

    from turnaround.models.location.locator import Located
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
        networks, matting = landmark_networks(self.config), self.config.matting
        if isinstance(matting, EmbeddedMatting):
            return (matting.weights, *networks)
        from turnaround.models.hub_source import weight_name

        return (weight_name(matting.model, local_only=matting.local_files_only), *networks)

    def run(self, *, device: torch.device, image: bytes, mask: bytes | None) -> Outputs:
        """One person over white; StageError where there is nobody, or no clear one."""
        from turnaround.models.location.locator import Locator
        from turnaround.models.matting.close import part_under
        from turnaround.models.matting.cutout import cut_square
        from turnaround.pipeline.formats.preview import overlay
        from turnaround.pipeline.values.fit import causes_to_json
        from turnaround.pipeline.values.types import View

        size = self.config.size
        found = Locator(self.config, device).locate(image, mask)
        part = part_under(found.scene, found.soft, found.close, size)
        colors, cut = cut_square(part.pixels, part.mask, part.square, size, straight=False)
        white = colors * cut[..., None] + 1 - cut[..., None]
        view = View(white, cut, found.camera(size))
        behind = white
        if not found.scene.cut_out:
            behind = cut_square(part.pixels, None, part.square, size, straight=True)[0]
        doubts = {"causes": causes_to_json(found.doubts)}
        return self.Outputs(view, cut, overlay(behind, cut), self._landmarks(found), doubts)

    def _landmarks(self, found: Located) -> Trace:
        """The person's, in pixels of the view."""
        from turnaround.models.landmarks.record import absent
        from turnaround.models.matting.scene import landmarks_in

        if found.somebody is None:
            used = landmark_networks(self.config)
            return absent("nobody is seen in the mask" if used else "no landmark networks")
        assert isinstance(self.config.landmarks, LandmarkNetworks)
        network = self.config.landmarks.network
        return landmarks_in(found.scene, found.somebody, found.close, self.config.size, network)

    def beside(self, output: str, value: bytes, *, device: torch.device, **inputs: Any) -> bytes:
        """A mask of the whole photo whose close view has the mask `value`; one of the photo's shape is taken
        as it is."""
        import numpy as np

        from turnaround.models.location.locator import Locator
        from turnaround.models.matting.cutout import paste_square
        from turnaround.pipeline.photos.photo import decode_mask, encode_mask

        found = Locator(self.config, device).locate(inputs["image"], inputs["mask"])
        size = self.config.size
        edited = decode_mask(value, "the given mask", None)
        if edited.shape != (size, size):
            decode_mask(value, "the given mask", found.scene.turned(-found.quarters).shape)
            return value
        return encode_mask(np.rot90(paste_square(edited, found.close, found.scene.shape), -found.quarters))
