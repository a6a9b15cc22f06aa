"""What a shell may complete: subjects of the work folder, stages, their outputs, presets. Imports nothing
heavy: it runs at each Tab."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import typer


def subjects(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the subjects in the work folder of the line so far."""
    return [name for name in _subjects(ctx) if name.startswith(incomplete)]


def stages(incomplete: str) -> list[str]:
    """Names of the stages."""
    from turnaround.stages import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


def targets(ctx: typer.Context, incomplete: str) -> list[str]:
    """SUBJECT/STAGE: first the subject, then its stages."""
    subject, slash, stage = incomplete.partition("/")
    if not slash:
        return [f"{name}/" for name in _subjects(ctx) if name.startswith(subject)]
    return [f"{subject}/{name}" for name in stages(stage)]


def outputs(ctx: typer.Context, incomplete: str) -> list[str]:
    """SUBJECT/STAGE/OUTPUT, the outputs as they lie in the subject's folder."""
    parts = incomplete.split("/")
    if len(parts) < 3:
        return [target + ("/" if "/" in incomplete else "") for target in targets(ctx, incomplete)]
    runs = (_work(ctx) / "subjects" / parts[0]).glob(f"[0-9][0-9]_{parts[1]}")
    files = sorted(
        file.name for run in runs for file in run.iterdir() if file.is_file() and file.name != "manifest.json"
    )
    return [f"{parts[0]}/{parts[1]}/{name}" for name in files if name.startswith(parts[2])]


def presets(incomplete: str) -> list[str]:
    """Presets, and yaml files of this folder."""
    folder = Path(str(files("turnaround.configs"))) / "presets"
    names = [file.stem for file in folder.glob("*.yaml")]
    return sorted(
        name
        for name in (*names, *(file.name for file in Path().glob("*.yaml")))
        if name.startswith(incomplete)
    )


def _work(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("work") or "work")


def _subjects(ctx: typer.Context) -> list[str]:
    return sorted(file.parent.name for file in (_work(ctx) / "subjects").glob("*/subject.json"))
