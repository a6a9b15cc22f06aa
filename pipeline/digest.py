"""sha256 of files, with a memo so that big files are hashed once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)

_SETTLED = 1.0  # seconds; a file changed later than this may change again without its times showing it


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
    """Digests remembered by (inode, times of change, size), kept in one json file that may be deleted at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._known: dict[str, str] = dict(json.loads(path.read_text()))
        except FileNotFoundError:
            self._known = {}
        except (OSError, ValueError, TypeError) as error:
            log.warning("%s cannot be read (%s); files are hashed again", path, error)
            self._known = {}

    def digest(self, file: Path) -> str:
        """sha256 of `file`; read only when it changed."""
        status = file.stat()
        key = f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_size}"
        with self._lock:
            found = self._known.get(key)
        if found is None:
            found = file_digest(file)
            if time.time() - max(status.st_mtime, status.st_ctime) < _SETTLED:
                return found
            with self._lock:
                self._known[key] = found
                self._save()
        return found

    def _save(self) -> None:
        """Best effort: a memo that cannot be written costs time, not correctness."""
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._known))
            os.replace(temporary, self.path)
        except OSError as error:
            log.debug("digest memo not saved: %s", error)
