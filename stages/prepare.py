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
    landmarks: Literal["auto", "blazepose", "none"] = Field(
        "auto", description="networks trained on photographs that say who is where and how they stand; auto: where they were fetched"
    )
    landmark_network: Literal["heavy", "full", "lite"] = Field("heavy", description="the larger, the better; 70, 25 or 15 ms a look")


class Prepare(Stage[PrepareConfig]):
    """Finds the person and cuts them out."""

    name, version = "prepare", 3
    needs = {"image": "photo.image", "mask": "photo.mask"}
    accepts = {"mask": "mask"}
    makes = {"view": "View", "mask": "Image", "overlay": "Image", "landmarks": "Trace"}
    device = "gpu"
    Config = PrepareConfig

    def weights(self) -> tuple[str, ...]:
        """The matting network's, unless it comes from the hub, and the landmark networks' that are used."""
        matting = (self.config.weights,) if self.config.matting == "embedded" else ()
        return (*matting, *landmark_networks(self.config))

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
        landmarks = self._landmarks(image, pixels.shape[1], soft, square)
        return {"view": view, "mask": cut, "overlay": overlay(behind, cut), "landmarks": landmarks}

    def _landmarks(self, image: bytes, width: int, soft: np.ndarray, square: Square) -> dict[str, Any]:
        """The record of the person of the mask, in pixels of the view."""
        import numpy as np

        from models.landmarks.people import complete, find_poses
        from models.landmarks.record import absent, as_record
        from models.landmarks.region import Picture
        from pipeline.photo import decode

        if not landmark_networks(self.config):
            return absent("landmark networks are not there or not wanted")
        pixels, alpha = decode(image, "the photo")
        if alpha is not None:
            pixels = pixels * alpha[..., None] + 1 - alpha[..., None]
        picture, variant = Picture(np.round(pixels * 255).astype(np.uint8)), self.config.landmark_network
        ratio = width / picture.width

        def inside(pose: Any) -> float:
            x, y = np.floor(pose.xy[11:] * ratio).astype(int).T
            x, y = x.clip(0, soft.shape[1] - 1), y.clip(0, soft.shape[0] - 1)
            return float(soft[y, x].mean())

        poses = find_poses(picture, variant)
        if not poses:
            return absent("no person was found by the landmark networks")
        person = complete(picture, max(poses, key=inside), variant)
        corner = (square[0] / ratio, square[1] / ratio)
        return as_record(person, corner, self.config.size / (square[2] / ratio), variant)

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


def landmark_networks(config: PrepareConfig) -> tuple[str, ...]:
    """The fetched networks that a configuration uses; () without landmarks, or where auto does not find them."""
    from models.landmarks.files import available

    parts = ("palm_detection", "hand_landmark", "face_detection", "face_landmark")
    names = ("pose_detection", f"pose_landmark_{config.landmark_network}", *parts)
    wanted = config.landmarks == "blazepose" or (config.landmarks == "auto" and available(names))
    return names if wanted else ()


def _usual(shape: tuple[int, ...], person: Person) -> bool:
    """Whether a cut-out already has the framing of the project's own pictures."""
    height = person.box[2] - person.box[0]
    return abs(shape[0] - shape[1]) <= 0.02 * shape[1] and 0.45 <= height <= 0.92
