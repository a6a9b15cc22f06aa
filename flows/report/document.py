"""The data of a report's page: rows as json, with settings that many subjects share written once."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from turnaround.flows.report import gallery
from turnaround.flows.report.rows import Cell, Row
from turnaround.flows.report.thumbs import SHOWN, Thumbs
from turnaround.pipeline.store.recipe import flatten
from turnaround.pipeline.store.store import Store


class Pool:
    """Values that recur: each is kept once and named by its index."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._index: dict[str, int] = {}

    def add(self, value: Any) -> int:
        """The index of a json value."""
        text = json.dumps(value, sort_keys=True)
        if text not in self._index:
            self._index[text] = len(self.values)
            self.values.append(value)
        return self._index[text]


class Document:
    """Collects subjects for the page at `page`, which shows artifacts of work folders by relative links."""

    def __init__(self, page: Path, thumbs: Thumbs) -> None:
        self.page, self.thumbs = page, thumbs
        self.pool = Pool()
        self._stores: dict[Path, Store] = {}
        self._stages: dict[str, None] = {}

    def head(self, kind: str, title: str) -> dict[str, Any]:
        """What every page has; call it after all subjects are in."""
        return {
            "kind": kind,
            "title": title,
            "made": time.strftime("%Y-%m-%d %H:%M:%S"),
            "stages": list(self._stages),
            "bases": [relative_url(root, self.page) for root in self._stores],
            "thumbs": relative_url(self.thumbs.folder, self.page),
            "unseen": self.thumbs.unseen,
            "pool": self.pool.values,
        }

    def subject(self, row: Row, root: Path) -> dict[str, Any]:
        """One row of a work folder as json."""
        store = self._stores.setdefault(root, Store(root))
        cells, fits = {}, []
        for cell in row.cells:
            self._stages.setdefault(cell.stage)
            try:
                cells[cell.stage], fit = self._cell(cell)
            except (KeyError, TypeError, ValueError, AttributeError) as error:  # a stranger's manifest
                cells[cell.stage], fit = (
                    {
                        "state": "UNKNOWN",
                        "note": f"the manifest is not as expected ({type(error).__name__}: {error})",
                    },
                    None,
                )
            fits += [fit] if fit else []
        seconds = [cell["seconds"] for cell in cells.values() if cell.get("seconds") is not None]
        return {
            "name": row.name,
            "base": list(self._stores).index(root),
            "photo": self._photo(row.photo, store),
            "error": row.error,
            "config": row.config,
            "overrides": list(row.overrides),
            "fit": fits[-1] if fits else None,
            "seconds": round(sum(seconds), 3) if seconds else None,
            "cells": cells,
            "given": dict(row.given),
        }

    def _cell(self, cell: Cell) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """One stage as json, and the fit quality if the stage measures it."""
        values: dict[str, Any] = {"state": cell.state}
        values |= {"causes": list(cell.causes)} if cell.causes else {}
        values |= {"note": cell.note} if cell.note else {}
        if cell.record is None:
            return values, None
        manifest, shown = cell.record.manifest, gallery.pictures(cell.record)
        values |= {
            "key": cell.record.key,
            "seconds": gallery.number(manifest.get("seconds")),
            "device": str(manifest.get("device", "")),
            "version": manifest["version"],
            "finished": str(manifest.get("finished", "")),
            "config": self.pool.add(flatten(manifest["config"])),
            "weights": self.pool.add(manifest["weights"]),
            "packages": self.pool.add(manifest.get("packages", {})),
            "inputs": {name: digest[:12] for name, digest in manifest["inputs"].items()},
            "pics": [[p.file, self.thumbs.want(p.digest, cell.record.path / p.file)] for p in shown],
            "files": [
                [file, kind, size, digest[:12]] for file, kind, size, digest in gallery.files(cell.record)
            ],
        }
        values |= {"given": sorted(manifest["given"])} if manifest.get("given") else {}
        pair = gallery.pair(shown)
        values |= {"pair": list(pair)} if pair else {}
        fit, facts = None, []
        for name, trace in gallery.traces(cell.record):
            curves = gallery.curves(trace)
            values |= {"curves": curves} if curves else {}
            fit = fit or gallery.fit(trace)
            facts += gallery.few_facts(name, trace)
        return values | ({"facts": facts} if facts else {}), fit

    def _photo(self, file: Path | None, store: Store) -> dict[str, Any] | None:
        """Link and thumbnail of the photo; without a thumbnail where the file is gone."""
        if file is None:
            return None
        values: dict[str, Any] = {"url": relative_url(file, self.page), "name": file.name}
        try:
            if not file.is_file():  # a device, say, would never end
                return values | {"gone": "there is no such file"}
            digest = store.memo.digest(file)
        except (OSError, ValueError) as error:
            return values | {"gone": str(error)}
        values["thumb"] = self.thumbs.want(digest, file)
        if file.suffix.lower() not in SHOWN:
            values["large"] = self.thumbs.want_preview(digest, file)
        return values


def relative_url(target: Path, page: Path) -> str:
    """URL of a file or folder from the page, with everything quoted that a URL gives a meaning to (% # ? and
    all but ASCII)."""
    try:
        path = os.path.relpath(os.path.abspath(target), os.path.dirname(os.path.abspath(page)))
    except ValueError:  # another drive
        return Path(target).absolute().as_uri()
    return "/".join(quote(os.fsencode(part), safe="") for part in Path(path).parts)
