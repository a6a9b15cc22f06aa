"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from turnaround.flows.cli import completion

Work = Annotated[Path, typer.Option("--work", help="folder of all results")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="a setting, e.g. stages.refine.fit.iterations=90; again for more"),
]
Config = Annotated[
    str,
    typer.Option(
        "--config", help="preset (default, gst, tiny, paper) or yaml file", autocompletion=completion.presets
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N")]
Runner = Annotated[
    str,
    typer.Option("--runner", help="threads, processes, dask, ray, or a cluster: dask=ADDRESS, ray=ADDRESS"),
]
RemoteStore = Annotated[
    str | None,
    typer.Option(
        "--store", help="s3://bucket/prefix or another URL: results are looked for there and sent there"
    ),
]
Workers = Annotated[int, typer.Option("--workers", min=0, help="photos at a time; 0 = by cores and memory")]
Direct = Annotated[bool, typer.Option("--direct", help="without Prefect")]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="also the folders of folders")]
Lists = Annotated[
    list[Path] | None,
    typer.Option("--list", help="text file of photos, one a line, relative to it; again for more"),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="the first N photos only")]
Shard = Annotated[
    str | None, typer.Option("--shard", help="i/n: part i of n by the subjects' names, for n machines")
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast/--keep-going", help="start no further photo after the first failure")
]
Json = Annotated[bool, typer.Option("--json", help="for programs")]
Until = Annotated[
    str | None, typer.Option("--until", help="the last stage to do", autocompletion=completion.stages)
]
Subjects = Annotated[
    list[str] | None,
    typer.Option(
        "--subject",
        "-s",
        autocompletion=completion.subjects,
        help="whose: a name or a pattern ('ali*'), again for more; all by default",
    ),
]
Subject = Annotated[str, typer.Argument(autocompletion=completion.subjects)]
# of commands whose further words are read by somebody else, `--help` among them
PASS: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
Photos = Annotated[list[Path] | None, typer.Argument(help="photos, folders, 'patterns*.jpg' or @LIST")]
People = Annotated[
    str,
    typer.Option(
        "--people",
        help="of a photo of several: one (an error where that is not clear), largest, or all: NAME-1, NAME-2",
    ),
]
Watch = Annotated[
    Path | None, typer.Option("--watch", metavar="FOLDER", help="do photos as they land there, until Ctrl-C")
]
Formats = Annotated[
    str | None, typer.Option("--export", metavar="FORMATS", help="write files of each person, too: glb,mp4")
]
Out = Annotated[Path | None, typer.Option("--out", help="the folder of --export; here by default")]
Adopt = Annotated[
    bool, typer.Option("--adopt", help="a moved or copied photo goes on as the subject that it was")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="exit with 3 where all is done and a body fits its photo poorly")
]
Betas = Annotated[
    list[str] | None,
    typer.Option("--betas", metavar="N=VALUE", help="another shape of body: 0=1.5 (0 to 9); again for more"),
]
Expression = Annotated[
    list[str] | None,
    typer.Option("--expression", metavar="N=VALUE", help="an expression of the face: 0=2; again for more"),
]
Height = Annotated[
    float | None, typer.Option("--height", help="of the person upright, in metres: scales everything")
]
Colors = Annotated[
    list[str] | None,
    typer.Option(
        "--color", metavar="PART=COLOUR", help="e.g. torso=#3050a0, legs=navy, shoes=white; again for more"
    ),
]
