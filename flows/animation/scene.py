"""Persons with a motion, each in their own proportions, ready to be drawn or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnaround.flows.animation.edits import Edits
from turnaround.flows.animation.motions import Chosen
from turnaround.flows.animation.rigged import RiggedPerson

if TYPE_CHECKING:
    from turnaround.models.animation.film import Actor
    from turnaround.models.avatar.avatar import Avatar
    from turnaround.pipeline.values.motion import Motion

STANDING = "idle"
HIGHEST = 0.12  # metres below the soles that are shoes
RIM = 0.95  # quantile of the heights of a foot's surface that is its lower rim


@dataclass(frozen=True)
class Mover:
    """A person as changed, with the motion of their proportions."""

    person: RiggedPerson
    avatar: Avatar
    motion: Motion
    scale: float


def mover(person: RiggedPerson, chosen: Chosen, edits: Edits) -> Mover:
    """Change a person, and bring the motion to their proportions, their feet on the ground."""
    avatar, scale = edits.applied(person.avatar)
    return Mover(person, avatar, fitted(chosen, avatar), scale)


def fitted(chosen: Chosen, avatar: Avatar) -> Motion:
    """A motion in a person's proportions; who only stands there blinks."""
    from turnaround.models.avatar.face.blinking import blinking
    from turnaround.models.motion.retarget import retarget

    motion = retarget(chosen.motion, avatar.rig.rest.betas, avatar.model)
    return blinking(motion, avatar) if chosen.source == STANDING else motion


def actors(movers: Sequence[Mover]) -> list[Actor]:
    """Those of one scene, in a row; one alone stays where the motion goes."""
    from turnaround.models.animation.film import Actor, side_by_side
    from turnaround.models.animation.skinner import Skinner

    alone = [
        Actor(
            Skinner(each.avatar, each.motion.body), each.scale, (0.0, -each.scale * shoes(each.avatar), 0.0)
        )
        for each in movers
    ]
    return alone if len(alone) == 1 else side_by_side(alone)


def shoes(avatar: Avatar) -> float:
    """Metres that the person stands higher than their body alone would: what is below its soles.

    By the lower rim of both feet, the mean of them: in the photo one of them may be seen from above.
    """
    import torch

    from turnaround.models.body.skeleton import JOINT_INDEX
    from turnaround.models.motion.soles import standing_height

    lows = []
    for side in ("left", "right"):
        joints = [JOINT_INDEX[f"{side}_ankle"], JOINT_INDEX[f"{side}_foot"]]
        foot = torch.isin(avatar.rig.mesh.bones[:, 0], torch.tensor(joints))
        if foot.any():
            lows.append(float(avatar.mesh.vertices[foot, 1].quantile(RIM)))
    if not lows:
        return 0.0
    own = float(standing_height(avatar.model, avatar.rig.rest.betas))
    return min(max(sum(lows) / len(lows) - own, 0.0), HIGHEST)


def provenance(movers: Sequence[Mover], edits: Edits, settings: dict[str, Any]) -> dict[str, Any]:
    """What a file says of itself: the program, the runs that it shows, the motion, what was changed."""
    from importlib.metadata import version

    people = {each.person.name: each.person.key for each in movers}
    said = {"program": f"turnaround {version('turnaround')}", "rigs": people, **settings}
    return said | ({"changed": edits.as_json()} if edits != Edits() else {})
