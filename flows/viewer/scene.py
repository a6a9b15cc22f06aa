"""What there is to see of a subject, stage by stage, finished or not; knows no server.

Everything stays in our world frame: metres, OpenCV axes (y down), the input camera 2 m before the origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnaround.flows.subjects import memory as subjects
from turnaround.pipeline.store.runs import LinkedRuns
from turnaround.pipeline.store.store import Record, Store, StoreError
from turnaround.pipeline.values.crop import networks_copy
from turnaround.pipeline.values.types import Body, Gaussians, Mesh, TexturedMesh, View

if TYPE_CHECKING:
    from turnaround.models.avatar.avatar import Avatar

STEPS = ("coarse", "refine", "fuse", "mesh", "detail", "texture")  # stages that the slider passes
LABELS = {
    "coarse": "coarse",
    "refine": "refined",
    "fuse": "fused",
    "mesh": "mesh",
    "detail": "detail",
    "texture": "texture",
    "rig": "moving",
}
MESHES = (
    "mesh",
    "texture",
)  # steps that show a mesh first; it was made from the Gaussians of the step before


@dataclass(frozen=True)
class Step:
    """One stop of the stage slider: what the stage made, or why there is nothing."""

    stage: str
    gaussians: Gaussians | None = None
    mesh: Mesh | TexturedMesh | None = None
    missing: str = ""  # a sentence; empty where the stage is there


@dataclass(frozen=True)
class Scene:
    """A subject as it is on disk."""

    subject: str
    steps: tuple[Step, ...]
    view: View | None = None  # the photo, cut out, before the canonical camera
    bodies: tuple[
        Body, ...
    ] = ()  # the estimate, each iteration of the refinement; only estimate and result from older runs
    kept: int = 0  # which of `bodies` the refinement chose
    trace: Mapping[str, Any] = field(default_factory=dict)
    body_model: str = "body"  # 'body' is the free one, else a file
    states: Mapping[str, str] = field(default_factory=dict)  # stage -> "made", or why it is not there
    avatar: Avatar | None = None  # the rigged person, a last stop of the slider

    @property
    def losses(self) -> dict[str, list[float]]:
        """Each loss of the refinement by iteration; the total first."""
        records = self.trace.get("iterations", [])
        names = sorted(
            {name for record in records for name in record} - {"iteration"},
            key=lambda name: (name != "total", name),
        )
        return {name: [float(record.get(name, float("nan"))) for record in records] for name in names}


@dataclass(frozen=True)
class Choice:
    """What the controls say: a stop of the stage slider, a body, and what is switched on."""

    step: int = 0
    iteration: int = 0
    gaussians: bool = True
    mesh: bool = False
    body: bool = False
    camera: bool = False  # its picture is large and easily taken for the result


def open_scene(root: Path, subject: str, store: LinkedRuns | None = None) -> Scene:
    """Read what a subject has; from other runs than its links lead to where `store` says so.

    CallError where the work folder does not know it; missing or damaged stages are named in it.
    """
    memory = subjects.recall(root, subject)
    store = store or Store(root)
    found, states = {}, {}
    rigged = store.linked(subject, "rig") is not None or "rig" in memory.failures
    stops = (*STEPS, "rig") if rigged else STEPS  # subjects of before the stage do without
    for stage in ("prepare", "estimate", *stops):
        record = store.linked(subject, stage)
        failure = memory.failures.get(stage)
        states[stage] = "made" if record else f"failed: {failure}" if failure else "not made yet"
        if record is not None:
            try:
                found[stage] = (
                    _rigged(record, store.linked(subject, "prepare") if "prepare" in found else None)
                    if stage == "rig"
                    else _outputs(stage, record)
                )
            except StoreError as error:
                states[stage] = str(error)
    steps = tuple(
        Step(stage, **found[stage]["step"])
        if stage in found
        else Step(stage, missing=f"{stage}: {states[stage]}")
        for stage in stops
    )
    estimate, refine = found.get("estimate", {}), found.get("refine", {})
    bodies, kept = _bodies(estimate, refine)
    return Scene(
        subject,
        steps,
        _canonical(found.get("prepare", {}).get("view")),
        bodies,
        kept,
        refine.get("trace", {}),
        estimate.get("config", refine.get("config", {})).get("body", "body"),
        states,
        found.get("rig", {}).get("avatar"),
    )


def _outputs(stage: str, record: Record) -> dict[str, Any]:
    """What is shown of a stage's outputs; those that an older version did not make are left out."""
    made = record.manifest["outputs"]
    shown = {
        "prepare": ("view",),
        "estimate": ("body",),
        "coarse": ("gaussians",),
        "refine": ("gaussians", "body", "path", "trace"),
        "fuse": ("gaussians",),
        "mesh": ("mesh",),
        "detail": ("gaussians", "mesh"),
        "texture": ("mesh",),
    }
    values: dict[str, Any] = {name: record.load(name) for name in shown[stage] if name in made}
    values["step"] = {name: values[name] for name in ("gaussians", "mesh") if name in values}
    return values | {"config": record.manifest["config"]}


def _rigged(record: Record, prepare: Record | None) -> dict[str, Any]:
    from turnaround.flows.animation.rigged import avatar_of

    try:
        avatar = avatar_of(record, prepare)
    except (OSError, ValueError) as error:
        raise StoreError(f"rig: its body model is not on this machine ({error})") from error
    return {"step": {"gaussians": avatar.gaussians}, "avatar": avatar}


def _canonical(view: View | None) -> View | None:
    """The photo as the whole frustum of a browser's camera, whose axis goes through the picture's middle."""
    return None if view is None else networks_copy(view, view.camera.width)


def _bodies(estimate: Mapping[str, Any], refine: Mapping[str, Any]) -> tuple[tuple[Body, ...], int]:
    path = refine.get("path")
    if path is not None:
        kept = refine.get("trace", {}).get("kept", "iteration 0").rpartition(" ")[2]
        return tuple(path[i] for i in range(len(path.transl))), int(kept)
    bodies = tuple(made["body"] for made in (estimate, refine) if "body" in made)
    return bodies, len(bodies) - 1 if bodies else 0


def first_choice(scene: Scene) -> Choice:
    """The latest stage with Gaussians, as one wants to see it first."""
    there = [k for k, step in enumerate(scene.steps) if step.gaussians is not None and step.stage != "rig"]
    return moved(scene, Choice(), there[-1] if there else 0)


def moved(scene: Scene, choice: Choice, step: int) -> Choice:
    """The choice after the stage slider: the coarse stage had the estimated body, later ones the refined; a
    mesh replaces Gaussians."""
    mesh = scene.steps[step].stage in MESHES
    iteration = 0 if scene.steps[step].stage == "coarse" else scene.kept
    return replace(choice, step=step, iteration=iteration, gaussians=not mesh, mesh=mesh)


def gaussians_step(scene: Scene, choice: Choice) -> int | None:
    """The step whose Gaussians are on screen: none where they are off or missing; at a mesh those of the step
    before."""
    if not choice.gaussians:
        return None
    step = choice.step - 1 if scene.steps[choice.step].stage in MESHES else choice.step
    return step if scene.steps[step].gaussians is not None else None


def mesh_step(scene: Scene, choice: Choice) -> int | None:
    """The step whose mesh is on screen: its own, else the last there is; none where it is off, or a step of a
    mesh has none."""
    if not choice.mesh or scene.steps[choice.step].stage == "rig":
        return None  # beside who moves, no mesh that stands
    there = [k for k, step in enumerate(scene.steps) if step.mesh is not None]
    if choice.step in there or scene.steps[choice.step].stage in MESHES or not there:
        return choice.step if choice.step in there else None
    return there[-1]


def quality_lines(scene: Scene) -> list[str]:
    """Fit quality before -> after the refinement and what it warned of, in Markdown."""
    before, after = scene.trace.get("before") or {}, scene.trace.get("after") or {}
    names = {
        "front_iou": "IoU with the photo's mask",
        "sides_iou": "IoU with the side views",
        "keypoints_px": "joints to keypoints, px",
    }
    lines = [
        f"{title}: {before.get(name, float('nan')):.3g} → **{after[name]:.3g}**"
        for name, title in names.items()
        if after.get(name) is not None and before.get(name) is not None
    ]
    return lines + [f"poor fit: {reason}" for reason in scene.trace.get("poor_fit", [])]
