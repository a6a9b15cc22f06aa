"""The command `run`: photos through the stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from turnaround.flows.cli.options import (
    Config,
    Device,
    Direct,
    FailFast,
    Json,
    Limit,
    Lists,
    Recursive,
    RemoteStore,
    Runner,
    Set,
    Shard,
    Until,
    Work,
    Workers,
)
from turnaround.pipeline.errors import CallError

if TYPE_CHECKING:
    from turnaround.flows.exports.batch import Wish
    from turnaround.flows.runs.summary import Run
    from turnaround.flows.subjects.project import Project


def run(
    photos: Annotated[
        list[Path] | None, typer.Argument(help="photos, folders, 'patterns*.jpg' or @LIST")
    ] = None,
    work: Work = Path("work"),
    config: Config = "default",
    set_: Set = None,
    device: Device = "auto",
    runner: Runner = "threads",
    workers: Workers = 0,
    direct: Direct = False,
    until: Until = None,
    recursive: Recursive = False,
    lists: Lists = None,
    limit: Limit = None,
    shard: Shard = None,
    fail_fast: FailFast = False,
    store: RemoteStore = None,
    people: Annotated[
        str,
        typer.Option(
            "--people",
            help="of a photo of several: one (an error where that is not clear), largest, or all: NAME-1, "
            "NAME-2",
        ),
    ] = "one",
    export: Annotated[
        str | None,
        typer.Option("--export", metavar="FORMATS", help="write files of each person, too, e.g. glb,mp4"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="the folder of --export; here by default")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="exit with 3 where all is done and a body fits its photo poorly")
    ] = False,
    json: Json = False,
) -> None:
    """Reconstruct photos; what is already there is not done again.

    The end says where the results are and how to look at them. Exit codes: 0 all done, 1 some failed, 2 a
    wrong call, 3 a poor fit (--strict).
    """
    from turnaround.flows.runs.run import Request, run_all
    from turnaround.flows.subjects.choice import Choice, choose, parse_shard
    from turnaround.flows.subjects.persons import everyone, overrides_for
    from turnaround.flows.subjects.project import Project

    wish = _wish(export, out)
    project, overrides = Project(), overrides_for(people, tuple(set_ or ()))
    project.settings(config, overrides)  # a wrong setting is told before the work folder is touched
    chosen = choose(work, Choice(photos or (), recursive, lists or (), limit, parse_shard(shard)))
    if people == "all":
        chosen = everyone(project, work, chosen, config, overrides, device)
    words = [
        *map(str, photos or ()),
        *(["--recursive"] if recursive else []),
        *(w for file in lists or () for w in ("--list", str(file))),
    ]
    words += [*(["--shard", shard] if shard else []), *(["--limit", str(limit)] if limit else [])]
    request = Request(
        chosen,
        work,
        config,
        overrides,
        device,
        runner,
        workers,
        direct,
        until,
        fail_fast=fail_fast,
        sources=tuple(words),
        store=store,
        people="all" if people == "all" else "one",
    )
    done = run_all(request, project)
    code = _exports(project, done, wish, json)
    poor = strict and any(fit.state == "poor" for fit in done.fits().values())
    raise typer.Exit(1 if not done.complete or code else 3 if poor else 0)


def _wish(export: str | None, out: Path | None) -> Wish | None:
    """Read --export and --out; ValueError before anything is computed. What writes files imports torch: only
    where it is asked for."""
    if export is None:
        if out is not None:
            raise CallError("--out goes with --export, e.g. --export glb,mp4 --out models")
        return None
    from turnaround.flows.exports.batch import Wish

    return Wish.of(export, out)


def _exports(project: Project, done: Run, wish: Wish | None, json: bool) -> int:
    """Write what was wished of the subjects that are done, and the document of --json; 1 where a file is
    missing."""
    from json import dumps

    from turnaround.flows.runs import summary

    ready, exports = [result.subject for result in done.results if result.ok], None
    if wish and ready:
        from turnaround.flows.exports.batch import export_all

        exports = export_all(project, done.root, ready, wish, many=True)
    for name, form, message in exports.failed if exports else ():
        typer.echo(f"FAILED {name}.{form}: {message}", err=True)
    if json:
        typer.echo(
            dumps(summary.as_json(done) | {"exports": exports.as_json() if exports else None}, indent=1)
        )
    for _, _, each in exports.written if exports else ():
        typer.echo(str(each), err=json)
    return 1 if exports and exports.failed else 0
