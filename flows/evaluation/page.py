"""The evaluation's pictures: a strip per person, one contact sheet, and a page that shows them with their figures."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from data.sets import AZIMUTHS
from flows.evaluation.measure import Pictures, resized
from flows.evaluation.people import TestPerson
from flows.evaluation.summary import worst_first
from pipeline.codecs import load_image
from pipeline.preview import contact_sheet, to_pil

SHOWN = (0, 30, 60, 90, 150, 180, 210, 270)  # azimuths in degrees
_STYLE = (
    "body{font:14px sans-serif;margin:24px;color:#222} img{max-width:100%}"
    " table{border-collapse:collapse} td,th{padding:2px 12px;text-align:right}"
)


def write_strip(folder: Path, person: TestPerson, photo: Float[Tensor, "h w 3"], ours: Pictures) -> Path:
    """Two rows: the input and ours at eight azimuths; below, the truth."""
    views = [AZIMUTHS.index(a) for a in SHOWN]
    cells = [resized(photo, person.size), *ours[0][views], torch.ones_like(person.images[0]), *person.images[views]]
    rows, columns = _window(torch.maximum(ours[1], person.masks).amax(0))
    labels = [f"{person.name} input", *(f"ours {a}" for a in SHOWN), "", *(f"true {a}" for a in SHOWN)]
    path = folder / f"{person.name}.png"
    folder.mkdir(parents=True, exist_ok=True)
    to_pil(contact_sheet([cell[rows, columns] for cell in cells], labels, columns=1 + len(views), size=160)).save(path)
    return path


def _window(mask: Float[Tensor, "h w"]) -> tuple[slice, slice]:
    """The smallest square around the picture's middle that holds the mask, so that the person fills the cell."""
    size = mask.shape[0]
    where = (mask > 0.05).nonzero()
    half = (where + 0.5 - size / 2).abs().max().item() + 4 if len(where) else size / 2
    edge = max(0, int(size / 2 - half))
    return slice(edge, size - edge), slice(edge, size - edge)


def write_page(folder: Path, report: Mapping[str, Any], subjects: Sequence[Mapping[str, Any]]) -> Path:
    """`index.html` and `sheet.png` in `folder`, the worst person first; strips lie in `folder`/people."""
    order = worst_first(subjects)
    strips = [folder / "people" / f"{subject['name']}.png" for subject in order]
    if strips:
        to_pil(torch.cat([load_image(strip)[..., :3] for strip in strips])).save(folder / "sheet.png")
    parts = [f"<h1>{html.escape(report['suite'])}: {report['count']} people, {report['resolution']} px</h1>", _tables(report)]
    for subject in order:
        body = subject["body"]
        text = (
            f"{subject['name']}: {_number(subject['novel']['all']['psnr'])} dB, input {_number(subject['novel']['input']['psnr'])} dB, "
            f"body {_number(body['mpjpe_initial_mm'])} to {_number(body['mpjpe_refined_mm'])} mm"
        )
        parts.append(f'<h3>{html.escape(text)}</h3><img src="people/{subject["name"]}.png">')
    failures = [subject for subject in subjects if "failed" in subject]
    parts += [f"<p>{html.escape(s['name'])} failed in {html.escape(s['failed'])}: {html.escape(s['message'])}</p>" for s in failures]
    path = folder / "index.html"
    path.write_text(f'<!doctype html><meta charset="utf-8"><title>evaluation</title><style>{_STYLE}</style>' + "\n".join(parts))
    return path


def _tables(report: Mapping[str, Any]) -> str:
    rows = {"full": report["novel"]}
    for part in ("baselines", "ablations"):
        rows |= {name: values.get("novel") for name, values in report.get(part, {}).items()}
    novel = {name: (values or {}).get("all") or {} for name, values in rows.items()}
    splits = {name: values or {} for name, values in (report["novel"] or {}).items()}
    body = {"joints, mm": report["body"] or {}, "seconds": report["seconds"] or {}}
    tables = [("new views", novel), ("by view", splits), ("geometry", report["geometry"] or {}), ("back view", report["back_view"] or {})]
    return "".join(_table(title, rows) for title, rows in [*tables, *((name, {"": values}) for name, values in body.items())])


def _table(title: str, rows: Mapping[str, Any]) -> str:
    columns = list(dict.fromkeys(column for values in rows.values() for column in (values or {})))
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    lines = [
        f"<tr><th>{html.escape(name)}</th>" + "".join(f"<td>{_number((values or {}).get(column))}</td>" for column in columns) + "</tr>"
        for name, values in rows.items()
    ]
    return f"<h2>{html.escape(title)}</h2><table><tr><th></th>{head}</tr>{''.join(lines)}</table>"


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
