"""The command `run`: photos through the stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from turnaround.flows.cli.options import (
    Adopt,
    Config,
    Device,
    Direct,
    FailFast,
    Formats,
    Json,
    Limit,
    Lists,
    Out,
    People,
    Photos,
    Recursive,
    RemoteStore,
    Runner,
    Set,
    Shard,
    Strict,
    Until,
    Watch,
    Work,
    Workers,
)
from turnaround.pipeline.errors import CallError

if TYPE_CHECKING:
    from turnaround.flows.exports.batch import Wish
    from turnaround.flows.runs.summary import Run
    from turnaround.flows.runs.watch import Watched
    from turnaround.flows.subjects.choice import Choice
    from turnaround.flows.subjects.plan import Request
    from turnaround.flows.subjects.project import Project


def run(
    photos: Photos = None,
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
    people: People = "one",
    adopt: Adopt = False,
    watch: Watch = None,
    export: Formats = None,
    out: Out = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Reconstruct photos; what is already there is not done again.

    The end says where the results are and how to look at them. Exit codes: 0 all done, 1 some failed, 2 a
    wrong call, 3 a poor fit (--strict).
    """
    from turnaround.flows.subjects.choice import Choice, parse_shard
    from turnaround.flows.subjects.persons import overrides_for
    from turnaround.flows.subjects.plan import Request
    from turnaround.flows.subjects.project import Project

    wish = _wish(export, out)
    project, overrides = Project(), overrides_for(people, tuple(set_ or ()))
    project.settings(config, overrides)  # a wrong setting is told before the work folder is touched
    choice = Choice(photos or (), recursive, lists or (), limit, parse_shard(shard), adopt)
    everyone = "all" if people == "all" else "one"
    words = _words(choice, shard)
    asked = Request(
        (), work, config, overrides, device, runner, workers, direct, until,
        fail_fast=fail_fast, sources=words, store=store, people=everyone,
    )  # fmt: skip
    if watch is not None:
        if words != (("--recursive",) if recursive else ()) or json:
            raise CallError("--watch FOLDER takes no other photos, and neither --limit, --shard nor --json")
        from turnaround.flows.runs.watch import Watched

        raise typer.Exit(_watch(project, asked, Watched(watch, recursive), wish, adopt))
    done = _do(project, asked, choice)
    code = _exports(project, done, wish, json)
    poor = strict and any(fit.state == "poor" for fit in done.fits.values())
    raise typer.Exit(1 if not done.complete or code else 3 if poor else 0)


def _words(choice: Choice, shard: str | None) -> tuple[str, ...]:
    """The words of the command line that named the photos."""
    words = [*map(str, choice.paths), *(["--recursive"] if choice.recursive else [])]
    words += [word for file in choice.lists for word in ("--list", str(file))]
    words += ["--shard", shard] if shard else []
    return (*words, *(["--limit", str(choice.limit)] if choice.limit else []))


def _do(project: Project, asked: Request, choice: Choice) -> Run:
    """Do the photos of a choice, planned as `turnaround.reconstruct_folder` plans them."""
    from turnaround.flows.runs.run import run_all
    from turnaround.flows.subjects.plan import photos_of

    return run_all(photos_of(project, asked, choice), project)


def _watch(project: Project, asked: Request, folder: Watched, wish: Wish | None, adopt: bool) -> int:
    """Do what lands in a folder until Ctrl-C; 1 where the last try of a photo failed."""
    from turnaround.flows.runs.watch import watch
    from turnaround.flows.subjects.choice import Choice

    failed: dict[str, bool] = {}

    def do(photos: list[Path]) -> None:
        try:
            done = _do(project, asked, Choice(photos, adopt=adopt))
        except CallError as error:  # gone meanwhile, or a name that cannot be a subject's
            typer.echo(f"turnaround: {error}", err=True)
            return
        _exports(project, done, wish, json=False)
        failed.update({result.subject: not result.ok for result in done.results})

    watch(folder, do, lambda text: typer.echo(text, err=True))
    typer.echo(f"\n{len(failed)} subjects done, {sum(failed.values())} of them failed", err=True)
    return int(any(failed.values()))


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
