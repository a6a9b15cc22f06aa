"""Finds the person of a photo by the settings of `prepare`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from turnaround.models.landmarks import files
from turnaround.models.landmarks.framing import extent, findings
from turnaround.models.landmarks.pose import Variant
from turnaround.models.location import doubts
from turnaround.models.location.choice import NOBODY, SMALL, check_borders, chosen, tell, told_of
from turnaround.models.location.config import LandmarkNetworks, LocationConfig, landmark_networks
from turnaround.models.matting.claim import told_mask
from turnaround.models.matting.close import close_square
from turnaround.models.matting.config import EmbeddedMatting
from turnaround.models.matting.cutout import Square, frame_square, person_square, usual_framing
from turnaround.models.matting.given.believed import Contradiction, comparable, judged, on_border
from turnaround.models.matting.given.mends import bare, lit, upright
from turnaround.models.matting.hub import HubMatting
from turnaround.models.matting.model import MaskNetwork, load_matting, person_mask, small_person_mask
from turnaround.models.matting.pieces import Person, find_people, only, person_of, reduced, rivals
from turnaround.models.matting.scene import Scene, Somebody, everybody, open_scene, owner, stood_upright
from turnaround.pipeline.photos.photo import encode_mask
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.camera import canonical_camera, cropped
from turnaround.pipeline.values.fit import Cause
from turnaround.pipeline.values.types import Camera

log = logging.getLogger(__name__)


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
        (x, y, side), (left, top, close) = self.square, self.close
        scale = size / side
        return cropped(canonical_camera(size), ((left - x) * scale, (top - y) * scale), close * scale, size)


@dataclass(frozen=True)
class Locator:
    """Finds the person of a photo by the settings of `prepare`."""

    config: LocationConfig
    device: torch.device

    def locate(self, image: bytes, mask: bytes | None) -> Located:
        """Find the person that the settings ask for; StageError where there is nobody, or no clear one."""
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
        assert scene.given is not None
        if not on_border(scene.given):
            return image, []
        image = bare(image)
        people = everybody(open_scene(image, None), self._variant)
        if not people:
            raise StageError(NOBODY)
        return image, people

    def _drawn(self, mask: bytes, image: bytes) -> tuple[bytes, bytes]:
        """The mask file with its person white, and as it came but for its orientation."""
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
        if not landmark_networks(self.config):
            if isinstance(self.config.landmarks, LandmarkNetworks):
                _tell_what_is_missing(self.config.landmarks.names)
            return []
        people = everybody(scene, self._variant)
        if not people and scene.given is None:
            raise StageError(NOBODY)
        return people

    def told(self, scene: Scene, somebody: Somebody) -> np.ndarray:
        """Find the soft mask (h, w) of a person whom the landmark networks see."""
        image = torch.from_numpy(scene.pixels).to(self.device)
        return told_mask(self._network(), image, somebody.mask, somebody.others).cpu().numpy()

    def mask_of_all(self, scene: Scene) -> np.ndarray:
        """Find the soft mask (h, w) of all people by the matting network; it takes what stands out."""
        network, image = self._network(), torch.from_numpy(scene.pixels).to(self.device)
        mask = person_mask(network, image).cpu().numpy()
        return mask if find_people(mask) else small_person_mask(network, image).cpu().numpy()

    def _seen(self, scene: Scene, somebody: Somebody, people: Sequence[Somebody]) -> Located:
        """A person whom the landmark networks see, among all those whom they see."""
        quarters, before = 0, somebody
        # a frame that is kept has its own camera
        if self.config.turn == "auto" and self.config.framing != "frame":
            scene, somebody, quarters = stood_upright(scene, somebody, self._variant)
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
        return Located(scene, soft, square, close, somebody, quarters, told_of(causes, said))

    def _stands_out(self, scene: Scene) -> Located:
        """The person of a mask alone: of the given one, or of the matting network's."""
        mask = self.mask_of_all(scene) if scene.given is None else scene.given
        person, soft = self._piece(mask, fill_holes=scene.given is None)
        touched, cut_off = check_borders(person, scene.given is not None, self.config.allow_truncated)
        causes = told_of([*doubts.of_outline(person, touched, cut_off), *doubts.of_size(soft, scene)])
        square, close = self._square(scene, soft, person), close_square(soft)
        return Located(scene, soft, square, close, None, doubts=causes)

    def _piece(self, soft: np.ndarray, *, fill_holes: bool) -> tuple[Person, np.ndarray]:
        """The person that the settings ask for, of a mask of all people, and their mask (h, w)."""
        people = find_people(soft) or find_people(soft, SMALL)
        if not people:
            raise StageError(NOBODY)
        person = chosen(self.config.person, people, len(rivals(people)))
        return person, only(person, soft, fill_holes=fill_holes)

    def _square(self, scene: Scene, soft: np.ndarray, person: Person) -> Square:
        framing = self.config.framing
        if framing == "auto":
            framing = "frame" if scene.cut_out and usual_framing(scene.shape, person) else "person"
        return frame_square(scene.shape) if framing == "frame" else person_square(soft, person)

    def _network(self) -> MaskNetwork:
        matting = self.config.matting
        if isinstance(matting, EmbeddedMatting):
            return load_matting(matting.weights, self.device)
        network = HubMatting.load(matting.model, matting.labels, local_only=matting.local_files_only)
        return network.to(self.device)

    @property
    def _variant(self) -> Variant:
        """The size of the body's landmark network, where there is one."""
        assert isinstance(self.config.landmarks, LandmarkNetworks)
        return self.config.landmarks.network


@lru_cache(maxsize=1)
def _tell_what_is_missing(names: tuple[str, ...]) -> None:
    """Warn once a process."""
    missing = ", ".join(name for name in names if not files.available([name]))
    cost = "without them bodies on photographs are often wrong"
    log.warning("landmark networks are missing (%s): %s; get them with `turnaround fetch`", missing, cost)


def _with_the_rest(person: Person, extent: Sequence[float], shape: tuple[int, int]) -> Person:
    """The person with a box (of shares of the photo) that also holds what lies outside."""
    top, left, bottom, right = (value / shape[k % 2] for k, value in enumerate(extent))
    box = person.box
    return replace(person, box=(min(box[0], top), min(box[1], left), max(box[2], bottom), max(box[3], right)))
