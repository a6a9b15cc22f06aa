"""Which of a photo's people is meant, and whether enough of them is in it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from turnaround.models.landmarks.framing import Finding
from turnaround.models.matting.pieces import Person, cut_sides
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.fit import Cause

log = logging.getLogger(__name__)

# contact with a border above which a person is cut off
LIMITS = {"top": 0.3, "bottom": 0.35, "left": 0.2, "right": 0.2}
SMALL = 1e-4  # of the photo's area: of a person in a mask that was given, or found by a close look
_MASK = "put a mask beside it (NAME.mask.png, person white)"
NOBODY = f"no person was found in the photo; use one that shows a whole person, or {_MASK}"
REMEDY = "use one that shows them whole, or accept a guess with --set stages.prepare.allow_truncated=true"


@runtime_checkable
class Placed(Protocol):
    """Something of a photo with a place from left to right."""

    @property
    def centre_x(self) -> float:
        """Of its middle."""
        ...


P = TypeVar("P", bound=Placed)


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


def told_of(causes: Sequence[Cause], said: Sequence[Finding] = ()) -> tuple[Cause, ...]:
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
