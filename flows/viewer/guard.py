"""A viser server that shows a person to nobody else: no share link, no connection from another site's page,
no banner.

viser lets any web page that is open in the browser connect to its port. On a loopback address, pages of other
origins are refused here: `websockets` knows how, viser has no setting for it. Where others are let in by
`--host`, their pages have names that nobody knows beforehand, so nothing is refused there.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import re
import socket
from collections.abc import Generator
from typing import Any

import viser
import websockets.asyncio.server

from turnaround.flows.viewer.client import mending

_OWN_ORIGIN = re.compile(r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?")


def loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def guarded_server(host: str, port: int, label: str) -> viser.ViserServer:
    """A running server on `port` or the next free one. OSError where `host` is no address of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:  # viser would try 1,000 ports in vain
        trial.bind((host, 0))
    with _served(host), quiet():
        server = viser.ViserServer(host=host, port=port, label=label, verbose=False)
    server.request_share_url = lambda verbose=True: None  # type: ignore[method-assign]  # it would publish the person on viser's relay
    return server


@contextlib.contextmanager
def quiet() -> Generator[None, None, None]:
    """viser tells its address and its end on stdout, whatever `verbose` says; the command tells them
    itself."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def _served(host: str) -> Generator[None, None, None]:
    """While a server starts: its page is mended, and its websockets accept pages of this machine, and
    programs, which send no origin."""
    module: Any = websockets.asyncio.server
    plain = module.serve

    def serve(*arguments: Any, process_request: Any, **more: Any) -> Any:
        origins = {"origins": [None, _OWN_ORIGIN]} if loopback(host) else {}
        return plain(*arguments, process_request=mending(process_request), **origins, **more)

    module.serve = serve
    try:
        yield
    finally:
        module.serve = plain
