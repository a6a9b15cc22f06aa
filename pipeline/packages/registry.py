"""Packages of npm and PyPI by their digest: fetched into the user's cache, checked whenever they are read.

A download that stopped goes on where it was. `TURNAROUND_PACKAGES` names a folder with the packages' files,
for machines without a network: while it is set, the network is never asked.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from turnaround.pipeline.errors import TurnaroundError
from turnaround.pipeline.files import CACHE, Progress, user_cache
from turnaround.pipeline.store import locks

log = logging.getLogger(__name__)

VARIABLE = "TURNAROUND_PACKAGES"
_MOST_READ = 64 * 2**20  # bytes of one file in a package


class RegistryError(TurnaroundError, ValueError):
    """A package that cannot be had or is not the pinned one: what was expected and got, and the remedy."""

    fault = "network"

    def __init__(self, name: str, expected: str, got: str, remedy: str) -> None:
        super().__init__(name, expected, got, remedy)
        self.name, self.expected, self.got, self.remedy = name, expected, got, remedy

    def __str__(self) -> str:
        return f"{self.name}: expected {self.expected}, got {self.got}; {self.remedy}"


@dataclass(frozen=True)
class Package:
    """One file of one version of a package, with its pin."""

    ecosystem: Literal["npm", "pypi"]
    name: str
    version: str
    digest: str  # npm: the registry's integrity, "sha512-<base64>"; PyPI: "sha256-<hex>"
    wheel: str = ""  # PyPI only: the file's name

    @property
    def file(self) -> str:
        """The file's usual name, as `npm pack` and `pip download` call it."""
        if self.ecosystem == "pypi":
            return self.wheel
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def path(self) -> Path:
        """Where it lies in the user's cache."""
        return user_cache(self.ecosystem, self.file)

    def address(self) -> str:
        """Find where the machine's registry has it; raises one of `indexes.FAULTS`."""
        from turnaround.pipeline.packages import (
            indexes,  # the network's modules are imported when it is asked, not for `status`
        )

        if self.ecosystem == "npm":
            return indexes.npm_address(self.name, self.version)
        return indexes.pypi_address(self.name, self.wheel)

    def matches(self, path: Path) -> bool:
        """Compare a file's bytes with the pin."""
        kind, _, pinned = self.digest.partition("-")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, kind)
        encoded = base64.b64encode(found.digest()).decode()
        return pinned == (encoded if self.ecosystem == "npm" else found.hexdigest())


def fetch(package: Package, progress: Progress | None = None) -> Path:
    """Return the checked file of a package, downloaded into the user's cache when it is not there.

    Args:
        progress: told of the bytes done and the bytes in all (0 when that is not known) during a download.

    Raises:
        RegistryError: it cannot be had, or has another digest; the message says where to put it by hand.
    """
    folder = os.environ.get(VARIABLE)
    if folder:
        return _given(package, Path(folder))
    path, part = package.path, _part(package)
    try:
        if _right(package):
            return path
        with locks.held(part):  # one process at a time goes on with it
            if _right(package):  # another one was quicker
                part.unlink()
            else:
                _fill(package, progress)
    except OSError as error:
        got = f"{error.filename or part}: {error.strerror or error}"
        remedy = f"choose another place with {CACHE}"
        raise RegistryError(package.name, "a cache to write to", got, remedy) from error
    return path


def read(package: Package, members: Sequence[str], progress: Progress | None = None) -> dict[str, bytes]:
    """Read files of a package by their path in it (in a tarball, below its folder); it is fetched if need be.

    Raises:
        RegistryError: as of `fetch`, or the package lacks a file.
    """
    path = fetch(package, progress)
    found = (_in_zip if path.suffix in (".whl", ".zip") else _in_tar)(path, frozenset(members))
    missing = sorted(set(members) - set(found))
    if missing:
        raise RegistryError(path.name, ", ".join(missing), "a package without", "pin another version")
    return found


def forget(package: Package) -> None:
    """Delete a package that is needed only once from the user's cache; a given folder is left alone."""
    package.path.unlink(missing_ok=True)


def _in_tar(path: Path, wanted: frozenset[str]) -> dict[str, bytes]:
    """Read in memory: nothing is unpacked, so no name can lead elsewhere."""
    import tarfile

    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.partition("/")[2]
            content = archive.extractfile(member) if name in wanted and member.size <= _MOST_READ else None
            if content is not None:  # a plain file
                found[name] = content.read()
    return found


def _in_zip(path: Path, wanted: frozenset[str]) -> dict[str, bytes]:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        named = [member for member in archive.infolist() if member.filename in wanted]
        return {member.filename: archive.read(member) for member in named if member.file_size <= _MOST_READ}


def _part(package: Package) -> Path:
    return package.path.with_name(package.file + ".part")


def _right(package: Package) -> bool:
    return package.path.is_file() and package.matches(package.path)


def _given(package: Package, folder: Path) -> Path:
    """The package's file in the user's folder, called as `npm pack` or as the registry calls it."""
    registrys = f"{package.name.rpartition('/')[2]}-{package.version}.tgz"
    names = [package.file, registrys] if package.ecosystem == "npm" else [package.file]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise _error(package, f"no such file in {folder} ({VARIABLE})")
    if not package.matches(path):
        raise _error(package, f"{path} with another digest")
    return path


def _fill(package: Package, progress: Progress | None) -> None:
    """Download into the half-written file, check and rename it; a wrong continuation begins anew."""
    from turnaround.pipeline.packages import indexes
    from turnaround.pipeline.packages.download import download

    part = _part(package)
    continued = part.stat().st_size > 0
    try:
        address = package.address()
        download(address, part, progress)
        if continued and not package.matches(part):
            log.warning("%s is not what it began as; it is downloaded anew", part)
            os.truncate(part, 0)
            download(address, part, progress)
    except indexes.FAULTS as error:
        if not part.stat().st_size:
            part.unlink()
        asked = package.address() if package.ecosystem == "npm" else f"{indexes.pip_index()}/{package.name}"
        raise _error(package, f"{indexes.reason(error)} ({indexes.shown(asked)})") from error
    if not package.matches(part):
        part.unlink()
        raise _error(package, f"another digest from {indexes.shown(address)}, of which nothing is used")
    os.replace(part, package.path)
    log.info("fetched %s %s into %s", package.name, package.version, package.path)


def _error(package: Package, got: str) -> RegistryError:
    mirror = "npm_config_registry" if package.ecosystem == "npm" else "PIP_INDEX_URL"
    expected = f"{package.file} with {package.digest}"
    by_hand = f"put the file at {package.path} yourself or into a folder that {VARIABLE} names"
    remedy = f"{by_hand}, or set {mirror} to a registry in reach"
    return RegistryError(f"{package.name} {package.version}", expected, got, remedy)
