"""Where the results of a subject lie, as a person finds them."""

from __future__ import annotations

from pathlib import Path

from turnaround.pipeline.store.runs import LinkedRuns
from turnaround.pipeline.store.store import Record

WANTED = (  # what a person wants of a subject: (stage, output, ending), of one ending the first that is there
    ("texture", "mesh", ".glb"),
    ("detail", "mesh", ".glb"),
    ("mesh", "mesh", ".glb"),
    ("detail", "gaussians", ".ply"),
    ("fuse", "gaussians", ".ply"),
    ("turntable", "turntable", ".mp4"),
    ("turntable", "sheet", ".png"),
)


def files_of(store: LinkedRuns, subject: str) -> list[Path]:
    """Find the files of a subject that a person wants: mesh, Gaussians, film, contact sheet; those that are
    there."""
    found: dict[str, Path] = {}
    for stage, output, ending in WANTED:
        record = None if ending in found else store.linked(subject, stage)
        if record is not None and output in record.manifest["outputs"]:
            found[ending] = folder_of(store, subject, record) / record.file(output).name
    return list(found.values())


def folder_of(store: LinkedRuns, subject: str, record: Record) -> Path:
    """Return the stage's folder as a person finds it: subjects/NAME/NN_stage, in the cache where links are
    not possible."""
    place = next(store.subject(subject).glob(f"[0-9][0-9]_{record.manifest['stage']}"), None)
    return place if place is not None and place.resolve() == record.path.resolve() else record.path
