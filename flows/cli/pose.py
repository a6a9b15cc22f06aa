"""The command `pose`: a subject in a new pose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli.options import Betas, Colors, Expression, Height, Json, Subject, Work


def pose(
    subject: Subject,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="JOINT=DEGREES",
            help="left_elbow=60 bends it; right_shoulder=0,0,40 turns it about x, y, z; again for more",
        ),
    ] = None,
    base: Annotated[
        str, typer.Option("--from", help="photo, t or a: the pose of the joints that are not named")
    ] = "photo",
    body: Annotated[
        Path | None, typer.Option("--body", help="a pose from a file: SMPL-X as .npz, .json or .pkl")
    ] = None,
    to: Annotated[str, typer.Option("--to", help="png, ply or glb; --out's ending by default")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="a file, or a folder for NAME-pose.png; here by default")
    ] = None,
    azimuth: Annotated[
        float | None,
        typer.Option("--azimuth", help="one picture from there, in degrees, in place of eight sides"),
    ] = None,
    size: Annotated[int, typer.Option("--size", min=16, max=4096, help="pixels of a picture")] = 512,
    background: Annotated[str, typer.Option("--background", help="colour behind pictures")] = "white",
    betas: Betas = None,
    height: Height = None,
    expression: Expression = None,
    color: Colors = None,
    work: Work = Path("work"),
    json: Json = False,
) -> None:
    """Put a subject into a new pose.

    `pose alice --set left_elbow=60 --set right_shoulder=40` writes alice-pose.png, the person from eight
    sides. docs/animation.md tells which way each joint bends.
    """
    from json import dumps

    from turnaround.flows.animation.edits import Edits
    from turnaround.flows.animation.pose import Pose, posed, read_joints, read_pose, write_pose
    from turnaround.flows.animation.rigged import rigged_person
    from turnaround.flows.animation.written import kind
    from turnaround.flows.subjects import memory
    from turnaround.pipeline.store.store import Store

    edits = Edits.read(betas or [], height, expression or [], color or [])
    given = None if body is None else read_pose(body)
    wanted = Pose(read_joints(set_ or []), base, given, edits)
    memory.recall(work, subject)
    made = posed(rigged_person(Store(work), subject), wanted)
    written = write_pose(made, to or kind(out, "png"), out, size, azimuth, background)
    typer.echo(dumps({"files": [written.as_json()]}, indent=1) if json else str(written))
