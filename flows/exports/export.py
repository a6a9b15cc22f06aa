"""`export`: one result of a subject as a file for other programs, or as a page that needs none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnaround.flows.exports.rigged import FORMATS as RIGGED
from turnaround.flows.exports.rigged import Wished, rigged_writer
from turnaround.flows.exports.stature import stature
from turnaround.flows.subjects import memory
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.runs import LinkedRuns
from turnaround.pipeline.store.store import Record, Store

if TYPE_CHECKING:
    from turnaround.pipeline.values.motion import Motion

log = logging.getLogger(__name__)

FORMATS = ("ply", "splat", "spz", "glb", "obj", "mp4", "html", *RIGGED)
GAUSSIANS, MESHES = ("ply", "splat", "spz"), ("glb", "obj")
_GAUSSIANS = (
    ("detail", "gaussians"),
    ("fuse", "gaussians"),
    ("refine", "gaussians"),
    ("coarse", "gaussians"),
)  # the best first
_MESHES = (("texture", "mesh"), ("detail", "mesh"), ("mesh", "mesh"))
_SOURCES = (
    {to: _GAUSSIANS for to in GAUSSIANS}
    | {to: _MESHES for to in MESHES}
    | {"mp4": (("turntable", "turntable"),)}
)
_TEXTURED = (*MESHES, "vrm", "fbx", "usdz")
_TAKERS = {
    "texture": _TEXTURED,
    "height": _TEXTURED + GAUSSIANS,
    "gaussians": (*GAUSSIANS, "html"),
    "rig": MESHES + GAUSSIANS,
    "clips": ("glb", "fbx", "usdz", "bvh", "html"),
    "meta": ("vrm",),
}  # change -> formats that know it
PAGE_GAUSSIANS = 200_000  # of the offline page, which stays under 8 MB

Write = Callable[[Path], object]


@dataclass(frozen=True)
class Changes:
    """What is made different on the way out; None: as it is."""

    texture: int | None = None  # texels of a side (glb, obj, vrm, fbx, usdz)
    # metres of the person, were they to stand upright (all but html, mp4 and bvh)
    height: float | None = None
    gaussians: int | None = None  # at most so many (ply, splat, spz, html)
    rig: bool | None = None  # in a T pose, with a skeleton where the format holds one
    clips: tuple[str | Path | Motion, ...] | None = None  # motions in the file (glb, fbx, usdz, bvh, html)
    meta: Mapping[str, str] | None = None  # fields of VRM's licence

    @staticmethod
    def read(
        texture: int | None,
        height: float | None,
        gaussians: int | None,
        rig: bool = False,
        clips: str | None = None,
        meta: Sequence[str] | None = None,
    ) -> Changes:
        """Understand options as they are written: clips `idle,walk`, each of meta `FIELD=VALUE`."""
        named = tuple(word.strip() for word in (clips or "").split(",") if word.strip())
        pairs = [text.partition("=") for text in meta or ()]
        if odd := [field for field, equals, _ in pairs if not equals]:
            raise CallError(f"--meta {odd[0]}: expected FIELD=VALUE, such as authors=Ann")
        fields = {field.strip(): value for field, _, value in pairs}
        return Changes(texture, height, gaussians, rig or None, named or None, fields or None)

    def check(self, to: str) -> None:
        """ValueError for a change that a format does not know, or a value that makes no sense."""
        for name, formats in _TAKERS.items():
            value = getattr(self, name)
            if value is not None and to not in formats:
                raise CallError(f"--{name} goes with --to {', '.join(formats)}; --to {to} does not know it")
            if isinstance(value, int | float) and not value > 0:
                raise CallError(f"--{name} {value}: expected more than 0")

    def fits(self, to: str) -> bool:
        """Whether a format knows all of these changes."""
        return all(getattr(self, name) is None or to in formats for name, formats in _TAKERS.items())

    def rigged(self, to: str) -> bool:
        """Whether a file of a format shows the stage `rig` then."""
        return to in RIGGED or bool(self.rig) or bool(self.clips)


@dataclass(frozen=True)
class Exported:
    """A written file and the stages whose outputs it shows."""

    path: Path
    stages: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path} ({self.path.stat().st_size / 1e6:.1f} MB, from {' and '.join(self.stages)})"


def export_file(
    root: Path, subject: str, to: str, out: Path | None, changes: Changes = Changes()
) -> Exported:
    """Write a subject's best result of a format.

    Args:
        root: the work folder.
        subject: its name.
        to: one of FORMATS. Textured obj brings its .mtl and its texture, which lie beside it.
        out: the file, or a folder for SUBJECT.<to>, made where it is not there; that file in the current
        folder by default. changes: of size, scale or number.

    Raises:
        DamagedRun: the result is not what was written.
        ValueError: an unknown format or subject, nothing to export yet, a change that does not fit, a file
        that cannot be
            written, or (html) a package that cannot be fetched; the message says what to do.
    """
    if to not in FORMATS:
        raise CallError(f"--to {to}: expected one of {', '.join(FORMATS)}")
    changes.check(to)
    memory.recall(root, subject)
    return export_of(Store(root), subject, to, out, changes)


def export_of(
    store: LinkedRuns, subject: str, to: str, out: Path | None, changes: Changes = Changes()
) -> Exported:
    """Write a subject's best result of a format as `export_file` does, out of the runs that `store` links it
    to."""
    changes.check(to)
    target = _target(out or Path("."), subject, to)
    write, stages = _written(store, subject, to, changes)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target)
    except OSError as error:
        raise CallError(
            f"{target} cannot be written ({error.strerror}); choose another with --out"
        ) from error
    return Exported(target, stages)


def sources_of(root: Path, subject: str, to: str, changes: Changes = Changes()) -> tuple[str, ...]:
    """Name the stages whose outputs a file of a format would show; none where there is nothing yet."""
    store = Store(root)
    if changes.rigged(to):
        return ("rig",) if store.linked(subject, "rig") else ()
    formats = ("ply", "glb") if to == "html" else (to,)
    found = [
        next((stage for stage, _ in _SOURCES[kind] if store.linked(subject, stage)), None) for kind in formats
    ]
    return tuple(stage for stage in found if stage is not None)


def _target(out: Path, subject: str, to: str) -> Path:
    """The file to write: a new path without an ending is a folder. ValueError for the ending of another
    format."""
    if out.is_dir() or not (out.suffix or out.exists()):
        return out / f"{subject}.{to}"
    other = out.suffix[1:].lower()
    if other in FORMATS and other != to:
        raise CallError(f"--out {out} ends as {other}, and --to is {to}; give them the same")
    return out


def _written(store: LinkedRuns, subject: str, to: str, changes: Changes) -> tuple[Write, tuple[str, ...]]:
    if changes.rigged(to):
        wished = Wished(changes.clips or (), changes.meta, changes.texture, changes.height, changes.gaussians)
        return rigged_writer(store, subject, to, wished), ("rig",)
    return _page(store, subject, changes) if to == "html" else _content(store, subject, to, changes)


def _content(store: LinkedRuns, subject: str, to: str, changes: Changes) -> tuple[Write, tuple[str, ...]]:
    record, output, stage = best(store, subject, to)
    scale = changes.height / stature(store, subject) if changes.height else 1.0
    if to in GAUSSIANS and (to != "ply" or changes != Changes()):  # the file itself is a PLY
        from turnaround.flows.exports.gaussians import gaussians_bytes

        content = gaussians_bytes(record.load(output), to, changes.gaussians, scale)
        return lambda target: target.write_bytes(content), (stage,)
    if to in MESHES:
        from turnaround.flows.exports.mesh import mesh_writer

        return mesh_writer(store, subject, stage, to, changes.texture, scale), (stage,)
    record.check(output)
    content = record.file(output).read_bytes()
    return lambda target: target.write_bytes(content), (stage,)


def best(store: LinkedRuns, subject: str, to: str) -> tuple[Record, str, str]:
    """The first source of a format that is there: record, output, stage; a warning where it is not the final
    one."""
    from turnaround.stages import NAMES

    sources = [(stage, output) for stage, output in _SOURCES[to] if stage in NAMES]
    for stage, output in sources:
        record = store.linked(subject, stage)
        if record is not None:
            if stage != sources[0][0]:
                log.warning(
                    "%s has no result of `%s` yet: this is that of `%s`", subject, sources[0][0], stage
                )
            return record, output, stage
    names = " or ".join(f"`{stage}`" for stage, _ in sources)
    raise CallError(
        f"{subject} has no {to} yet: it comes from {names}; `turnaround status {subject}` tells what is "
        f"missing"
    )


def _page(store: LinkedRuns, subject: str, changes: Changes) -> tuple[Write, tuple[str, ...]]:
    text, stages = page_of(store, subject, changes)
    content = text.encode()
    return lambda target: target.write_bytes(content), stages


def page_of(store: LinkedRuns, subject: str, changes: Changes = Changes()) -> tuple[str, tuple[str, ...]]:
    """Make the HTML of the best Gaussians, and of the mesh where there is one; with the stages that it
    shows."""
    from turnaround.flows.viewer.html_page import Person, page
    from turnaround.models.splat.pruning import pruned

    record, output, stage = best(store, subject, "ply")
    gaussians = pruned(record.load(output), changes.gaussians or PAGE_GAUSSIANS)
    meshes = (
        (name, found.load(output)) for name, output in _MESHES if (found := store.linked(subject, name))
    )
    source, mesh = next(meshes, (None, None))
    stages = tuple(dict.fromkeys((stage, source))) if source else (stage,)
    return page(Person(subject, gaussians, mesh)), stages
