"""The command `animate`: subjects in motion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli import completion
from turnaround.flows.cli.options import Betas, Colors, Expression, Height, Json, Work


def animate(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="SUBJECT... MOTION",
            autocompletion=completion.subjects,
            help="names or patterns ('ali*'), then a motion: idle, walk, walk_forward, wave, turn, squat, "
            "dance, dance_wave, t_pose, a_pose, or a file (.bvh, .npz, .json, .pkl, .zip)",
        ),
    ],
    to: Annotated[
        str, typer.Option("--to", help="mp4, html, glb, ply or npz; --out's ending by default")
    ] = "",
    camera: Annotated[
        str, typer.Option("--camera", help="front, orbit (around) or follow (walks along); mp4")
    ] = "front",
    out: Annotated[
        Path | None, typer.Option("--out", help="a file, or a folder for NAME-MOTION.mp4; here by default")
    ] = None,
    fps: Annotated[float, typer.Option("--fps", help="frames a second")] = 25.0,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="of the motion; all of a file, a few cycles by default")
    ] = None,
    size: Annotated[int, typer.Option("--size", help="pixels of the film's height")] = 512,
    background: Annotated[str, typer.Option("--background", help="colour behind the film")] = "white",
    floor: Annotated[bool, typer.Option("--floor/--no-floor", help="soft shadows below the feet")] = True,
    together: Annotated[
        bool, typer.Option("--together", help="all subjects side by side in one film or glb")
    ] = False,
    frame: Annotated[
        int | None, typer.Option("--frame", min=0, help="of ply: this frame alone, as one file")
    ] = None,
    betas: Betas = None,
    height: Height = None,
    expression: Expression = None,
    color: Colors = None,
    work: Work = Path("work"),
    json: Json = False,
) -> None:
    """Set subjects in motion.

    `animate alice walk` writes alice-walk.mp4; the motion is brought to the person's proportions, their feet
    on the ground. ply is a folder of numbered files, npz the motion in the layout of AMASS.
    """
    from json import dumps

    from turnaround.flows.animation.animate import animate
    from turnaround.flows.animation.edits import Edits
    from turnaround.flows.animation.order import Order
    from turnaround.flows.animation.progress import FrameBar
    from turnaround.flows.animation.written import kind
    from turnaround.flows.subjects import memory
    from turnaround.pipeline.errors import CallError
    from turnaround.pipeline.store.store import Store

    if len(words) < 2:
        raise CallError(f"animate {words[0]}: expected one subject or more, and then a motion, e.g. walk")
    edits = Edits.read(betas or [], height, expression or [], color or [])
    order = Order(
        words[-1], to or kind(out, "mp4"), camera, out, fps, seconds, size, background, floor, together,
        frame, edits,
    )  # fmt: skip
    store = Store(work)
    people = [(store, name) for name in memory.matching(work, words[:-1])]
    with FrameBar() as bar:
        done = animate(people, order, say=bar.say, step=bar.step)
    if json:
        typer.echo(dumps({"files": [each.as_json() for each in done]}, indent=1))
    else:
        for each in done:
            typer.echo(str(each))
