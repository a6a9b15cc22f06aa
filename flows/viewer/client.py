"""viser's page with one mend, so that a start writes no error into the browser's console.

viser 1.1.1 gives three.js the corners of its splats as pairs of numbers. The bounding sphere is computed from
triples: its radius becomes NaN, of which three.js complains. The page unpacks its program by itself; there
the corners get a third coordinate, 0. A page that is packed in another way is left as it is.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_STARTED = b"e.textContent=code;"
_PAIRS = "new Float32Array([-2,-2,2,-2,2,2,-2,2]),2)"
_TRIPLES = "new Float32Array([-2,-2,0,2,-2,0,2,2,0,-2,2,0]),3)"
_MENDED = f'e.textContent=code.replace("{_PAIRS}","{_TRIPLES}");'.encode()

Answer = Callable[[Any, Any], Any]


def mending(answer: Answer) -> Answer:
    """Wrap viser's handler of HTTP requests (connection, request) -> response or None."""

    def mended(connection: Any, request: Any) -> Any:
        response = answer(connection, request)
        if response is not None and response.headers.get("Content-Type", "").startswith("text/html"):
            packed = response.headers.get("Content-Encoding") == "gzip"
            response.body = _mended(response.body, packed)
            del response.headers["Content-Length"]
            response.headers["Content-Length"] = str(len(response.body))
        return response

    return mended


@lru_cache(maxsize=4)
def _mended(body: bytes, packed: bool) -> bytes:
    page = (gzip.decompress(body) if packed else body).replace(_STARTED, _MENDED)
    return gzip.compress(page, mtime=0) if packed else page
