"""Who of a photo is meant, where they are, and what is to be said of it; for `prepare` and `people`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeVar

from turnaround.pipeline.stage import StageError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from turnaround.models.landmarks.framing import Finding
    from turnaround.models.matting.cutout import Square
    from turnaround.models.matting.model import MaskNetwork
    from turnaround.models.matting.pieces import Person
    from turnaround.models.matting.scene import Scene, Somebody
    from turnaround.pipeline.values.fit import Cause
    from turnaround.pipeline.values.types import Camera
    from turnaround.stages.prepare import PrepareConfig

log = logging.getLogger(__name__)

# contact with a border above which a person is cut off
LIMITS = {"top": 0.3, "bottom": 0.35, "left": 0.2, "right": 0.2}
SMALL = 1e-4  # of the photo's area: of a person in a mask that was given, or found by a close look
_MASK = "put a mask beside it (NAME.mask.png, person white)"
NOBODY = f"no person was found in the photo; use one that shows a whole person, or {_MASK}"
REMEDY = "use one that shows them whole, or accept a guess with --set stages.prepare.allow_truncated=true"


class Placed(Protocol):
    """Something of a photo with a place from left to right."""

    @property
    def centre_x(self) -> float:
        """Of its middle."""
        ...


P = TypeVar("P", bound=Placed)


@dataclass(frozen=True)
class Located:
    """The person of a photo."""

    scene: Scene  # turned so that they stand upright
    soft: np.ndarray  # their soft mask (h, w) in it
    square: Square  # the canonical camera's picture
    close: Square  # what to cut of it: the person fills it
    somebody: Somebody | None  # as the landmark networks see them
    quarters: int = 0  # turns of the scene, counter-clockwise
    doubts: tuple[Cause, ...] = ()  # what speaks against a good result

    def camera(self, size: int) -> Camera:
        """The canonical camera, looking at `close` alone with `size` pixels."""
        from turnaround.pipeline.values.camera import canonical_camera, cropped

        (x, y, side), (left, top, close) = self.square, self.close
        scale = size / side
        return cropped(canonical_camera(size), ((left - x) * scale, (top - y) * scale), close * scale, size)


@dataclass(frozen=True)
class Locator:
    """Finds the person of a photo by the settings of `prepare`."""

    config: PrepareConfig
    device: torch.device

    def locate(self, image: bytes, mask: bytes | None) -> Located:
        """Find the person that the settings ask for; StageError where there is nobody, or no clear one."""
        from turnaround.models.matting.scene import owner

        scene, people = self.opened(image, mask)
        if scene.given is None:
            if not people:
                return self._stands_out(scene)
            return self._seen(scene, chosen(self.config.person, people, len(people) - 1), people)
        somebody = owner(people, self._piece(scene.given, fill_holes=False)[1])
        if somebody is not None:
            return self._seen(scene, somebody, people)
        if landmark_networks(self.config):
            log.warning("landmark networks see nobody in the given mask: it is believed, the pose guessed")
        return self._stands_out(scene)

    def opened(self, image: bytes, mask: bytes | None) -> tuple[Scene, list[Somebody]]:
        """Decode a photo, find who is in it, and see whether the mask that came with it fits them.

        A mask that surely means something else than it says is mended; StageError for one of something else.
        """
        from turnaround.models.matting.given.believed import Contradiction, comparable, judged
        from turnaround.models.matting.scene import open_scene
        from turnaround.pipeline.photos.photo import encode_mask

        raw = mask
        if mask is not None and not self.config.trust:
            mask, raw = self._drawn(mask, image)
        scene = open_scene(image, mask)
        people = self.people(scene)
        if scene.given is None or self.config.trust:
            return scene, people
        networks = bool(landmark_networks(self.config))
        if networks and not people and scene.cut_out:
            image, people = self._hidden(image, scene)
        try:
            own = None if networks else lambda: self.mask_of_all(scene)
            verdict = judged(image, mask, scene, people, own, raw=raw)
        except Contradiction as error:
            raise StageError(str(error)) from error
        if not verdict.said:
            return scene, people
        log.warning("%s; --set stages.prepare.trust=true believes it as it is", verdict.said)
        scene = open_scene(verdict.image, verdict.mask)
        if verdict.person is not None:
            theirs = encode_mask(self.told(scene, people[verdict.person]))
            return open_scene(verdict.image, theirs), people
        if scene.given is None:
            people = comparable(people)
            if networks and not people:
                raise StageError(NOBODY)
        return scene, people

    def _hidden(self, image: bytes, scene: Scene) -> tuple[bytes, list[Somebody]]:
        """Whom an alpha channel hides, and the photo without it; the photo as it is where it hides nobody.

        StageError where it shows all but somebody, and nobody is there.
        """
        from turnaround.models.matting.given.believed import on_border
        from turnaround.models.matting.given.mends import bare
        from turnaround.models.matting.scene import everybody, open_scene

        assert scene.given is not None
        if not on_border(scene.given):
            return image, []
        image = bare(image)
        people = everybody(open_scene(image, None), self.config.landmark_network)
        if not people:
            raise StageError(NOBODY)
        return image, people

    def _drawn(self, mask: bytes, image: bytes) -> tuple[bytes, bytes]:
        """The mask file with its person white, and as it came but for its orientation."""
        from turnaround.models.matting.given.mends import lit, upright

        turned = upright(mask, image)
        if turned is not None:
            log.warning("the mask beside the photo lies as the photo is stored: it is turned with it")
            mask = turned
        bright, level = lit(mask)
        if level < 1:
            whites = 100 * level
            log.warning("the mask beside the photo is at most %.0f %% white: that is the person", whites)
        return bright, mask

    def people(self, scene: Scene) -> list[Somebody]:
        """Find the people of comparable size, the largest first; [] where no landmark networks are used."""
        from turnaround.models.matting.scene import everybody

        if not landmark_networks(self.config):
            if self.config.landmarks == "auto":
                _tell_what_is_missing(self.config.landmark_network)
            return []
        people = everybody(scene, self.config.landmark_network)
        if not people and scene.given is None:
            raise StageError(NOBODY)
        return people

    def told(self, scene: Scene, somebody: Somebody) -> np.ndarray:
        """Find the soft mask (h, w) of a person whom the landmark networks see."""
        import torch
        from turnaround.models.matting.claim import told_mask

        image = torch.from_numpy(scene.pixels).to(self.device)
        return told_mask(self._network(), image, somebody.mask, somebody.others).cpu().numpy()

    def mask_of_all(self, scene: Scene) -> np.ndarray:
        """Find the soft mask (h, w) of all people by the matting network; it takes what stands out."""
        import torch
        from turnaround.models.matting import person_mask
        from turnaround.models.matting.model import small_person_mask
        from turnaround.models.matting.pieces import find_people

        network, image = self._network(), torch.from_numpy(scene.pixels).to(self.device)
        mask = person_mask(network, image).cpu().numpy()
        return mask if find_people(mask) else small_person_mask(network, image).cpu().numpy()

    def _seen(self, scene: Scene, somebody: Somebody, people: Sequence[Somebody]) -> Located:
        """A person whom the landmark networks see, among all those whom they see."""
        import numpy as np
        from turnaround.models.landmarks.framing import extent, findings
        from turnaround.models.matting.close import close_square
        from turnaround.models.matting.pieces import person_of, reduced
        from turnaround.models.matting.scene import stood_upright
        from turnaround.stages import doubts

        quarters, before = 0, somebody
        # a frame that is kept has its own camera
        if self.config.turn == "auto" and self.config.framing != "frame":
            scene, somebody, quarters = stood_upright(scene, somebody, self.config.landmark_network)
        if quarters:
            kept = "--set stages.prepare.turn=never keeps it as it is"
            log.warning("the person %s: the photo is turned upright; %s", doubts.POSTURE[quarters], kept)
        said = findings(somebody.pose, *scene.shape)
        tell(said, self.config.allow_truncated)
        if scene.given is None:
            soft = self.told(scene, somebody)
        else:
            _, soft = self._piece(scene.given, fill_holes=False)
        small = reduced(soft)
        if not (small > 0.5).any():
            raise StageError(NOBODY)
        person = person_of(small > 0.5, small)
        if any(finding.outside for finding in said):
            person = _with_the_rest(person, extent(somebody.pose), scene.shape)
        others = [other.pose for other in people if other is not before]
        causes = [
            *doubts.of_findings(said),
            *doubts.of_posture(somebody.pose, quarters),
            *doubts.of_company(np.rot90(soft, -quarters), before.pose, others),
            *doubts.of_size(soft, scene),
        ]
        square, close = self._square(scene, soft, person), close_square(soft)
        return Located(scene, soft, square, close, somebody, quarters, _told_of(causes, said))

    def _stands_out(self, scene: Scene) -> Located:
        """The person of a mask alone: of the given one, or of the matting network's."""
        from turnaround.models.matting.close import close_square
        from turnaround.stages import doubts

        mask = self.mask_of_all(scene) if scene.given is None else scene.given
        person, soft = self._piece(mask, fill_holes=scene.given is None)
        touched, cut_off = check_borders(person, scene.given is not None, self.config.allow_truncated)
        causes = _told_of([*doubts.of_outline(person, touched, cut_off), *doubts.of_size(soft, scene)])
        square, close = self._square(scene, soft, person), close_square(soft)
        return Located(scene, soft, square, close, None, doubts=causes)

    def _piece(self, soft: np.ndarray, *, fill_holes: bool) -> tuple[Person, np.ndarray]:
        """The person that the settings ask for, of a mask of all people, and their mask (h, w)."""
        from turnaround.models.matting.pieces import find_people, only, rivals

        people = find_people(soft) or find_people(soft, SMALL)
        if not people:
            raise StageError(NOBODY)
        person = chosen(self.config.person, people, len(rivals(people)))
        return person, only(person, soft, fill_holes=fill_holes)

    def _square(self, scene: Scene, soft: np.ndarray, person: Person) -> Square:
        from turnaround.models.matting.cutout import frame_square, person_square, usual_framing

        framing = self.config.framing
        if framing == "auto":
            framing = "frame" if scene.cut_out and usual_framing(scene.shape, person) else "person"
        return frame_square(scene.shape) if framing == "frame" else person_square(soft, person)

    def _network(self) -> MaskNetwork:
        from turnaround.models.matting import HubMatting, load_matting

        config = self.config
        if config.matting == "embedded":
            return load_matting(config.weights, self.device)
        if not config.hub_model:
            raise StageError("matting=hub needs a model: --set stages.prepare.hub_model=FOLDER_OR_HUB_ID")
        network = HubMatting.load(config.hub_model, config.labels, local_only=config.local_files_only)
        return network.to(self.device)


def landmark_networks(config: PrepareConfig) -> tuple[str, ...]:
    """Name the fetched networks that the settings use; () without, or where auto does not find them all."""
    from turnaround.models.landmarks.files import available

    names = _network_names(config.landmark_network)
    wanted = config.landmarks == "blazepose" or (config.landmarks == "auto" and available(names))
    return names if wanted else ()


def chosen(wanted: str, people: Sequence[P], rivals: int) -> P:
    """Choose among people, the largest first.

    Args:
        wanted: auto, largest, left, right, or a number from the left.
        rivals: how many besides the largest could be meant; auto refuses any.
    """
    in_order = sorted(people, key=lambda person: person.centre_x)
    known = f"largest, left, right or 0..{len(in_order) - 1}"
    if wanted == "auto":
        if rivals:
            one = f"choose one with --set stages.prepare.person=largest|left|right|0..{len(in_order) - 1}"
            found = f"{rivals + 1} people of comparable size are in the photo"
            raise StageError(f"{found}; do each of them with `run --people all`, or {one}")
        return people[0]
    if wanted in ("largest", "left", "right"):
        return {"largest": people[0], "left": in_order[0], "right": in_order[-1]}[wanted]
    if wanted.isdigit() and int(wanted) < len(in_order):
        return in_order[int(wanted)]
    raise StageError(f"stages.prepare.person={wanted!r}: expected auto, {known}")


def tell(said: Sequence[Finding], allow_truncated: bool) -> None:
    """Warn of what the landmarks say; StageError where a large part of the person is outside of the photo."""
    for finding in said:
        if finding.truncated and not allow_truncated:
            raise StageError(f"{finding.text}; {REMEDY}")
        log.warning("%s%s", finding.text, ": the rest will be guessed" if finding.truncated else "")


def _told_of(causes: Sequence[Cause], said: Sequence[Finding] = ()) -> tuple[Cause, ...]:
    """The same, after warning of those of which `tell` and others have not."""
    told = {"at_border", "cut_off", "turned", *(finding.code for finding in said)}
    for cause in causes:
        if cause.code not in told:
            log.warning("%s; %s", cause.sentence, cause.remedy)
    return tuple(causes)


def check_borders(person: Person, given: bool, allow_truncated: bool) -> tuple[list[str], list[str]]:
    """Warn where a little of a mask's person is cut off; StageError where much is.

    Returns:
        the photo's sides that the person touches, and those at which much is missing, which was allowed.
    """
    from turnaround.models.matting.pieces import cut_sides

    sides = cut_sides(person)
    if not sides:
        return [], []
    if given and len(sides) >= 3:
        touched = ", ".join(sides)
        log.warning("the cut-out touches %s of its picture: taken as trimmed, not as cut off", touched)
        return [], []
    much = [name for name, contact in sides.items() if contact > LIMITS[name]]
    if much and not allow_truncated:
        raise StageError(f"the person is cut off at the {' and '.join(much)} of the photo; {REMEDY}")
    log.warning("the person touches the photo's %s: what is outside will be guessed", ", ".join(sides))
    return list(sides), much


def _network_names(variant: str) -> tuple[str, ...]:
    parts = ("palm_detection", "hand_landmark", "face_detection", "face_landmark")
    return ("pose_detection", f"pose_landmark_{variant}", *parts)


@lru_cache(maxsize=1)
def _tell_what_is_missing(variant: str) -> None:
    """Warn once a process."""
    from turnaround.models.landmarks.files import available

    missing = ", ".join(name for name in _network_names(variant) if not available([name]))
    cost = "without them bodies on photographs are often wrong"
    log.warning("landmark networks are missing (%s): %s; get them with `turnaround fetch`", missing, cost)


def _with_the_rest(person: Person, extent: Sequence[float], shape: tuple[int, int]) -> Person:
    """The person with a box (of shares of the photo) that also holds what lies outside."""
    top, left, bottom, right = (value / shape[k % 2] for k, value in enumerate(extent))
    box = person.box
    return replace(person, box=(min(box[0], top), min(box[1], left), max(box[2], bottom), max(box[3], right)))
