"""A package registry of this machine for tests: bytes by path, with ranges or without; it can break off."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Registry:
    """What is served, how, and what was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}  # path -> content
        self.kinds: dict[str, str] = {}  # path -> content type
        self.ranges = True
        self.most: list[int] = []  # bytes after which each of the next answers breaks off
        self.asked: list[tuple[str, str | None]] = []  # path, range
        self.authorizations: list[str | None] = []


@contextmanager
def serving() -> Iterator[Registry]:
    """A registry at a free port."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, registry)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, registry: Registry) -> None:
    span = handler.headers.get("Range")
    registry.asked.append((handler.path, span))
    registry.authorizations.append(handler.headers.get("Authorization"))
    content = registry.files.get(handler.path)
    if content is None:
        return handler.send_error(404)
    first = int(re.findall(r"\d+", span)[0]) if span and registry.ranges else 0
    if first >= len(content) and first:
        return handler.send_error(416)
    handler.send_response(206 if first else 200)
    if first:
        handler.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Type", registry.kinds.get(handler.path, "application/octet-stream"))
    handler.send_header("Content-Length", str(len(content) - first))
    handler.end_headers()
    most = registry.most.pop(0) if registry.most else len(content)
    handler.wfile.write(content[first:][:most])
    return None
