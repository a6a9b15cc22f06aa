"""sha256 of files, with a memo so that big files are hashed once."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

log = logging.getLogger(__name__)

_SETTLED = 1.0  # seconds; a file changed later than this may change again without its times showing it
_LINE = re.compile(r"(\d+:\d+:\d+:\d+:\d+) ([0-9a-f]{64})")
_LARGEST = 32 * 2**20  # bytes of a memo; one that grew beyond is begun anew


def bytes_digest(data: bytes) -> str:
    """sha256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def combined(digests: Mapping[str, str]) -> str:
    """One digest of several named ones; a single entry keeps its own."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    return bytes_digest("".join(f"{name}\0{digest}\n" for name, digest in sorted(digests.items())).encode())


class DigestMemo:
    """Digests remembered by (device, inode, times of change, size), a line each in a file that may be deleted
    at any time.

    As git treats its index, times are believed only when they lie at least a second back: a file changed just
    now may change again within one tick of the clock, and one from the future tells that the clock was moved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._known = self._read()

    @staticmethod
    def at(path: Path) -> DigestMemo:
        """The memo of this process for a file: read once, however many subjects there are."""
        return _memo(str(path.absolute()), os.getpid())

    def digest(self, file: Path) -> str:
        """sha256 of `file`; read only when it changed."""
        status = file.stat()
        if not _settled(status):
            return file_digest(file)
        key = _key(status)
        with self._lock:
            found = self._known.get(key)
        if found is None:
            found = file_digest(file)
            if _key(file.stat()) == key:  # nobody wrote to it meanwhile
                with self._lock:
                    self._known[key] = found
                    self._append(key, found)
        return found

    def _read(self) -> dict[str, str]:
        """What is known; lines of another form, such as the one that a killed process left half-written, are
        passed over."""
        try:
            if self.path.stat().st_size > _LARGEST:
                self.path.unlink()
                return {}
            found = (_LINE.fullmatch(line) for line in self.path.read_text("ascii", "replace").splitlines())
            return {match[1]: match[2] for match in found if match}
        except FileNotFoundError:
            return {}
        except OSError as error:
            log.warning("%s cannot be read (%s); files are hashed again", self.path, error)
            return {}

    def _append(self, key: str, digest: str) -> None:
        """Best effort: a memo that cannot be written costs time, not correctness. It begins a line of its
        own."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(descriptor, f"\n{key} {digest}\n".encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            log.debug("digest memo not saved: %s", error)


@lru_cache(maxsize=64)
def _memo(path: str, _process: int) -> DigestMemo:
    return DigestMemo(Path(path))


def _settled(status: os.stat_result) -> bool:
    return max(status.st_mtime, status.st_ctime) <= time.time() - _SETTLED


def _key(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_size}"
