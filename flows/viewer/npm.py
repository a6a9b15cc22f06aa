"""npm packages by their digest: fetched once from the machine's registry into the user's cache, checked each time they are read."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from data import cache

log = logging.getLogger(__name__)

REGISTRY = "https://registry.npmjs.org"
_TIMEOUT = 60  # seconds without a byte
_MOST = 64 * 2**20  # bytes of a package, and of one file in it


@dataclass(frozen=True)
class Package:
    """One version of one package; `integrity` is the registry's: sha512 in base64."""

    name: str
    version: str
    integrity: str

    @property
    def file(self) -> str:
        """Name of its tarball."""
        return f"{self.name.rpartition('/')[2]}-{self.version}.tgz"

    def url(self) -> str:
        """Where the machine's registry has it."""
        return f"{registry()}/{self.name}/-/{self.file}"


def registry() -> str:
    """`npm_config_registry`, else the `registry=` of the user's .npmrc, else npm's own."""
    for variable in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if os.environ.get(variable):
            return os.environ[variable].rstrip("/")
    file = Path.home() / ".npmrc"
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    named = [line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "registry"]
    return (named[-1] if named and named[-1] else REGISTRY).rstrip("/")


def read(package: Package, members: tuple[str, ...]) -> dict[str, bytes]:
    """Files of a package by their path in it; the package is fetched when the cache lacks it.

    Raises:
        ValueError: it cannot be fetched, has another digest, or lacks a file; the message says where to put it by hand.
    """
    path = fetch(package)
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:  # read in memory: nothing is unpacked, so no name can lead elsewhere
            name = member.name.partition("/")[2]
            if name in members and member.isfile() and member.size <= _MOST:
                found[name] = archive.extractfile(member).read()  # type: ignore[union-attr]
    missing = sorted(set(members) - set(found))
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    return found


def fetch(package: Package) -> Path:
    """Path of the package's checked tarball in the cache; ValueError where it cannot be had."""
    path = cache.folder("npm") / package.file
    if path.is_file():
        if _matches(path.read_bytes(), package):
            return path
        log.warning("%s has another digest than %s %s; it is fetched again", path, package.name, package.version)
    try:
        content = _download(package.url())
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ValueError(f"{package.url()} cannot be fetched ({reason}); {_by_hand(package, path)}") from error
    if not _matches(content, package):
        raise ValueError(f"{package.url()} has another digest: nothing of it is used; {_by_hand(package, path)}")
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
        stream.write(content)
    os.replace(stream.name, path)
    log.info("fetched %s %s into %s", package.name, package.version, path)
    return path


def _matches(content: bytes, package: Package) -> bool:
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode() == package.integrity


def _download(url: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise ValueError("the registry is not an http(s) address")
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
        content = answer.read(_MOST + 1)
    if len(content) > _MOST:
        raise ValueError(f"more than {_MOST} bytes")
    return content


def _by_hand(package: Package, path: Path) -> str:
    return f"put the file with {package.integrity} at {path} yourself, or set npm_config_registry to a registry that is in reach"
