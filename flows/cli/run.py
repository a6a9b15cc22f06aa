"""The commands that compute: `run`, `rerun`, `sweep` and `override`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from turnaround.flows.cli import completion
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
    Subjects,
    Until,
    Work,
    Workers,
)

if TYPE_CHECKING:
    from turnaround.flows.exports.batch import Wish
    from turnaround.flows.runs.summary import Run
    from turnaround.flows.subjects.project import Project


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command()(rerun)
    app.command()(sweep)
    app.command()(override)


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
            raise ValueError("--out goes with --export, e.g. --export glb,mp4 --out models")
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


def rerun(
    stage: Annotated[
        str | None,
        typer.Argument(
            help="the stage to do again; what is not FRESH by default", autocompletion=completion.stages
        ),
    ] = None,
    subject: Subjects = None,
    only: Annotated[
        bool, typer.Option("--only", help="that stage alone, nothing that comes after it")
    ] = False,
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            autocompletion=completion.stages,
            help="do this stage and every one that needs it again, changed or not",
        ),
    ] = None,
    until: Until = None,
    set_: Set = None,
    work: Work = Path("work"),
    device: Device = "auto",
) -> None:
    """Do a stage again, with other settings, and what needs it.

    `rerun STAGE` computes STAGE anew; where it makes the same bytes, nothing after it is done. `rerun --from
    STAGE` computes STAGE and all that need it anew. `rerun` alone does what `status` does not call FRESH,
    under the settings of the last run. Each goes as far as --until; `--only` is `--until STAGE`.
    """
    from turnaround.flows.runs.rerun import Again, rerun_stage
    from turnaround.flows.subjects.project import Project

    again = Again.of(stage, first, until, only)
    results = rerun_stage(work, again, subject or [], tuple(set_ or ()), device, Project())
    raise typer.Exit(0 if all(result.ok for result in results) else 1)


def sweep(
    subject: Annotated[
        list[str] | None,
        typer.Argument(help="names or patterns ('ali*'); all by default", autocompletion=completion.subjects),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE,VALUE,...; again for every combination")
    ] = None,
    until: Until = None,
    work: Work = Path("work"),
    device: Device = "auto",
    workers: Workers = 0,
    json: Json = False,
) -> None:
    """Try combinations of settings, side by side on a page.

    The subjects themselves stay as they are.

    `--set stages.refine.iterations=15,45,90 --set stages.mesh.faces=20000,60000` makes six variants. Only the
    stages that differ are computed. Commas within brackets belong to a value:
    `stages.prepare.labels=[person],[person,dress]`. A variant is adopted with `turnaround rerun -s SUBJECT
    --set ...`, which finds it computed; what is not adopted goes with `turnaround gc`.
    """
    from json import dumps

    from turnaround.flows import report
    from turnaround.flows.runs.summary import sweep_json
    from turnaround.flows.runs.sweep import sweep as sweep_all
    from turnaround.flows.subjects.project import Project

    results = sweep_all(
        Project(), work, subject or [], set_ or [], device=device, until=until, workers=workers
    )
    failed = [(label, result) for label, all_ in results.items() for result in all_ if not result.ok]
    for label, result in failed:
        typer.echo(f"FAILED {label}: {result.subject}/{result.failed}: {result.message}", err=True)
    page = report.write_sweep(work, results, title=", ".join(set_ or []))
    typer.echo(dumps(sweep_json(results, page), indent=1) if json else str(page))
    raise typer.Exit(1 if failed else 0)


def override(
    target: Annotated[
        str,
        typer.Argument(
            help="SUBJECT/STAGE/OUTPUT, e.g. alice/back_view/refined.png; SUBJECT alone lists",
            autocompletion=completion.outputs,
        ),
    ],
    file: Annotated[Path | None, typer.Argument(help="the file that takes its place")] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="take it back: what is computed counts again")
    ] = False,
    work: Work = Path("work"),
    device: Device = "auto",
) -> None:
    """Put a file of your own in the place of something computed.

    A mask, a body, a back view, Gaussians.

    It is copied into the work folder with where it came from; what needs it is STALE until the next run.
    SUBJECT/photo/mask, /body and /back stand for the files that may lie beside a photo.
    """
    from turnaround.flows.subjects import overrides as overriding
    from turnaround.flows.subjects.project import Project

    if "/" not in target:
        if file is not None or remove:
            raise ValueError(
                f"{target!r}: expected SUBJECT/STAGE/OUTPUT; `turnaround override {target}` lists what can "
                f"be given"
            )
        typer.echo(overriding.listing(Project(), work, target))
    elif remove == (file is not None):
        raise ValueError("give a FILE, or --remove")
    elif file is None:
        typer.echo(overriding.remove(Project(), work, target))
    else:
        typer.echo(overriding.override(Project(), work, target, file, device))
