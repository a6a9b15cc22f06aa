"""What Prefect's page shows of a run: each subject's contact sheet and a table of all. Never a reason for a
run to fail."""

from __future__ import annotations

import base64
import io
import logging
import re
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import httpx

from turnaround.flows.runs.execute import Job, Result
from turnaround.pipeline.store.manifest import Record
from turnaround.pipeline.store.store import Store

log = logging.getLogger(__name__)

_AGAIN = 60.0  # seconds
_WIDTH = 880  # pixels of a sheet on the page
_PICTURES = {"Image": "{}", "Images": "{}/*.png", "View": "{}"}


_lost: list[float] = []  # when the server was last found not to answer, in this process


def _best_effort(show: Callable[..., None]) -> Callable[..., None]:
    """A picture that cannot be shown is a warning; a server that is gone is not asked again for a minute."""

    @wraps(show)
    def shown(*arguments: Any) -> None:
        if _lost and time.monotonic() - _lost[0] < _AGAIN:
            return
        try:
            show(*arguments)
        except Exception as error:  # whatever the server, its client or a reader of pictures raise
            log.warning("Prefect's page will not show this (%s): %s", show.__name__, error)
            if isinstance(error, httpx.TransportError):
                _lost[:] = [time.monotonic()]

    return shown


@_best_effort
def show_subject(job: Job, result: Result) -> None:
    """The contact sheet, or the last picture that was made, with seconds and failure, as a markdown artifact
    of the task."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(
        subject_markdown(job, result),
        key=_key("subject", result.subject),
        description=f"{result.subject}: {_state(result)}",
    )


@_best_effort
def show_run(results: Sequence[Result]) -> None:
    """A row for each subject as a table artifact of the flow."""
    from prefect.artifacts import create_table_artifact

    failed = sum(not result.ok for result in results)
    create_table_artifact(
        run_table(results), key="run", description=f"{len(results)} photos, {failed} failed"
    )


def subject_markdown(job: Job, result: Result) -> str:
    """The page of a subject. Names and messages come from strangers: they are shown as code, never as
    markup."""
    parts = [f"## {_code(result.subject)}: {_state(result)}"]
    picture = contact_sheet(Store(job.folder), result)
    if picture is not None:
        parts.append(
            f"![contact sheet](data:image/jpeg;base64,{base64.b64encode(thumbnail(picture)).decode()})"
        )
    if not result.ok:
        parts.append(f"failed in {_code(result.failed or '')}: {_code(result.message)}")
    rows = [
        f"| {name} | {facts['state']} | {facts['seconds']:.2f} | {facts['key'] or ''} |"
        for name, facts in result.stages.items()
    ]
    parts.append("\n".join(["| stage | state | seconds | key |", "|---|---|---:|---|", *rows]))
    parts.append(f"in {_code(str(Store(job.folder).subject(result.subject)))}")
    return "\n\n".join(parts) + "\n"


def run_table(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One row a subject."""
    return [
        {
            "subject": result.subject,
            "state": _state(result),
            "made": sum(facts["state"] == "made" for facts in result.stages.values()),
            "fresh": sum(facts["state"] == "fresh" for facts in result.stages.values()),
            "seconds": round(sum(facts["seconds"] for facts in result.stages.values()), 2),
            "message": result.message,
        }
        for result in results
    ]


def contact_sheet(store: Store, result: Result) -> Path | None:
    """The picture called `sheet` of the last stage that made one, else the last picture of all; None where
    there is none."""
    found: list[Path] = []
    for stage, facts in result.stages.items():
        record = store.read(store.path(stage, facts["key"])) if facts["key"] else None
        if record is not None:
            found += _pictures(record)
    sheets = [path for path in found if path.stem == "sheet"]
    return (sheets or found or [None])[-1]


def _pictures(record: Record) -> list[Path]:
    outputs = record.manifest["outputs"].values()
    return [
        path
        for entry in outputs
        if (form := _PICTURES.get(entry["kind"]))
        for path in record.path.glob(form.format(entry["file"]))
    ]


def thumbnail(picture: Path) -> bytes:
    """A jpeg of at most 880 pixels in width, some tens of kB: Prefect keeps artifacts in its data base."""
    from PIL import Image

    with Image.open(picture) as opened:
        image = opened.convert("RGBA")
    image.thumbnail((_WIDTH, _WIDTH))
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A"))
    stream = io.BytesIO()
    flat.save(stream, "JPEG", quality=80)
    return stream.getvalue()


def _state(result: Result) -> str:
    return "done" if result.ok else "failed"


def _code(text: str) -> str:
    """Inline code of markdown whatever the text holds."""
    flat = " ".join(text.split())
    fence = "`" * (max((len(run) for run in re.findall("`+", flat)), default=0) + 1)
    return f"{fence} {flat} {fence}" if "`" in flat else f"`{flat}`"


def _key(kind: str, name: str) -> str:
    """Prefect's names: lower-case letters, digits and dashes."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{kind}-{slug or 'x'}"
