"""Stage 01: photo -> a square picture of one person over white, with mask and camera."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pipeline.stage import Stage, StageConfig, StageError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from models.matting.cutout import Square
    from models.matting.people import Person

log = logging.getLogger(__name__)

LIMITS = {"top": 0.3, "bottom": 0.35, "left": 0.2, "right": 0.2}  # contact with a border above which a person is cut off


class PrepareConfig(StageConfig):
    """Settings of `prepare`."""

    size: int = Field(512, ge=64, le=2048, description="pixels of the square picture")
    matting: Literal["embedded", "hub"] = Field("embedded", description="network for photos without alpha channel or mask beside them")
    weights: str = Field("matting", description="embedded weight, or the path of a safetensors file")
    hub_model: str = Field("", description="folder or hub id of a transformers semantic segmentation model (matting=hub)")
    labels: tuple[str, ...] = Field((), description="its labels that are the person; empty = 'person'")
    local_files_only: bool = Field(False, description="never ask the hub")
    person: str = Field("auto", description="auto (one clear person), largest, left, right, or a number from the left, 0 first")
    framing: Literal["auto", "person", "frame"] = Field(
        "auto", description="person: cut about the person; frame: keep the frame, whose camera is taken to be the canonical one; "
        "auto: frame for square cut-outs with the person at a usual height, else person"
    )  # fmt: skip
    allow_truncated: bool = Field(False, description="go on with people whose larger part is outside of the picture")


class Prepare(Stage[PrepareConfig]):
    """Finds the person and cuts them out."""

    name, version = "prepare", 2
    needs = {"image": "photo.image", "mask": "photo.mask"}
    accepts = {"mask": "mask"}
    makes = {"view": "View", "mask": "Image", "overlay": "Image"}
    device = "gpu"
    Config = PrepareConfig

    def weights(self) -> tuple[str, ...]:
        """The matting network's, unless it comes from the hub."""
        return (self.config.weights,) if self.config.matting == "embedded" else ()

    def run(self, *, device: torch.device, image: bytes, mask: bytes | None) -> dict[str, Any]:
        """Values of `makes`; StageError where there is nobody, or no clear one."""

        from models.matting.cutout import cut_square
        from pipeline.camera import canonical_camera
        from pipeline.preview import overlay
        from pipeline.types import View

        pixels, soft, square, cut_out = self._locate(image, mask, device)
        colors, cut = cut_square(pixels, soft, square, self.config.size, straight=cut_out)
        white = colors * cut[..., None] + 1 - cut[..., None]
        view = View(white, cut, canonical_camera(self.config.size))
        behind = white if cut_out else cut_square(pixels, None, square, self.config.size, straight=True)[0]
        return {"view": view, "mask": cut, "overlay": overlay(behind, cut)}

    def beside(self, output: str, value: bytes, *, device: torch.device, **inputs: Any) -> bytes:
        """A mask of the whole photo whose square is `value`; one of the photo's own shape is taken as it is."""
        from models.matting.cutout import paste_square
        from pipeline.photo import decode_mask, encode_mask

        pixels, _, square, _ = self._locate(inputs["image"], inputs["mask"], device)
        size = self.config.size
        edited = decode_mask(value, "the given mask", None)
        if edited.shape != (size, size):
            decode_mask(value, "the given mask", pixels.shape[:2])
            return value
        return encode_mask(paste_square(edited, square, pixels.shape[:2]))

    def _locate(self, image: bytes, mask: bytes | None, device: torch.device) -> tuple[np.ndarray, np.ndarray, Square, bool]:
        """Pixels of the photo, the person's soft mask in it, the square to cut, and whether the photo is a cut-out.

        A cut-out has an alpha channel: its colours are the person's own. A mask beside a photo says nothing of its colours.
        """
        from models.matting.cutout import frame_square, person_square
        from models.matting.people import only

        pixels, soft, given = self.everybody(image, mask, device)
        cut_out = given and mask is None
        person = self._choose(soft)
        self._check_borders(person, given)
        soft = only(person, soft, fill_holes=not given)
        whole_frame = self.config.framing == "frame" or (self.config.framing == "auto" and cut_out and _usual(pixels.shape, person))
        return pixels, soft, frame_square(pixels.shape) if whole_frame else person_square(soft, person), cut_out

    def everybody(self, image: bytes, mask: bytes | None, device: torch.device) -> tuple[np.ndarray, np.ndarray, bool]:
        """Pixels of the photo (at most 2,048 px), the soft mask of all people in it, and whether that was given."""
        from models.matting.cutout import limited
        from pipeline.photo import decode, decode_mask

        pixels, alpha = decode(image, "the photo")
        if mask is not None:
            alpha = decode_mask(mask, "the mask beside the photo", pixels.shape[:2])
        pixels, alpha = limited(pixels, alpha)
        return pixels, alpha if alpha is not None else self._find(pixels, device), alpha is not None

    def _find(self, pixels: np.ndarray, device: torch.device) -> np.ndarray:
        """The network's mask of all people."""
        import torch

        from models.matting import HubMatting, load_matting, person_mask

        config = self.config
        if config.matting == "hub":
            if not config.hub_model:
                raise StageError("matting=hub needs a model: --set stages.prepare.hub_model=FOLDER_OR_HUB_ID")
            network = HubMatting.load(config.hub_model, config.labels, local_only=config.local_files_only)
        else:
            network = load_matting(config.weights, device)
        return person_mask(network.to(device), torch.from_numpy(pixels).to(device)).cpu().numpy()

    def _choose(self, soft: np.ndarray) -> Person:
        """The person that the configuration asks for."""
        from models.matting.people import find_people, rivals

        people = find_people(soft)
        if not people:
            raise StageError(
                "no person was found in the photo; use one that shows a whole person, or put a mask beside it (NAME.mask.png, person white)"
            )
        in_order = sorted(people, key=lambda person: person.centre_x)
        wanted = self.config.person
        if wanted == "auto":
            others = len(rivals(people))
            if others:
                raise StageError(
                    f"{others + 1} people of comparable size are in the photo; do each of them with `run --people all`, or choose one with "
                    f"--set stages.prepare.person=largest|left|right|0..{len(in_order) - 1}"
                )
            return people[0]
        if wanted in ("largest", "left", "right"):
            return {"largest": people[0], "left": in_order[0], "right": in_order[-1]}[wanted]
        if wanted.isdigit() and int(wanted) < len(in_order):
            return in_order[int(wanted)]
        raise StageError(f"stages.prepare.person={wanted!r}: expected auto, largest, left, right or 0..{len(in_order) - 1}")

    def _check_borders(self, person: Person, given: bool) -> None:
        """A warning where a little is cut off, a StageError where much is."""
        from models.matting.people import cut_sides

        sides = cut_sides(person)
        if not sides:
            return
        if given and len(sides) >= 3:
            log.warning("the cut-out touches %s of its picture: taken as trimmed, not as cut off", ", ".join(sides))
            return
        much = [name for name, contact in sides.items() if contact > LIMITS[name]]
        if much and not self.config.allow_truncated:
            raise StageError(
                f"the person is cut off at the {' and '.join(much)} of the photo; use one that shows them whole, or accept a guess "
                f"with --set stages.prepare.allow_truncated=true"
            )
        log.warning("the person touches the photo's %s: what is outside will be guessed", ", ".join(sides))


def _usual(shape: tuple[int, ...], person: Person) -> bool:
    """Whether a cut-out already has the framing of the project's own pictures."""
    height = person.box[2] - person.box[0]
    return abs(shape[0] - shape[1]) <= 0.02 * shape[1] and 0.45 <= height <= 0.92
