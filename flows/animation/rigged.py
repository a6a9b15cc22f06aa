"""The rigged person of a subject, out of the stage `rig`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.manifest import Record
from turnaround.pipeline.store.runs import LinkedRuns

if TYPE_CHECKING:
    from turnaround.models.avatar.avatar import Avatar


@dataclass(frozen=True)
class RiggedPerson:
    """A subject whose stage `rig` is done."""

    name: str
    avatar: Avatar
    key: str  # of the run of the stage, for provenance


def rigged_person(store: LinkedRuns, subject: str) -> RiggedPerson:
    """Load a subject's rig, mesh and Gaussians; CallError says how to make them where they are missing."""
    record = store.linked(subject, "rig")
    if record is None:
        raise CallError(
            f"{subject} has no rig yet: `turnaround rerun rig -s {subject}` makes it, or "
            f"`turnaround status {subject}` tells what is missing before it"
        )
    return RiggedPerson(subject, avatar_of(record, store.linked(subject, "prepare")), record.key)


def avatar_of(rig: Record, prepare: Record | None) -> Avatar:
    """The person of a run of `rig`; their face is where the landmarks of `prepare` say, if there are any."""
    from turnaround.models.avatar.avatar import Avatar
    from turnaround.models.avatar.face.following import with_face
    from turnaround.models.body.named import named_body

    model = named_body(rig.manifest["config"].get("body", "body"))
    avatar = Avatar(model, *(rig.load(output) for output in ("rig", "mesh", "gaussians")))
    if prepare is None or "landmarks" not in prepare.manifest["outputs"]:
        return avatar
    return with_face(avatar, prepare.load("landmarks"), prepare.load("view").camera)
