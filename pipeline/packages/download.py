"""Downloads that stop and go on: a half-written file is continued where the server allows it."""

from __future__ import annotations

import logging
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import Progress
from turnaround.pipeline.packages.indexes import opened, shown

log = logging.getLogger(__name__)

MOST = 512 * 2**20  # bytes of a file
_BLOCK = 2**18
_BEYOND = 416  # the status of a range that begins behind the end


def download(address: str, part: Path, progress: Progress | None = None) -> None:
    """Fill `part`, which exists, from where it ends; a broken connection is taken up again while bytes come.

    Raises:
        OSError, HTTPException: no answer, a refusal, or no more bytes; what has arrived is kept.
        ValueError: more than MOST bytes, or an address of another kind than http(s).
    """
    while True:
        before = part.stat().st_size
        try:
            _go_on(address, part, progress)
            return
        except (OSError, HTTPException) as error:
            arrived = part.stat().st_size
            if arrived <= before:
                raise
            log.info("%s stopped after %d bytes (%s); going on", shown(address), arrived, error)


def _go_on(address: str, part: Path, progress: Progress | None) -> None:
    """One connection. A server that ignores the range sends the whole file, which then begins anew."""
    begun = part.stat().st_size
    try:
        answer = opened(address, {"Range": f"bytes={begun}-"} if begun else {})
    except HTTPError as error:
        if error.code == _BEYOND and begun:
            return  # all of it is there, or something else is: the digest tells
        raise
    with answer:
        resumed = answer.status == 206 and _first(answer) == begun
        done = begun if resumed else 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length else 0
        with part.open("ab" if resumed else "wb") as stream:
            while block := answer.read1(_BLOCK):
                done += len(block)
                if max(done, total) > MOST:
                    raise CallError(f"{shown(address)} has more than {MOST} bytes")
                stream.write(block)
                if progress is not None:
                    progress(done, total)
    if done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _first(answer: HTTPResponse) -> int | None:
    """The offset at which a partial answer begins."""
    unit, _, span = (answer.headers.get("Content-Range") or "").partition(" ")
    first = span.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else None
