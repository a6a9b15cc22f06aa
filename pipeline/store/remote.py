"""A folder behind a URL (s3://bucket/prefix, gs://, file://, what fsspec knows): whole objects."""

from __future__ import annotations

import logging
import os
import posixpath
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

from turnaround.pipeline.errors import CallError, TurnaroundError, is_one_of

log = logging.getLogger(__name__)

FORMAT, _FORMAT_FILE = b'{"format": 1}\n', "turnaround.json"  # lies at the root of every store
_EXTRAS = {"s3": "s3", "s3a": "s3"}  # protocol -> our extra
_WITHOUT_FOLDERS = {"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oss", "memory"}
# seconds without further tries after one that failed: a run must not wait for the network at every stage
_PAUSE = 60.0
_AT_ONCE = 8  # objects under way
_TIMES = {
    "connect_timeout": 5,
    "read_timeout": 60,
    "retries": {"max_attempts": 2, "mode": "standard"},
}  # of botocore, seconds
_WRONG = (
    FileNotFoundError,
    PermissionError,
    ImportError,
    ValueError,
    NotADirectoryError,
)  # the call's fault, not the network's

T = TypeVar("T")
_NO_CREDENTIALS = (
    "botocore.exceptions:NoCredentialsError",
    "botocore.exceptions:PartialCredentialsError",
)


class Unreachable(TurnaroundError, OSError):
    """The remote store does not answer; what was asked can be asked again later."""

    fault = "network"


class Remote:
    """Reads and writes objects below one URL. Made by `remote(url)`, once a process: it remembers when the
    network is away."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.url = url.rstrip("/")
        protocol = url.partition("://")[0] if "://" in url else "file"
        options: dict[str, Any] = (
            {"config_kwargs": _TIMES, "use_listings_cache": False} if protocol in _EXTRAS else {}
        )
        try:
            self.fs, self.root = url_to_fs(self.url, **options)
        except ImportError as error:
            extra = _EXTRAS.get(protocol)
            remedy = (
                f"pip install 'turnaround[{extra}]'"
                if extra
                else f"install what fsspec needs for {protocol}:// ({error})"
            )
            raise CallError(f"--store {url} needs a package that is not installed: {remedy}") from error
        except ValueError as error:
            raise CallError(
                f"--store {url}: {error}; expected e.g. s3://bucket/prefix or file:///folder"
            ) from error
        self._flat = protocol in _WITHOUT_FOLDERS
        self._away_until = 0.0

    def check(self) -> None:
        """ValueError with the remedy for a store that cannot work; one that does not answer is only a
        warning."""
        try:
            found = self.read(_FORMAT_FILE)
            if found is None:
                self.write({_FORMAT_FILE: FORMAT})
            elif found != FORMAT:
                raise CallError(
                    f"{self.url}/{_FORMAT_FILE} is not of this version: expected {FORMAT!r}, got "
                    f"{found[:80]!r}"
                )
        except Unreachable as error:
            log.warning(
                "%s; the run goes on with the work folder alone, and the same command sends what it "
                "made later",
                error,
            )
        except FileNotFoundError as error:
            raise CallError(
                f"--store {self.url}: there is no such bucket or folder ({error}); make it first"
            ) from error
        except PermissionError as error:
            raise CallError(
                f"--store {self.url} may not be read and written ({error}); give an account with both rights"
            ) from error

    def read(self, name: str) -> bytes | None:
        """The bytes of an object, None where there is none. Unreachable, PermissionError."""

        def get() -> bytes | None:
            try:
                return self.fs.cat_file(self._path(name))
            except (FileNotFoundError, NotADirectoryError):
                return None

        return self._ask(get)

    def read_all(self, names: Iterable[str]) -> dict[str, bytes | None]:
        """Several objects, some at a time."""
        names = list(names)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(names, pool.map(self.read, names), strict=True))

    def write(self, objects: Mapping[str, bytes]) -> None:
        """Several objects, some at a time; each is there whole or not at all, and all are there when this
        returns."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._put_whole, objects, objects.values()))

    def _put_whole(self, name: str, content: bytes) -> None:
        self._ask(lambda: self._put(name, content))

    def _put(self, name: str, content: bytes) -> None:
        path = self._path(name)
        if self._flat:
            self.fs.pipe_file(path, content)
            return
        self.fs.makedirs(posixpath.dirname(path), exist_ok=True)
        temporary = f"{path}.{os.getpid()}-{os.urandom(4).hex()}.part"
        self.fs.pipe_file(temporary, content)
        self.fs.mv(temporary, path)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _ask(self, question: Callable[[], T]) -> T:
        """Ask the store; faults of the call pass, all else is Unreachable, and so is everything for a minute
        after."""
        if time.monotonic() < self._away_until:
            raise Unreachable(f"{self.url} did not answer a moment ago")
        try:
            return question()
        except _WRONG:
            raise
        except Exception as error:  # every file system has its own errors
            if is_one_of(error, *_NO_CREDENTIALS):
                raise PermissionError(str(error)) from error
            self._away_until = time.monotonic() + _PAUSE
            raise Unreachable(f"{self.url} does not answer ({type(error).__name__}: {error})") from error


@lru_cache(maxsize=8)
def remote(url: str) -> Remote:
    """The store behind a URL; ValueError for a URL of an unknown kind or one whose package is missing."""
    return Remote(url)
