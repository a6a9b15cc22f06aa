"""What a run leaves behind: runs/<time>_<config>/ with config.yaml, report.json, failures.json and report.html."""

from __future__ import annotations

import html
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.execute import Result
from pipeline.config import Settings
from pipeline.store import Store

_STYLE = """body{font:15px system-ui;margin:2em;background:#fafafa;color:#222}
h2{margin:1.6em 0 .3em} .failed{color:#b00020} .row{display:flex;flex-wrap:wrap;gap:10px}
figure{margin:0;background:#fff;border:1px solid #ddd;padding:6px;font-size:12px} img,video{height:190px;display:block}
table{border-collapse:collapse} td,th{padding:2px 12px 2px 0;text-align:left}"""


def write(root: Path, settings: Settings, results: Sequence[Result], seconds: float, command: str, photos: dict[str, Path]) -> Path:
    """Write the run's folder and return it."""
    import yaml

    folder = _new_folder(root / "runs", f"{time.strftime('%Y%m%d-%H%M%S')}_{settings.name}")
    failed = [result for result in results if not result.ok]
    (folder / "config.yaml").write_text(yaml.safe_dump(settings.dump(), sort_keys=False))
    summary = {"seconds": round(seconds, 2), "subjects": {r.subject: _summary(r) for r in results}, "resume": command if failed else None}
    _write_json(folder / "report.json", summary)
    _write_json(folder / "failures.json", [_summary(r) | {"subject": r.subject, "trace": r.trace} for r in failed])
    (folder / "report.html").write_text(_page(root, folder, results, seconds, command, photos))
    return folder


def _new_folder(parent: Path, name: str) -> Path:
    for attempt in range(1000):
        folder = parent / (name if attempt == 0 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{parent / name}: too many runs in one second")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


def _summary(result: Result) -> dict[str, Any]:
    values: dict[str, Any] = {"photo": result.photo, "ok": result.ok, "stages": result.stages}
    return values if result.ok else values | {"failed": result.failed, "fault": result.fault, "message": result.message}


def _page(root: Path, folder: Path, results: Sequence[Result], seconds: float, command: str, photos: dict[str, Path]) -> str:
    """A static page: every subject, every picture of every stage."""
    failed = sum(not result.ok for result in results)
    parts = [f"<!doctype html><meta charset=utf-8><title>Turnaround</title><style>{_STYLE}</style><h1>Turnaround</h1>"]
    parts.append(f"<p>{len(results)} photos, {failed} failed, {seconds:.1f} s</p>")
    if failed:
        parts.append(f"<p>Resume: <code>{html.escape(command)}</code></p>")
    for result in results:
        parts.append(f"<h2>{html.escape(result.subject)}</h2>")
        if not result.ok:
            parts.append(f"<p class=failed>{html.escape(result.failed or '')}: {html.escape(result.message)}</p>")
        photo = _figure(os.path.relpath(photos[result.subject], folder), "photo")
        figures = [photo, *_figures(Store(root), result, folder)]
        parts.append(f"<div class=row>{''.join(figures)}</div><table><tr><th>stage<th>state<th>seconds</tr>")
        for name, stage in result.stages.items():
            parts.append(f"<tr><td>{html.escape(name)}<td>{stage['state']}<td>{stage['seconds']:.2f}</tr>")
        parts.append("</table>")
    return "\n".join(parts) + "\n"


def _figures(store: Store, result: Result, folder: Path) -> list[str]:
    figures = []
    for name, stage in result.stages.items():
        if stage["key"] is None:
            continue
        path = store.path(name, stage["key"])
        for file in sorted(path.rglob("*")):
            if file.suffix in (".png", ".mp4"):
                figures.append(_figure(os.path.relpath(file, folder), f"{name}/{file.relative_to(path).with_suffix('')}"))
    return figures


def _figure(url: str, caption: str) -> str:
    source, text = html.escape(url, quote=True), html.escape(caption)
    media = f'<video src="{source}" controls loop></video>' if url.endswith(".mp4") else f'<img src="{source}" loading=lazy>'
    return f"<figure>{media}{text}</figure>"
