"""Two runs, or two work folders, subject by subject: settings that differ, pictures with their difference,
figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnaround.flows.report import gallery, rows
from turnaround.flows.report.document import Document
from turnaround.flows.report.page import write_page
from turnaround.flows.report.pairs import GAIN, Pairs
from turnaround.flows.report.rows import Row
from turnaround.flows.report.work import FOLDER, thumbs_of
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.recipe import Cause, Recipe, causes
from turnaround.pipeline.store.store import Record

if TYPE_CHECKING:
    from turnaround.flows.subjects.project import Project


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    label: str
    root: Path  # the work folder
    rows: dict[str, Row]  # by subject


def side_of(project: Project, work: Path, text: str) -> Side:
    """A work folder, the folder of a run, or the beginning of a run's name in `work`; ValueError with the
    known ones otherwise."""
    path = Path(text)
    if (path / "subjects").is_dir():
        return Side(path.resolve().name, path, {row.name: row for row in rows.of_work(project, path)})
    runs = {
        folder.name: folder
        for folder in sorted((work / "runs").glob("*/"))
        if (folder / "report.json").is_file()
    }
    found = (
        [path]
        if (path / "report.json").is_file()
        else [runs[text]]
        if text in runs
        else [f for n, f in runs.items() if n.startswith(text)]
    )
    if len(found) != 1:
        what = "several runs" if found else "neither a work folder nor a run"
        raise CallError(f"{text!r} is {what}; runs in {work}: {', '.join(runs) or 'none'}")
    run = found[0].resolve()
    return Side(run.name, run.parent.parent, {row.name: row for row in rows.of_run(run)})


def write_comparison(
    project: Project, work: Path, a: str, b: str, out: Path | None = None, *, standalone: bool = False
) -> Path:
    """Write the page of two sides; ValueError where one of them is nothing or they share no subject.

    The page and its thumbnails go into the first side's work folder, as those of the page of one; `out` moves
    the page.
    """
    old, new = (side_of(project, work, text) for text in (a, b))
    if not old.rows.keys() & new.rows.keys():
        raise CallError(f"{a} and {b} have no subject in common")
    home = work if old.root.resolve() == work.resolve() else old.root
    page = out or home / FOLDER / f"compare-{old.label}-{new.label}.html"
    thumbs = thumbs_of(home)
    document, pairs = Document(page, thumbs), Pairs(thumbs)
    found = [_subject(name, old, new, document, pairs) for name in dict.fromkeys([*old.rows, *new.rows])]
    thumbs.make()
    pairs.make()
    used = {
        token
        for subject in found
        for stage in subject["stages"].values()
        for token in stage["pairs"].values()
    }
    extra = {"inlined": thumbs.inlined()} if standalone else {}
    return write_page(
        page,
        document.head("compare", f"{old.label} | {new.label}")
        | {
            "labels": [old.label, new.label],
            "gain": GAIN,
            "subjects": found,
            "facts": {t: pairs.facts[t] for t in sorted(used)},
        }
        | {"settings": _settings(old, new), "verdict": verdict(old, new)}
        | extra,
    )


def verdict(old: Side, new: Side) -> str:
    """Say that the sides are equal, or how many subjects differ: in the bytes of an output, or in what was
    made."""
    names = list(dict.fromkeys([*old.rows, *new.rows]))
    differ = [name for name in names if not _equal(old.rows.get(name), new.rows.get(name))]
    number = f"{len(names)} subject{'s' * (len(names) != 1)}"
    return (
        f"{len(differ)} of {number} differ" if differ else f"equal: the same bytes in all outputs of {number}"
    )


def _equal(a: Row | None, b: Row | None) -> bool:
    made = [{cell.stage for cell in row.cells if cell.record is not None} if row else None for row in (a, b)]
    return made[0] == made[1] and not any(differing(x, y) for _, x, y in _both(a, b))


def _subject(name: str, old: Side, new: Side, document: Document, pairs: Pairs) -> dict[str, Any]:
    a, b = old.rows.get(name), new.rows.get(name)
    values: dict[str, Any] = {"name": name}
    values |= {
        "a": document.subject(a, old.root) if a else None,
        "b": document.subject(b, new.root) if b else None,
    }
    return values | {"stages": {stage: _stage(x, y, pairs) for stage, x, y in _both(a, b)}}


def _both(a: Row | None, b: Row | None) -> Iterator[tuple[str, Record, Record]]:
    """Stages that both rows have made."""
    second = {cell.stage: cell.record for cell in b.cells} if b else {}
    for cell in a.cells if a else ():
        other = second.get(cell.stage)
        if cell.record is not None and other is not None:
            yield cell.stage, cell.record, other


def _stage(a: Record, b: Record, pairs: Pairs) -> dict[str, Any]:
    """Causes of a difference, outputs that differ, and the pairs of pictures that do."""
    return {
        "causes": [str(cause) for cause in causes(Recipe.recorded(a.manifest), Recipe.recorded(b.manifest))],
        "outputs": differing(a, b),
        "pairs": {
            x.label: pairs.want((x.digest, a.path / x.file), (y.digest, b.path / y.file))
            for x, y in differing_pictures(a, b)
        },
    }


def differing(a: Record, b: Record) -> list[str]:
    """Names of outputs that are not the same bytes, those that only one has among them."""
    first, second = a.manifest["outputs"], b.manifest["outputs"]
    return [
        name
        for name in dict.fromkeys([*first, *second])
        if first.get(name, {}).get("sha256") != second.get(name, {}).get("sha256")
    ]


def differing_pictures(a: Record, b: Record) -> list[tuple[gallery.Picture, gallery.Picture]]:
    """Pictures of the same name whose bytes differ; films are left out."""
    others = {picture.file: picture for picture in gallery.pictures(b)}
    both = [(picture, others[picture.file]) for picture in gallery.pictures(a) if picture.file in others]
    return [(x, y) for x, y in both if x.digest != y.digest and x.file.endswith(".png")]


def _settings(old: Side, new: Side) -> list[dict[str, Any]]:
    """Settings, versions and weights that differ between the sides, with the number of subjects."""
    seen: Counter[tuple[str, str]] = Counter()
    causes_: dict[tuple[str, str], Cause] = {}
    for name, row in old.rows.items():
        for stage, a, b in _both(row, new.rows.get(name)):
            for cause in causes(Recipe.recorded(a.manifest), Recipe.recorded(b.manifest)):
                if cause.kind != "INPUT" or cause.what.startswith("given"):
                    seen[stage, str(cause)] += 1
                    causes_[stage, str(cause)] = cause
    return [
        {
            "stage": stage,
            "kind": causes_[stage, text].kind,
            "text": text.partition(" ")[2],
            "subjects": number,
        }
        for (stage, text), number in seen.items()
    ]
