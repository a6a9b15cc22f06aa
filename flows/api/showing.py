"""A person on screen: the viewer in a browser, the offline page inside a notebook, a small contact sheet."""

from __future__ import annotations

import base64
import html
import importlib
import io
import logging
import sys
import webbrowser
from collections.abc import Mapping
from typing import Any

from turnaround.kept import KeptRuns
from turnaround.pipeline.errors import CallError

log = logging.getLogger(__name__)

_SHEETS = (("turntable", "sheet"), ("prepare", "view"))  # pictures of a person, the best first
_WIDEST = 900  # pixels of the small sheet
_TALL = 640  # pixels of the page in a notebook
_PORT = 8080  # as `turnaround view`; the next free one is taken


class Page:
    """An HTML page as the output of a notebook's cell, in a frame of its own."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_html_(self) -> str:
        style = f"width:100%;height:{_TALL}px;border:0"
        return f'<iframe srcdoc="{html.escape(self.text)}" style="{style}" allowfullscreen></iframe>'


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None


def show_inline(runs: KeptRuns, subject: str) -> None:
    """Put the page of a person into the output of the cell; CallError where there is no IPython."""
    from turnaround.flows.exports.export import page_of

    try:
        display = importlib.import_module("IPython.display").display  # a notebook brings it
    except ImportError as error:
        raise CallError(
            "show(inline=True) needs IPython, which notebooks bring; elsewhere show(), or save('x.html')"
        ) from error
    display(Page(page_of(runs, subject)[0]))


def show_viewer(runs: KeptRuns, subject: str) -> None:
    """Open the viewer in the browser and serve it until Ctrl-C; CallError where viser is missing."""
    from turnaround.flows.viewer.scene import open_scene
    from turnaround.flows.viewer.serve import start

    window = start(open_scene(runs.root, subject, runs), port=_PORT)
    url = f"http://localhost:{window.port}"
    sys.stderr.write(f"{subject}: {url} (Ctrl-C ends it)\n")
    try:
        webbrowser.open(url)
        window.wait()
    except KeyboardInterrupt:
        log.debug("the viewer of %s was closed", subject)
    finally:
        window.close()


def sheet(runs: KeptRuns, subject: str) -> bytes | None:
    """A small PNG of the person from all sides, or of the view where the turntable was not made; None for
    neither."""
    from PIL import Image

    for stage, output in _SHEETS:
        record = runs.linked(subject, stage)
        if record is None or output not in record.manifest["outputs"]:
            continue
        record.check(output)
        with Image.open(record.file(output)) as image:
            image.thumbnail((_WIDEST, _WIDEST))
            stream = io.BytesIO()
            image.save(stream, "png")
        return stream.getvalue()
    return None


def card(title: str, fit: Mapping[str, Any] | None, png: bytes | None) -> str:
    """HTML of a person: what it is, why its fit is poor, the small sheet."""
    causes = [f"{cause['sentence']}; {cause['remedy']}" for cause in fit["causes"]] if fit else []
    lines = "".join(f"<li>{html.escape(text)}</li>" for text in causes)
    picture = "" if png is None else f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    return (
        f"<div><p><code>{html.escape(title)}</code></p>{f'<ul>{lines}</ul>' if lines else ''}{picture}</div>"
    )
