"""A reconstructed person: everything the stages made of one photo, read from the work folder when it is asked
for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from turnaround.flows.runs.execute import Result
from turnaround.flows.runs.summary import subject_json
from turnaround.flows.subjects.fits import fit_of
from turnaround.kept import KeptRuns
from turnaround.moving import Moving
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.store import Record

if TYPE_CHECKING:
    from turnaround.pipeline.values.motion import Motion
    from turnaround.pipeline.values.types import Body, Gaussians, Mesh, TexturedMesh, View


class Person(Moving):
    """One person out of one photo; made by `reconstruct` and `load`.

    It stands for the runs of that call: the same photo done again with other settings gives another person,
    and this one stays what it is. Values are read on first use and kept; what they are is in docs/python.md.

    Attributes:
        name: the subject, as `turnaround status` and `turnaround view` call it.
        photo: path of the photo.
        work: the work folder.
        report: what was done: `ok`, `stages` (name -> state, key, seconds), `seconds`, `fit` (state, causes,
            notes), `files`, `folder`; as the command line's `run --json` gives it.
    """

    def __init__(self, runs: KeptRuns, result: Result) -> None:
        self._runs, self._result = runs, result
        self.name, self.photo, self.work = result.subject, Path(os.path.abspath(result.photo)), runs.root
        self.report: dict[str, Any] = report_of(runs, result)

    @property
    def keys(self) -> Mapping[str, str]:
        """Stage -> key of its run; equal keys are equal results."""
        return dict(self._runs.keys)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Everything that can be loaded: "prepare.view", "estimate.body", ..."""
        records = (self._record(stage) for stage in self._runs.keys)
        return tuple(f"{r.manifest['stage']}.{output}" for r in records for output in r.manifest["outputs"])

    def load(self, output: str) -> Any:
        """Read one output of a stage, e.g. `load("refine.trace")`; CallError for one that does not exist."""
        if output not in self.outputs:
            raise CallError(f"{self.name} has no output {output!r}; there are {', '.join(self.outputs)}")
        stage, _, name = output.partition(".")
        return self._record(stage).load(name)

    @cached_property
    def gaussians(self) -> Gaussians:
        """The final Gaussians, or those of the last stage that was done."""
        return self._best("ply")

    @cached_property
    def mesh(self) -> TexturedMesh | Mesh:
        """The textured mesh, or the one with vertex colours where the texture was not baked."""
        return self._best("glb")

    @cached_property
    def body(self) -> Body:
        """The refined SMPL-X body, or the estimated one where the refinement was not done."""
        return self.load("refine.body" if "refine" in self._runs.keys else "estimate.body")

    @cached_property
    def view(self) -> View:
        """The photo's person, cut out, in its close camera."""
        return self.load("prepare.view")

    @cached_property
    def back_view(self) -> View:
        """The person from behind, with the camera."""
        return self.load("back_view.view")

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        texture: int | None = None,
        height: float | None = None,
        gaussians: int | None = None,
        rig: bool = False,
        clips: Sequence[str | os.PathLike[str] | Motion] = (),
        meta: Mapping[str, str] | None = None,
    ) -> Path:
        """Write the person to a file; its ending says as what.

        Args:
            path: NAME.ply, .splat, .spz (Gaussians), .glb, .obj (mesh), .mp4 (turntable), .html (a page that
                shows the person in 3D without a network), .vrm, .fbx, .usdz or .bvh (with the skeleton).
                Folders on the way are made.
            texture: texels of a side (glb, obj, vrm, fbx, usdz).
            height: metres that the person has when they stand upright (meshes and Gaussians).
            gaussians: at most so many (ply, splat, spz, html).
            rig: in a T pose; glb with skeleton and face (glb, obj, ply, splat, spz).
            clips: motions in the file: names of `turnaround animate`, files or motions (glb, fbx, usdz,
                bvh, html).
            meta: fields of VRM's licence, such as {"authors": "Ann", "avatarPermission": "everyone"}.

        Returns:
            The path.

        Raises:
            CallError: another ending, nothing of that kind yet, or a file that cannot be written.
        """
        from turnaround.flows.exports.export import FORMATS, Changes, export_of

        file = Path(path)
        to = file.suffix[1:].lower()
        if to not in FORMATS:
            raise CallError(f"{file}: expected a name that ends as one of .{', .'.join(FORMATS)}")
        several = [clips] if isinstance(clips, str) else clips
        named = tuple(os.fspath(clip) if isinstance(clip, os.PathLike) else clip for clip in several)
        changes = Changes(texture, height, gaussians, rig or None, named or None, meta)
        return export_of(self._runs, self.name, to, file, changes).path

    def show(self, *, inline: bool | None = None) -> None:
        """Turn the person in 3D: inside a notebook in its output, elsewhere in the browser until Ctrl-C.

        inline: True or False instead of looking whether this is a notebook. The browser's viewer, which also
            goes
        through the stages, needs viser (pip install 'turnaround[view]').
        """
        from turnaround.showing import in_notebook, show_inline, show_viewer

        if in_notebook() if inline is None else inline:
            show_inline(self._runs, self.name)
        else:
            show_viewer(self._runs, self.name)

    def _record(self, stage: str) -> Record:
        record = self._runs.linked(self.name, stage)
        if record is None:
            raise CallError(f"{self.name} has no stage {stage!r}; there are {', '.join(self._runs.keys)}")
        return record

    def _best(self, to: str) -> Any:
        from turnaround.flows.exports.export import best

        record, output, _ = best(self._runs, self.name, to)
        return record.load(output)

    def __reduce__(self) -> tuple[type[Person], tuple[KeptRuns, Result]]:
        return type(self), (
            self._runs,
            self._result,
        )  # from worker processes, without the values that were read

    def __bool__(self) -> Literal[True]:
        return True  # a Failure is false; a type checker tells them apart by it

    def __repr__(self) -> str:
        fit = f", {self.report['fit']['state']} fit" if self.report["fit"] else ""
        return f"Person({self.name!r}, {len(self._runs.keys)} stages{fit})"

    def _repr_png_(self) -> bytes | None:
        from turnaround.showing import sheet

        return sheet(self._runs, self.name)

    def _repr_html_(self) -> str:
        from turnaround.showing import card

        return card(repr(self), self.report["fit"], self._repr_png_())


def report_of(runs: KeptRuns, result: Result) -> dict[str, Any]:
    """Say what became of a subject, as `run --json` does, with its name and the seconds of all stages."""
    seconds = round(sum(stage["seconds"] for stage in result.stages.values()), 3)
    said = subject_json(runs, result, fit_of(runs, result.subject))
    return {"name": result.subject, "work": str(runs.root), "seconds": seconds, **said}
