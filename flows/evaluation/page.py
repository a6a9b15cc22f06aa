"""The evaluation's page: `index.html` with tables of all figures and every person's pictures, the worst
first.

It is one file with relative JPEGs beside it, needs no server and no network, and sorts by a click on a
column. `write_page` is that of the people's suites; `write_gallery` makes one of any figures and pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from turnaround.flows.evaluation.style import SCRIPT, STYLE
from turnaround.flows.evaluation.summary import worst_first
from turnaround.flows.evaluation.tables import Column, at, number, table, tables

REPORT = "report.json"  # beside the page
WORST = 10
# of a person; the bool tells whether more is better
COLUMNS = (
    Column("PSNR", "novel.all.psnr", True),
    Column("SSIM", "novel.all.ssim", True),
    Column("IoU", "novel.all.iou", True),
    Column("input PSNR", "novel.input.psnr", True),
    Column("front", "novel.front.psnr", True),
    Column("side", "novel.side.psnr", True),
    Column("back", "novel.back.psnr", True),
    Column("Chamfer cm", "geometry.raw.chamfer_cm", False),
    Column("P2S cm", "geometry.raw.p2s_cm", False),
    Column("NC", "geometry.raw.normal_consistency", True),
    Column("MPJPE est.", "body.mpjpe_initial_mm", False),
    Column("MPJPE ref.", "body.mpjpe_refined_mm", False),
    Column("hands mm", "body.hands_mm", False),
    Column("angle", "body.angle_deg", False),
    Column("back SSIM", "back_view.refined.ssim", True),
    Column("back sharpness", "back_view.refined.sharpness_ratio", True),
    Column("seconds", "seconds.total", False),
)


def write_page(folder: Path, report: Mapping[str, Any]) -> Path:
    """`index.html` in `folder`, beside which the people's pictures lie."""
    title = f"{report['suite']}: {report['count']} people, {report['resolution']} px"
    subjects = report["subjects"]
    gallery = Gallery(title, facts(report), tables(report), worst_first(subjects), COLUMNS, subjects)
    return write_gallery(folder, gallery)


@dataclass(frozen=True)
class Gallery:
    """What a page shows."""

    title: str
    facts: str
    tables: Sequence[tuple[str, str]]  # title and HTML
    order: Sequence[Mapping[str, Any]]  # who is shown, the worst first
    columns: Sequence[Column]  # of the table of all; the last one is not repeated at the pictures
    subjects: Sequence[Mapping[str, Any]]  # all, those that failed among them
    noun: str = "people"


def facts(report: Mapping[str, Any]) -> str:
    """How a report was made."""
    settings = " ".join((report["config"], *report["overrides"]))
    return f"config {settings}, commit {report['commit']}, {report['device']}"


def write_gallery(folder: Path, gallery: Gallery) -> Path:
    """`index.html` in `folder`, with the tables, the worst and then all of them."""
    order, columns = gallery.order, gallery.columns
    parts = [
        f"<h1>{escape(gallery.title)}</h1><p>{escape(gallery.facts)}</p>",
        "<div class='tables'>",
        *(f"<div><h2>{escape(name)}</h2>{html}</div>" for name, html in gallery.tables),
        "</div>",
        f"<h2>Worst {min(WORST, len(order))}</h2>",
        *(_card(subject, columns) for subject in order[:WORST]),
        f"<h2>All {gallery.noun}</h2><p>A click on a column sorts the table and the pictures below it.</p>",
        _people_table(order, columns),
        '<div id="all">',
        *(_card(subject, columns, anchor=True) for subject in order),
        "</div>",
        *_failures(gallery.subjects),
    ]
    title = f'<meta charset="utf-8"><title>{escape(gallery.title)}</title>'
    path = folder / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f'<!doctype html><html lang="en">{title}<style>{STYLE}</style>'
    path.write_text(f"{head}<body>{''.join(parts)}<script>{SCRIPT}</script></body></html>")
    return path


def _people_table(order: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> str:
    titles = (f"<th data-up='{int(not column.more)}'>{escape(column.title)}</th>" for column in columns)
    head = "<th>name</th>" + "".join(titles)
    rows: list[str] = []
    for subject in order:
        name = escape(str(subject["name"]))
        values = [at(subject, column.path) for column in columns]
        cells = "".join(
            f"<td data-value='{'' if value is None else value}'>{number(value)}</td>" for value in values
        )
        link = f"<a href='#person-{quote(str(subject['name']))}'>{name}</a>"
        rows.append(f"<tr data-name='{name}'><th>{link}</th>{cells}</tr>")
    return f"<table id='people'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _card(subject: Mapping[str, Any], columns: Sequence[Column], *, anchor: bool = False) -> str:
    name = escape(str(subject["name"]))
    told = ", ".join(f"{column.title} {number(at(subject, column.path))}" for column in columns[:-1])
    overlaps = [row["iou"] for row in subject.get("matting", ())]
    if overlaps:
        told += f", matting IoU {' '.join(f'{value:.3f}' for value in overlaps)}"
    images = "".join(
        f"<img class='{escape(kind)}' loading='lazy' src='{quote(file)}' alt='{name} {escape(kind)}'>"
        for kind, file in subject.get("pictures", {}).items()
    )
    where = f" id='person-{name}' data-name='{name}'" if anchor else ""
    return f"<section{where}><h3>{name}</h3><p>{escape(told)}</p><div class='row'>{images}</div></section>"


def _failures(subjects: Sequence[Mapping[str, Any]]) -> list[str]:
    failed = [subject for subject in subjects if {"failed", "error"} & set(subject)]
    told = [(s.get("failed"), s.get("message") or s.get("error")) for s in failed]
    rows = {str(s["name"]): {"failed in": t[0], "message": t[1]} for s, t in zip(failed, told, strict=True)}
    return ["<h2>Failed</h2>", table(rows)] if rows else []
