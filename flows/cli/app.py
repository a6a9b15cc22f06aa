"""The command line `turnaround`. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from turnaround.flows.cli import bench as cli_bench
from turnaround.flows.cli import completion as completing
from turnaround.flows.cli import fetch as cli_fetch
from turnaround.flows.cli import report as cli_report
from turnaround.flows.cli import run as cli_run
from turnaround.flows.cli import server as cli_scale
from turnaround.flows.cli import start as cli_start
from turnaround.flows.cli import verify as cli_store
from turnaround.flows.cli import view as cli_view
from turnaround.flows.cli.groups import Grouped
from turnaround.flows.cli.options import Config, Json, Set, Work
from turnaround.flows.cli.quality import register
from turnaround.flows.runs import interrupts

os.environ.setdefault("DO_NOT_TRACK", "1")
# torch's threads that wait sleep: by default they spin, and beside another busy program everything takes four
# times as long
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    cls=Grouped,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(
    no_args_is_help=True, help="Synthetic people to learn from and to test on.", rich_markup_mode=None
)
app.add_typer(data_app, name="data")

_USAGE: Any = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)  # typer brings its own click
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)  # faults of the disk, told without a trace
_OURS = (  # messages for people
    "ConfigError",
    "DamagedRun",
    "MissingWeight",
    "RegistryError",
    "StageError",
    "StoreError",
    "ValueError",
    "WardrobeError",
)
_PASS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"turnaround {version('turnaround')}")
        raise typer.Exit


@app.callback()
def logs(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="log what happens")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="say the version, and end")
    ] = False,
) -> None:
    """One photo of a person to 3D Gaussians, a mesh and a video, with every intermediate on disk."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s"
    )
    if verbose:
        logging.getLogger("turnaround").setLevel(logging.DEBUG)


cli_run.register(app)
cli_scale.register(app)


@app.command()
def status(
    subject: Annotated[
        str | None,
        typer.Argument(
            help="a name or a pattern ('ali*'); all by default", autocompletion=completing.subjects
        ),
    ] = None,
    work: Work = Path("work"),
    stages: Annotated[bool, typer.Option("--long", "-l", help="every stage, every cause")] = False,
    json: Json = False,
) -> None:
    """How every subject stands: one line each.

    FRESH, MISSING, STALE or FAILED, how well the body fits the photo, how long it took, and the first
    trouble; with --long so for every stage.
    """
    from turnaround.flows.show.status import show_status
    from turnaround.flows.subjects.project import Project

    typer.echo(show_status(Project(), work, subject, as_json=json, stages=stages))


@app.command()
def why(
    target: Annotated[str, typer.Argument(help="SUBJECT/STAGE", autocompletion=completing.targets)],
    work: Work = Path("work"),
    json: Json = False,
) -> None:
    """Why a stage would run again: what changed, old -> new."""
    from turnaround.flows.show.causes import show_why
    from turnaround.flows.subjects.project import Project

    typer.echo(show_why(Project(), work, target, as_json=json))


@app.command()
def inspect(
    target: Annotated[
        str, typer.Argument(help="SUBJECT or SUBJECT/STAGE", autocompletion=completing.targets)
    ],
    work: Work = Path("work"),
    json: Json = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="compare the bytes of every file with its digest")
    ] = False,
) -> None:
    """Files, sizes, digests, seconds and settings of a subject."""
    from turnaround.flows.show.inspection import show_inspect
    from turnaround.flows.subjects.project import Project

    text, intact = show_inspect(Project(), work, target, as_json=json, verify=verify)
    typer.echo(text)
    raise typer.Exit(0 if intact else 1)


@app.command()
def graph(
    markdown: Annotated[bool, typer.Option("--markdown", help="the README's table")] = False,
    json: Json = False,
) -> None:
    """Draw the stages: what each needs and makes."""
    from turnaround.flows.show.declarations import graph_json, graph_markdown, graph_text
    from turnaround.flows.subjects.project import Project

    typer.echo((graph_json if json else graph_markdown if markdown else graph_text)(Project().classes()))


@app.command()
def config(
    config: Config = "default",
    set_: Set = None,
    described: Annotated[bool, typer.Option("--describe")] = False,
) -> None:
    """Every setting of a preset, as yaml or with its meaning."""
    from turnaround.flows.show.declarations import settings_described, settings_yaml
    from turnaround.flows.subjects.project import Project

    project = Project()
    settings = project.settings(config, set_ or ())
    typer.echo(settings_described(settings) if described else settings_yaml(settings))


cli_start.register(app)
cli_fetch.register(app)


@app.command()
def gc(
    work: Work = Path("work"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> None:
    """Delete results that no subject uses any more.

    Damaged runs and what killed runs left behind go, too.
    """
    from turnaround.flows.show.garbage import collect

    typer.echo(collect(work, dry_run=dry_run))


@app.command(context_settings=_PASS)
def train(
    context: typer.Context, network: Annotated[str, typer.Argument(help="`turnaround train` names them")] = ""
) -> None:
    """Train a network.

    All further options are its own: `turnaround train hgm-coarse --help`.
    """
    from turnaround.flows.runs.training import find_training, overview

    if network in ("", "list", "--help", "-h"):
        typer.echo(overview())
        return
    find_training(network)(context.args)


register(app)
cli_bench.register(app)
cli_view.register(app)
cli_store.register(app)
cli_report.register(app)


@data_app.command(context_settings=_PASS)
def people(context: typer.Context) -> None:
    """Make a set of dressed synthetic people (`--help` for its options)."""
    from turnaround.data.people import main as make_people

    make_people(context.args)


@data_app.command(context_settings=_PASS)
def landmarks(context: typer.Context) -> None:
    """Make a set of landmarks that networks find on rendered people, with the truth (`--help` for its
    options)."""
    from turnaround.data.sets.landmarks import main as make_landmarks

    make_landmarks(context.args)


@data_app.command(context_settings=_PASS)
def scans(context: typer.Context) -> None:
    """Convert real scans (THuman2.0, Custom Humans, HuMMan, HGM renders) for training and evaluation
    (`--help`)."""
    from turnaround.data.scans.__main__ import main as convert_scans

    raise typer.Exit(convert_scans(context.args))


@data_app.command(context_settings=_PASS)
def backgrounds(context: typer.Context) -> None:
    """Make the pictures behind people that matting and estimation are trained on (`--help`)."""
    from turnaround.data.scenes.backgrounds import main as make_backgrounds

    make_backgrounds(context.args)


@data_app.command()
def wardrobe() -> None:
    """Fetch the clothes (CC0) that synthetic people wear."""
    from turnaround.data.clothes.wardrobe import PACKAGE, fetch

    with cli_fetch.progress_bar(f"{PACKAGE.name} {PACKAGE.version}") as progress:
        root = fetch(progress)
    typer.echo(str(root))


def main() -> None:
    """Entry point: 0 all done, 1 some photos failed, 2 a wrong call, 130 interrupted."""
    sys.exit(guarded(lambda: app(standalone_mode=False)))


def guarded(call: Callable[[], object]) -> int:
    """Run a command; faults of the call become a message and an exit code, interrupts end at once."""
    try:
        code = call()
    except (KeyboardInterrupt, typer.Abort):
        interrupts.end()
    except typer.Exit as stop:
        return stop.exit_code
    except BrokenPipeError:
        return 0
    except _USAGE as error:
        error.show()
        return 2
    except (ValueError, RuntimeError, OSError) as error:
        refused = isinstance(error, OSError) and error.errno in _DISK
        if type(error).__name__ not in _OURS and not refused:
            raise
        typer.echo(
            f"turnaround: {_of_the_disk(error) if isinstance(error, OSError) and refused else error}",
            err=True,
        )
        return 2
    if code == interrupts.INTERRUPTED:  # typer turns KeyboardInterrupt into this code
        interrupts.end()
    return code if isinstance(code, int) else 0


def _of_the_disk(error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = (
        "free some space, e.g. with `turnaround gc`"
        if full
        else "choose a place that you may use, with --out where there is one, or --work"
    )
    return f"{error.filename or 'the disk'}: {error.strerror}; {remedy}"


if __name__ == "__main__":
    main()
