"""The commands `data ...`: synthetic people to learn from and to test on."""

from __future__ import annotations

import typer

from turnaround.flows.cli.fetch import progress_bar
from turnaround.flows.cli.options import PASS

data = typer.Typer(
    no_args_is_help=True, help="Synthetic people to learn from and to test on.", rich_markup_mode=None
)


@data.command(context_settings=PASS)
def people(context: typer.Context) -> None:
    """Make a set of dressed synthetic people.

    `--help` tells its options.
    """
    from turnaround.data.sets.__main__ import main as make_people

    make_people(context.args)


@data.command(context_settings=PASS)
def landmarks(context: typer.Context) -> None:
    """Make a set of landmarks found on synthetic people.

    What networks find on rendered people, with the truth; `--help` tells its options.
    """
    from turnaround.data.sets.landmarks import main as make_landmarks

    make_landmarks(context.args)


@data.command(context_settings=PASS)
def scans(context: typer.Context) -> None:
    """Convert real scans for training and evaluation.

    THuman2.0, Custom Humans, HuMMan and HGM renders; `--help` tells the options.
    """
    from turnaround.data.scans.__main__ import main as convert_scans

    raise typer.Exit(convert_scans(context.args))


@data.command(context_settings=PASS)
def rig(context: typer.Context) -> None:
    """Convert pictures of several calibrated cameras.

    Your own footage, ZJU-MoCap, EasyMocap, HuMMan and RenderPeople; `--help` tells the options.
    """
    from turnaround.data.rigs.__main__ import main as convert_rig

    raise typer.Exit(convert_rig(context.args))


@data.command(context_settings=PASS)
def backgrounds(context: typer.Context) -> None:
    """Make the pictures behind synthetic people.

    Matting and estimation are trained on them; `--help` tells the options.
    """
    from turnaround.data.scenes.__main__ import main as make_backgrounds

    make_backgrounds(context.args)


@data.command()
def wardrobe() -> None:
    """Fetch the clothes (CC0) that synthetic people wear."""
    from turnaround.data.clothes.wardrobe import PACKAGE, fetch

    with progress_bar(f"{PACKAGE.name} {PACKAGE.version}") as progress:
        root = fetch(progress)
    typer.echo(str(root))
