"""The command line `turnaround`. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from turnaround.flows.cli.animate import animate
from turnaround.flows.cli.bench import bench
from turnaround.flows.cli.compare import compare
from turnaround.flows.cli.config import config
from turnaround.flows.cli.data import data
from turnaround.flows.cli.diff import diff
from turnaround.flows.cli.doctor import doctor
from turnaround.flows.cli.evaluate import evaluate
from turnaround.flows.cli.export import export
from turnaround.flows.cli.fetch import fetch
from turnaround.flows.cli.gc import gc
from turnaround.flows.cli.graph import graph
from turnaround.flows.cli.groups import Grouped
from turnaround.flows.cli.init import init
from turnaround.flows.cli.inspect import inspect
from turnaround.flows.cli.open import open_subject
from turnaround.flows.cli.options import PASS
from turnaround.flows.cli.override import override
from turnaround.flows.cli.pose import pose
from turnaround.flows.cli.report import report
from turnaround.flows.cli.rerun import rerun
from turnaround.flows.cli.run import run
from turnaround.flows.cli.server import server
from turnaround.flows.cli.status import status
from turnaround.flows.cli.sweep import sweep
from turnaround.flows.cli.train import train
from turnaround.flows.cli.verify import verify
from turnaround.flows.cli.view import view
from turnaround.flows.cli.why import why
from turnaround.flows.runs import interrupts
from turnaround.pipeline.errors import TurnaroundError
from turnaround.pipeline.files import FULL

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
_USAGE: Any = typer.BadParameter.mro()[2]  # the ClickException of the click that typer brings
_DISK = (*FULL, errno.EROFS, errno.EACCES)  # faults of the disk, told without a trace


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


for _command in (
    run, export, animate, pose, status, view, report, inspect, why, diff, graph, rerun, override, sweep,
    config, init, evaluate, compare, bench, doctor, fetch, verify, gc, server,
):  # fmt: skip
    app.command()(_command)
app.command("open")(open_subject)
app.command(context_settings=PASS)(train)
app.add_typer(data, name="data")


def main() -> None:
    """Entry point: 0 all done, 1 some photos failed, 2 a wrong call, 130 interrupted."""
    interrupts.leave(guarded(lambda: app(standalone_mode=False)))


def guarded(call: Callable[[], object]) -> int:
    """Run a command; faults of the call become a message and an exit code, interrupts end at once."""
    try:
        with interrupts.at_once():
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
    except TurnaroundError as error:
        return _tell(str(error))
    except OSError as error:
        if error.errno not in _DISK:
            raise
        return _tell(_of_the_disk(error))
    if code == interrupts.INTERRUPTED:  # typer turns KeyboardInterrupt into this code
        interrupts.end()
    return code if isinstance(code, int) else 0


def _tell(message: str) -> int:
    logging.getLogger(__name__).debug("the fault came from here", exc_info=True)
    typer.echo(f"turnaround: {message}", err=True)
    return 2


def _of_the_disk(error: OSError) -> str:
    full = error.errno in FULL
    remedy = (
        "free some space, e.g. with `turnaround gc`"
        if full
        else "choose a place that you may use, with --out where there is one, or --work"
    )
    return f"{error.filename or 'the disk'}: {error.strerror}; {remedy}"


if __name__ == "__main__":
    main()
