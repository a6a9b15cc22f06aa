"""The static page: styles, script (the modules of assets/, bundled) and data in one HTML file that runs
nothing else and fetches nothing from elsewhere.

Every word from outside (names, messages, settings) travels as json and is put into the page as text, never as
markup; the content policy admits exactly this file's own style and script by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from functools import cache
from pathlib import Path
from typing import Any

from turnaround.flows.report.bundle import bundle
from turnaround.pipeline.files import write_atomic

_ASSETS = Path(__file__).resolve().parent / "assets"
_STYLES = ("page.css", "table.css", "overlay.css", "compare.css")
_ENTRY = "main"  # the module that starts the page
_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
)  # so that no string ends the script element


def write_page(file: Path, document: dict[str, Any]) -> Path:
    """Write `document` as a page in one rename."""
    write_atomic(file, render(document).encode("ascii"))
    return file


def render(document: dict[str, Any]) -> str:
    """The page, all ASCII."""
    style, script = _joined(_STYLES), _program()
    policy = (
        f"default-src 'none'; style-src 'sha256-{_sha(style)}'; script-src 'sha256-{_sha(script)}'; "
        "img-src 'self' file: data:; media-src 'self' file: data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        'content="light dark">\n'
        f"<title>{_ascii(document['title'])} - Turnaround</title>\n<style>{style}</style></head>\n<body>\n"
        "<noscript>This page needs JavaScript, its own only.</noscript>\n"
        f'<script type="application/json" id="data">{as_script_data(document)}</script>\n'
        f'<script type="module">{script}</script>\n</body></html>\n'
    )


def as_script_data(value: Any) -> str:
    """Json that may stand in a script element."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False).translate(_ESCAPES)


def _ascii(text: str) -> str:
    """Text as HTML without any other character; half surrogates (undecodable file names) become question
    marks."""
    return html.escape(text.encode("utf-8", "replace").decode()).encode("ascii", "xmlcharrefreplace").decode()


@cache
def _joined(names: tuple[str, ...]) -> str:
    return "\n" + "\n".join((_ASSETS / name).read_text(encoding="ascii") for name in names)


@cache
def _program() -> str:
    return "\n" + bundle(_ASSETS, _ENTRY)


def _sha(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
