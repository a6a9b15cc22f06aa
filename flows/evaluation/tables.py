"""The figures of a report as HTML tables."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple


class Column(NamedTuple):
    """A figure of a person: its title, where it is, and whether more of it is better."""

    title: str
    path: str
    more: bool


def at(tree: Mapping[str, Any], path: str) -> Any:
    """The leaf at a dotted path; None where there is none."""
    value: Any = tree
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


_BODY = ("mpjpe", "pa_mpjpe", "pelvis", "hands")


def tables(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Title and HTML of every table of the report."""
    variants = {"full": report, **report.get("baselines", {})}
    ablations = report.get("ablations", {})
    geometry = dict(report["geometry"] or {})
    geometry |= {
        f"{name}, raw": at(values, "geometry.raw")
        for name, values in variants.items()
        if name != "full" and "geometry" in values
    }
    found = [
        (
            "New views: the 11 that are not the input",
            table({name: at(values, "novel.all") for name, values in variants.items()}),
        ),
        ("The full model by view", table(report["novel"] or {})),
        ("At 1,024 px (truth: sharpness 1, VGG distance 0)", table(report.get("detail") or {})),
        ("Geometry, cm", table(geometry)),
        ("Body, mm and degrees", table(body_rows(report["body"] or {}))),
        ("View from behind", table(report["back_view"] or {})),
        ("Ablations", table({name: _ablation(values) for name, values in ablations.items()})),
        ("Released script's protocol", table({"": report.get("hgm_protocol")})),
        ("Matting over held-out backgrounds", table({"": _flat(report.get("matting") or {})})),
        (
            "Seconds",
            table(
                {
                    "mean": report["seconds"],
                    "first": report.get("seconds_first"),
                    "median": report.get("seconds_median"),
                }
            ),
        ),
        ("Body by joint, mm", table(transposed(at(report, "body.per_joint_mm") or {}))),
    ]
    return [(title, html) for title, html in found if html]


def body_rows(errors: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of the body's figures: as estimated, refined, and refined the other way with the side views."""
    rows: dict[str, Any] = {}
    for row in ("initial", "refined"):
        rows[row] = {name: errors.get(f"{name}_{row}_mm") for name in _BODY}
        rows[row]["angle, degrees"] = errors.get(f"angle_{row}_deg")
    others = {
        f"refined, {name.replace('_', ' ')}": errors.get(f"mpjpe_{name}_mm")
        for name in ("side_views", "no_side_views")
    }
    return rows | {name: {"mpjpe": value} for name, value in others.items() if value is not None}


def transposed(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Columns as rows."""
    names = dict.fromkeys(name for values in rows.values() for name in values)
    return {name: {row: values.get(name) for row, values in rows.items()} for name in names}


def _ablation(values: Mapping[str, Any]) -> dict[str, Any]:
    novel, raw, body = (
        at(values, "novel.all") or {},
        at(values, "geometry.raw") or {},
        values.get("body") or {},
    )
    names = ("mpjpe_refined_mm", "pa_mpjpe_refined_mm", "hands_mm", "angle_deg")
    chosen = {name: body.get(name) for name in names}
    chosen |= {f"vgg {group}": figures["vgg"] for group, figures in (values.get("detail") or {}).items()}
    return {
        **novel,
        "input_psnr": at(values, "novel.input.psnr"),
        **raw,
        **chosen,
        "count": values.get("count"),
    }


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= (
            {f"{name} {key}": entry for key, entry in value.items()}
            if isinstance(value, Mapping)
            else {name: value}
        )
    return flat


def table(rows: Mapping[str, Any]) -> str:
    """One table; empty text where there is nothing to show."""
    columns = list(dict.fromkeys(column for values in rows.values() for column in (values or {})))
    if not columns:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = [
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{number((values or {}).get(column))}</td>" for column in columns)
        + "</tr>"
        for name, values in rows.items()
    ]
    table = f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f"<div class='scroll'><table>{table}</table></div>"


def number(value: Any) -> str:
    """Three digits, or one after the point; a dash for what is not known."""
    if isinstance(value, str):
        return escape(value)
    if value is None or isinstance(value, int):
        return "-" if value is None else str(value)
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
