"""The evaluation's page: `index.html` with tables of all figures and every person's pictures, the worst first.

It is one file with relative JPEGs beside it, needs no server and no network, and sorts by a click on a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flows.evaluation.look import SCRIPT, STYLE
from flows.evaluation.summary import worst_first
from flows.evaluation.tables import Column, at, number, table, tables

REPORT = "report.json"  # beside the page
WORST = 10
# of a person; the bool tells whether more is better
COLUMNS = (
    Column("PSNR", "novel.all.psnr", True), Column("SSIM", "novel.all.ssim", True), Column("IoU", "novel.all.iou", True),
    Column("input PSNR", "novel.input.psnr", True), Column("front", "novel.front.psnr", True), Column("side", "novel.side.psnr", True),
    Column("back", "novel.back.psnr", True), Column("Chamfer cm", "geometry.raw.chamfer_cm", False),
    Column("P2S cm", "geometry.raw.p2s_cm", False), Column("NC", "geometry.raw.normal_consistency", True),
    Column("MPJPE est.", "body.mpjpe_initial_mm", False), Column("MPJPE ref.", "body.mpjpe_refined_mm", False),
    Column("back SSIM", "back_view.refined.ssim", True), Column("back sharpness", "back_view.refined.sharpness_ratio", True),
    Column("seconds", "seconds.total", False),
)  # fmt: skip


def write_page(folder: Path, report: Mapping[str, Any]) -> Path:
    """`index.html` in `folder`, beside which the people's pictures lie."""
    order = worst_first(report["subjects"])
    title = f"{report['suite']}: {report['count']} people, {report['resolution']} px"
    facts = f"config {report['config']} {' '.join(report['overrides'])}, commit {report['commit']}, {report['device']}"
    parts = [
        f"<h1>{escape(title)}</h1><p>{escape(facts)}</p>",
        "<div class='tables'>",
        *(f"<div><h2>{escape(name)}</h2>{html}</div>" for name, html in tables(report)),
        "</div>",
        f"<h2>Worst {min(WORST, len(order))}</h2>",
        *(_card(subject) for subject in order[:WORST]),
        "<h2>All people</h2><p>A click on a column sorts the table and the pictures below it.</p>",
        _people_table(order),
        '<div id="all">',
        *(_card(subject, anchor=True) for subject in order),
        "</div>",
        *_failures(report["subjects"]),
    ]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    path = folder / "index.html"
    path.write_text(f"{head}<body>{''.join(parts)}<script>{SCRIPT}</script></body></html>")
    return path


def _people_table(order: Sequence[Mapping[str, Any]]) -> str:
    head = "<th>person</th>" + "".join(f"<th data-up='{int(not column.more)}'>{escape(column.title)}</th>" for column in COLUMNS)
    rows = []
    for subject in order:
        name = escape(str(subject["name"]))
        values = [at(subject, column.path) for column in COLUMNS]
        cells = "".join(f"<td data-value='{'' if value is None else value}'>{number(value)}</td>" for value in values)
        rows.append(f"<tr data-name='{name}'><th><a href='#person-{quote(str(subject['name']))}'>{name}</a></th>{cells}</tr>")
    return f"<table id='people'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _card(subject: Mapping[str, Any], *, anchor: bool = False) -> str:
    name = escape(str(subject["name"]))
    facts = ", ".join(f"{column.title} {number(at(subject, column.path))}" for column in COLUMNS[:-1])
    overlaps = [row["iou"] for row in subject.get("matting", ())]
    if overlaps:
        facts += f", matting IoU {' '.join(f'{value:.3f}' for value in overlaps)}"
    images = "".join(
        f"<img class='{escape(kind)}' loading='lazy' src='{quote(file)}' alt='{name} {escape(kind)}'>"
        for kind, file in subject.get("pictures", {}).items()
    )
    where = f" id='person-{name}' data-name='{name}'" if anchor else ""
    return f"<section{where}><h3>{name}</h3><p>{escape(facts)}</p><div class='row'>{images}</div></section>"


def _failures(subjects: Sequence[Mapping[str, Any]]) -> list[str]:
    failed = [subject for subject in subjects if "failed" in subject]
    if not failed:
        return []
    rows = {str(s["name"]): {"failed in": s["failed"], "message": s["message"]} for s in failed}
    return ["<h2>Failed</h2>", table(rows)]
