"""Persons in motion and in new poses, from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from turnaround.kept import KeptRuns
from turnaround.pipeline.errors import CallError

if TYPE_CHECKING:
    from turnaround.flows.animation.pose import Posed
    from turnaround.flows.animation.rigged import RiggedPerson
    from turnaround.models.avatar.avatar import Avatar
    from turnaround.models.avatar.editing.joints import Angles
    from turnaround.pipeline.values.motion import Motion
    from turnaround.pipeline.values.types import Body

Numbers = Mapping[int, float]  # coefficient -> value
Path_ = str | os.PathLike[str]


class Moving:
    """What a person with a rig can do; `Person` is one."""

    name: str
    _runs: KeptRuns

    @property
    def avatar(self) -> Avatar:
        """The rig with the mesh and the Gaussians that it moves; CallError where the stage was not done."""
        return self._rigged.avatar

    @cached_property
    def _rigged(self) -> RiggedPerson:
        from turnaround.flows.animation.rigged import rigged_person

        return rigged_person(self._runs, self.name)

    def animate(
        self,
        motion: Path_ | Motion,
        path: Path_,
        *,
        camera: Literal["front", "orbit", "follow"] = "front",
        fps: float = 25.0,
        seconds: float | None = None,
        size: int = 512,
        background: str = "white",
        floor: bool = True,
        frame: int | None = None,
        betas: Numbers | None = None,
        height: float | None = None,
        expression: Numbers | None = None,
        colors: Mapping[str, str] | None = None,
        progress: bool = False,
    ) -> Path:
        """Write the person in motion to a file; its ending says as what.

        Args:
            motion: a name (`walk`, `dance`, ... as `turnaround animate -h` lists them), a file or folder of
                motion capture, or a Motion.
            path: NAME.mp4, .html, .glb (rigged) or .npz (AMASS); .ply with `frame`, or a folder, in which
                SUBJECT-MOTION will hold a .ply a frame.
            camera: front, orbit (around) or follow (walks along); as `size`, `background` and `floor` of mp4.
            fps: frames a second.
            seconds: of the motion; all of a file, a few cycles by default.
            size: pixels of the film's height.
            background: colour behind the film, `#rrggbb` or a name.
            floor: soft shadows below the feet.
            frame: which one, of a single .ply.
            betas: number -> value of the body's shape; clothes follow.
            height: metres of the person upright; scales everything.
            expression: number -> value, kept on the face.
            colors: part of the body -> colour of what it wears, such as {"torso": "#3050a0"}.
            progress: say on stderr what is done.

        Returns:
            The path.

        Raises:
            CallError: no rig yet, no such motion, or what does not go together.
            FormatError: a motion that cannot be read.
        """
        order = {
            "camera": camera, "fps": fps, "seconds": seconds, "size": size, "background": background,
            "floor": floor, "frame": frame,
        }  # fmt: skip
        edits = dict(betas=betas, height=height, expression=expression, colors=colors)
        return _animated([(self._runs, self.name)], motion, path, order, edits, progress=progress)

    def pose(
        self,
        joints: Mapping[str, Angles] | None = None,
        *,
        start: Literal["photo", "t", "a"] = "photo",
        body: Body | None = None,
        betas: Numbers | None = None,
        height: float | None = None,
        expression: Numbers | None = None,
        colors: Mapping[str, str] | None = None,
        **angles: Angles,
    ) -> Posed:
        """Bring the person into a new pose: `person.pose(left_elbow=60).save("bent.png")`.

        Args:
            joints: joint -> degrees; one number bends it its natural way, three are a rotation about x, y
                and z.
            start: how joints are that are not named: as in the photo, arms out (t), or lowered (a).
            body: in place of `start`: its pose.
            betas, height, expression, colors: as of `animate`.
            angles: joints by name.

        Returns:
            `.gaussians`, `.mesh`, `.body`, `.picture()` and `.save(path)` for .png, .ply and .glb.
        """
        from turnaround.flows.animation.edits import Edits
        from turnaround.flows.animation.pose import Pose, posed

        edits = Edits(betas or {}, height, expression or {}, colors or {})
        return posed(self._rigged, Pose({**(joints or {}), **angles}, start, body, edits))


def animate(
    people: Sequence[Moving],
    motion: Path_ | Motion,
    path: Path_,
    *,
    camera: Literal["front", "orbit", "follow"] = "front",
    fps: float = 25.0,
    seconds: float | None = None,
    size: int = 512,
    background: str = "white",
    floor: bool = True,
    progress: bool = False,
) -> Path:
    """Write several persons side by side in one film, an .mp4, or one .glb; see `Person.animate`."""
    if not people:
        raise CallError("animate needs at least one person")
    order = dict(
        camera=camera, fps=fps, seconds=seconds, size=size, background=background, floor=floor, together=True
    )
    runs = [(person._runs, person.name) for person in people]  # pyright: ignore[reportPrivateUsage], one door
    return _animated(runs, motion, path, order, {}, progress=progress)


def _animated(
    people: Sequence[tuple[KeptRuns, str]],
    motion: Path_ | Motion,
    path: Path_,
    order: Mapping[str, object],
    edits: Mapping[str, object],
    *,
    progress: bool,
) -> Path:
    from turnaround.flows.animation.animate import animate
    from turnaround.flows.animation.edits import Edits
    from turnaround.flows.animation.order import Order
    from turnaround.flows.animation.progress import FrameBar
    from turnaround.flows.animation.written import kind

    file = Path(path)
    wanted = os.fspath(motion) if isinstance(motion, os.PathLike) else motion
    changed = Edits(**{name: value for name, value in edits.items() if value is not None})  # type: ignore[arg-type]
    made = Order(wanted, kind(file, "ply"), out=file, edits=changed, **order)  # type: ignore[arg-type]
    if not progress:
        return animate(people, made)[0].path
    with FrameBar() as bar:
        return animate(people, made, say=bar.say, step=bar.step)[0].path
