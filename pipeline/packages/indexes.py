"""The user's package registries: where npm and pip of this machine look, and the address of a file there."""

from __future__ import annotations

import base64
import configparser
import json
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from turnaround.pipeline.errors import CallError

NPM = "https://registry.npmjs.org"
PYPI = "https://pypi.org/simple"
TIMEOUT = 30.0  # seconds without a byte
FAULTS = (OSError, HTTPException, ValueError, LookupError)  # what asking a registry may raise
_MOST_INDEX = 64 * 2**20  # bytes of a project's page in the index
_KINDS = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


def npm_registry() -> str:
    """Find npm's registry: `npm_config_registry`, else the `registry=` of ~/.npmrc, else npm's own."""
    for variable in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if os.environ.get(variable):
            return os.environ[variable].rstrip("/")
    file = Path.home() / ".npmrc"
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    pairs = [line.partition("=") for line in lines]
    named = [value.strip() for name, _, value in pairs if name.strip() == "registry"]
    return (named[-1] if named and named[-1] else NPM).rstrip("/")


def pip_index() -> str:
    """Find pip's index: `PIP_INDEX_URL`, else `index-url` of pip's config files, else pypi.org."""
    if os.environ.get("PIP_INDEX_URL"):
        return os.environ["PIP_INDEX_URL"].rstrip("/")
    for file in _pip_files():
        found = configparser.RawConfigParser(strict=False)
        try:
            found.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue  # pip itself will complain
        for key in ("index-url", "index_url"):
            if found.get("global", key, fallback=""):
                return found.get("global", key).strip().rstrip("/")
    return PYPI


def _pip_files() -> Iterator[Path]:
    """Config files of pip, the strongest first: the named one, the environment's, the user's, all's."""
    if os.environ.get("PIP_CONFIG_FILE"):
        yield Path(os.environ["PIP_CONFIG_FILE"])
    yield Path(sys.prefix) / "pip.conf"
    home = Path.home()
    yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    yield home / "Library/Application Support/pip/pip.conf"
    yield home / ".pip/pip.conf"
    yield Path("/etc/pip.conf")
    for folder in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip/pip.conf"


def npm_address(name: str, version: str) -> str:
    """Name the address of a tarball in the machine's npm registry."""
    return f"{npm_registry()}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"


def pypi_address(name: str, file: str) -> str:
    """Look a file up in the machine's index and return its address.

    Raises:
        LookupError: the index does not list it.
        OSError, ValueError: the index cannot be read.
    """
    page = f"{pip_index()}/{re.sub(r'[-_.]+', '-', name).lower()}/"
    with opened(page, {"Accept": _KINDS}) as answer:
        content, base = answer.read(_MOST_INDEX), urljoin(page, answer.url)
        as_json = "json" in (answer.headers.get("Content-Type") or "")
    for link in _links_of_json(content) if as_json else _links_of_html(content):
        address = urljoin(base, link)
        if unquote(urlsplit(address).path).rpartition("/")[2] == file:
            return address.partition("#")[0]
    raise LookupError(f"{shown(page)} does not list {file}")


def _links_of_json(content: bytes) -> list[str]:
    return [str(entry["url"]) for entry in json.loads(content)["files"]]


def _links_of_html(content: bytes) -> list[str]:
    found: list[str] = []

    class Anchors(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            """Keep where a link leads."""
            found.extend(value for name, value in attrs if tag == "a" and name == "href" and value)

    Anchors().feed(content.decode("utf-8", "replace"))
    return found


def opened(address: str, headers: dict[str, str] | None = None) -> HTTPResponse:
    """Open an http(s) address; a name and password in it are sent as a header, to that host alone.

    Raises:
        OSError: no answer within TIMEOUT seconds, or a refusal.
        ValueError: another kind of address.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        raise CallError(f"{shown(address)} is not an http(s) address")
    request = urllib.request.Request(shown(address), headers=headers or {})
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        token = base64.b64encode(pair.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return urllib.request.urlopen(request, timeout=TIMEOUT)


def shown(address: str) -> str:
    """Return an address without the name and password in it."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def reason(error: Exception) -> str:
    """Say what went wrong, in the words of the network where there are any."""
    return str(error if isinstance(error, HTTPError) else getattr(error, "reason", None) or error)
