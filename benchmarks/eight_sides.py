"""A sheet of photos from eight sides, before and after: photo, then 0, 45, ... 315 degrees.

    turnaround run PHOTOS --work NEW
    python -m benchmarks.eight_sides --work NEW --before OLD --out docs/sides.jpg

With --before every photo has two rows, the one before above. Nothing is measured: the sheet is to look at.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.photo_bodies import record
from turnaround.flows.evaluation.measures.final import FINAL
from turnaround.flows.evaluation.pictures.eight_sides import row
from turnaround.pipeline.formats.preview import to_pil
from turnaround.pipeline.store.store import Store


def subject_row(work: Path, name: str, cell: int) -> torch.Tensor:
    """The row of one subject of a work folder; SystemExit where a stage is not done."""
    store, subject = Store(work), work / "subjects" / name
    stage = next((stage for stage in FINAL if any(subject.glob(f"??_{stage}"))), FINAL[-1])
    view, gaussians = (
        record(store, subject, "prepare").load("view"),
        record(store, subject, stage).load("gaussians"),
    )
    return row(view, gaussians, cell)


def stacked(rows: list[torch.Tensor]) -> torch.Tensor:
    """Rows of any width below each other, each in the middle."""
    widest = max(one.shape[1] for one in rows)
    gaps = [widest - one.shape[1] for one in rows]
    margins = [(0, 0, gap // 2, gap - gap // 2) for gap in gaps]
    return torch.cat([F.pad(one, margin, value=1.0) for one, margin in zip(rows, margins, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="work folder")
    parser.add_argument("--before", type=Path, help="another, of the same photos")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    parser.add_argument("--only", nargs="*", default=(), help="subjects; by default all")
    parser.add_argument("--cell", type=int, default=512, help="pixels of a row's height")
    options = parser.parse_args()
    known = sorted(path.name for path in (options.work / "subjects").iterdir() if path.is_dir())
    works = [work for work in (options.before, options.work) if work is not None]
    names = [name for name in known if not options.only or name in options.only]
    sheet = to_pil(stacked([subject_row(work, name, options.cell) for name in names for work in works]))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.out, quality=86)


if __name__ == "__main__":
    main()
