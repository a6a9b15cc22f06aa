"""The command `export`: results as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turnaround.flows.cli import completion
from turnaround.flows.cli.options import (
    Json,
    Work,
)


def export(
    subject: Annotated[
        list[str], typer.Argument(autocompletion=completion.subjects, help="names or patterns ('ali*')")
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to", help="ply, splat, spz, glb, obj, mp4, html, vrm, fbx, usdz or bvh; several as glb,ply"
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="folder for NAME.glb and others; here by default; a file for one"),
    ] = None,
    texture: Annotated[
        int | None,
        typer.Option(
            "--texture", help="texels of a side: 1024, 2048 or 4096 (glb, obj, vrm, fbx, usdz)", metavar="N"
        ),
    ] = None,
    height: Annotated[
        float | None,
        typer.Option("--height", help="of the person upright, in metres (meshes and Gaussians)"),
    ] = None,
    gaussians: Annotated[
        int | None,
        typer.Option("--gaussians", help="at most so many, those that show most (ply, splat, spz, html)"),
    ] = None,
    rig: Annotated[
        bool,
        typer.Option("--rig", help="in a T pose; glb with its skeleton and face (glb, obj, ply, splat, spz)"),
    ] = False,
    clips: Annotated[
        str | None,
        typer.Option(
            "--clips",
            help="motions in the file, by name or file: idle,walk (glb, fbx, usdz, bvh, html)",
            metavar="A,B",
        ),
    ] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option(
            "--meta", help="a field of VRM's licence: authors=Ann; again for more", metavar="FIELD=VALUE"
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="leave out what is stale, and exit with 3 where something was")
    ] = False,
    work: Work = Path("work"),
    json: Json = False,
) -> None:
    """Write results as files for other programs.

    `export 'ali*' --to glb,ply --out models` writes NAME.glb and NAME.ply of every subject that the pattern
    means. html is one page that shows the person in 3D without a network; with --clips it moves. vrm, fbx,
    usdz and bvh, and what --rig or --clips is given for, come from the stage `rig`.
    """
    from json import dumps

    from turnaround.flows.exports.batch import Wish, export_all
    from turnaround.flows.exports.export import Changes
    from turnaround.flows.subjects import memory
    from turnaround.flows.subjects.project import Project

    changes = Changes.read(texture, height, gaussians, rig, clips, meta)
    wish = Wish.of(to, out, changes, strict=strict)
    done = export_all(Project(), work, memory.matching(work, subject), wish)
    if json:
        typer.echo(dumps(done.as_json(), indent=1))
    else:
        for _, _, each in done.written:
            typer.echo(str(each))
    for name, form, message in done.failed:
        typer.echo(f"FAILED {name}.{form}: {message}", err=True)
    raise typer.Exit(done.code(strict=strict))
