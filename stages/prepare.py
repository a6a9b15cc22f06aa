"""Stage 01: photo -> a close view of one person over white, with mask, camera and landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from turnaround.pipeline.stage import Stage, StageConfig

if TYPE_CHECKING:
    import torch
    from turnaround.stages.locating import Located


class PrepareConfig(StageConfig):
    """Settings of `prepare`."""

    size: int = Field(
        1024, ge=64, le=2048, description="pixels of the square picture, which the person fills"
    )
    matting: Literal["embedded", "hub"] = Field(
        "embedded",
        description="network for photos without alpha channel or mask beside them",
    )
    weights: str = Field("matting", description="embedded weight, or the path of a safetensors file")
    hub_model: str = Field(
        "",
        description="folder or hub id of a transformers semantic segmentation model (matting=hub)",
    )
    labels: tuple[str, ...] = Field((), description="its labels that are the person; empty = 'person'")
    local_files_only: bool = Field(False, description="never ask the hub")
    person: str = Field(
        "auto",
        description="auto (one clear person), largest, left, right, or a number from the left, 0 first",
    )
    framing: Literal["auto", "person", "frame"] = Field(
        "auto",
        description="person: the canonical camera stands where it usually does before the person; "
        "frame: it is the one that took the frame; "
        "auto: frame for square cut-outs with the person at a usual height, else person",
    )
    allow_truncated: bool = Field(
        False,
        description="go on with people whose larger part is outside of the picture",
    )
    landmarks: Literal["auto", "blazepose", "none"] = Field(
        "auto",
        description="networks that have seen photographs say who stands where and how; auto: where fetched",
    )
    turn: Literal["auto", "never"] = Field(
        "auto",
        description="auto: a photo is turned by quarters where the person is upside down or on their side",
    )
    trust: bool = Field(
        False,
        description="believe an alpha channel or given mask as it is, without comparing it with the picture",
    )
    landmark_network: Literal["heavy", "full", "lite"] = Field(
        "heavy",
        description="size of the body's landmark network: the heavier, the better and the slower",
    )


class Prepare(Stage[PrepareConfig]):
    """Finds the person and cuts them out."""

    name, version = "prepare", 5
    needs = {"image": "photo.image", "mask": "photo.mask"}
    accepts = {"mask": "mask"}
    makes = {"view": "View", "mask": "Image", "overlay": "Image", "landmarks": "Trace", "doubts": "Trace"}
    device = "gpu"
    Config = PrepareConfig

    def weights(self) -> tuple[str, ...]:
        """The matting network's, of the hub too, and the landmark networks' that are used."""
        from turnaround.models.hub_source import weight_name
        from turnaround.stages.locating import landmark_networks

        c = self.config
        hub = (
            (weight_name(c.hub_model, local_only=c.local_files_only),) if c.hub_model else ()
        )  # without one `run` says so
        matting = (c.weights,) if c.matting == "embedded" else hub
        return (*matting, *landmark_networks(self.config))

    def run(self, *, device: torch.device, image: bytes, mask: bytes | None) -> dict[str, Any]:
        """Values of `makes`; StageError where there is nobody, or no clear one."""
        from turnaround.models.matting.close import part_under
        from turnaround.models.matting.cutout import cut_square
        from turnaround.pipeline.formats.preview import overlay
        from turnaround.pipeline.values.fit import causes_to_json
        from turnaround.pipeline.values.types import View
        from turnaround.stages.locating import Locator

        size = self.config.size
        found = Locator(self.config, device).locate(image, mask)
        part = part_under(found.scene, found.soft, found.close, size)
        colors, cut = cut_square(part.pixels, part.mask, part.square, size, straight=False)
        white = colors * cut[..., None] + 1 - cut[..., None]
        view = View(white, cut, found.camera(size))
        behind = white
        if not found.scene.cut_out:
            behind = cut_square(part.pixels, None, part.square, size, straight=True)[0]
        return {
            "view": view,
            "mask": cut,
            "overlay": overlay(behind, cut),
            "landmarks": self._landmarks(found),
            "doubts": {"causes": causes_to_json(found.doubts)},
        }

    def _landmarks(self, found: Located) -> dict[str, Any]:
        """The person's, in pixels of the view."""
        from turnaround.models.landmarks.record import absent
        from turnaround.models.matting.scene import landmarks_in
        from turnaround.stages.locating import landmark_networks

        if found.somebody is None:
            used = landmark_networks(self.config)
            return absent("nobody is seen in the mask" if used else "no landmark networks")
        size, network = self.config.size, self.config.landmark_network
        return landmarks_in(found.scene, found.somebody, found.close, size, network)

    def beside(self, output: str, value: bytes, *, device: torch.device, **inputs: Any) -> bytes:
        """A mask of the whole photo whose close view has the mask `value`; one of the photo's shape is taken
        as it is."""
        import numpy as np
        from turnaround.models.matting.cutout import paste_square
        from turnaround.pipeline.photos.photo import decode_mask, encode_mask
        from turnaround.stages.locating import Locator

        found = Locator(self.config, device).locate(inputs["image"], inputs["mask"])
        size = self.config.size
        edited = decode_mask(value, "the given mask", None)
        if edited.shape != (size, size):
            decode_mask(value, "the given mask", found.scene.turned(-found.quarters).shape)
            return value
        return encode_mask(np.rot90(paste_square(edited, found.close, found.scene.shape), -found.quarters))
