"""One finished stage run as its manifest describes it, and every way in which its files may differ from that.

A work folder may come from somebody else: names in a manifest never lead out of the run's own directory, and
links inside of it are damage, not files.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnaround.pipeline.errors import CallError, TurnaroundError
from turnaround.pipeline.formats.codecs import codec_for
from turnaround.pipeline.store.digest import file_digest

MANIFEST = "manifest.json"
_LARGEST = 16 * 2**20  # bytes


class StoreError(TurnaroundError, RuntimeError):
    """The work folder cannot be used: says why and what to do."""

    fault = "disk"


class DamagedRun(StoreError):
    """A run of the cache differs from its manifest; `path` is its directory, which has to be made again."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message, path)
        self.path = path

    def __str__(self) -> str:
        return self.args[0]


@dataclass(frozen=True)
class Fault:
    """One file of a run that is not as its manifest says."""

    file: str  # below the run's directory
    expected: str  # a digest or a number of bytes, or "nothing" for a file that nobody wrote
    got: str
    what: str  # in words

    def __str__(self) -> str:
        return f"{self.file} {self.what}"


@dataclass(frozen=True)
class Record:
    """One finished stage run: its directory and its manifest."""

    path: Path
    manifest: Mapping[str, Any]

    @staticmethod
    def read(path: Path) -> Record:
        """The run in a directory by its manifest alone; OSError where there is none, ValueError for one of
        another form."""
        status = os.lstat(path / MANIFEST)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            raise CallError(
                f"expected a file of at most {_LARGEST / 2**20:.0f} MiB, got {stat.filemode(status.st_mode)}"
            )
        manifest = json.loads((path / MANIFEST).read_text())
        _check(manifest, path.name)
        return Record(path, manifest)

    @property
    def key(self) -> str:
        """The run's key."""
        return self.manifest["key"]

    def digest(self, output: str) -> str:
        """Content digest of one output; KeyError where there is none."""
        return self.manifest["outputs"][output]["sha256"]

    def file(self, output: str) -> Path:
        """Path of one output's file or folder."""
        return self.path / self.manifest["outputs"][output]["file"]

    def load(self, output: str) -> Any:
        """The value of one output, read from disk; DamagedRun where its bytes are not those that were
        written.

        What is read is compared with its digest first: nothing new is ever computed from damaged files.
        """
        entry = self.manifest["outputs"][output]
        self.check(output)
        try:
            return codec_for(entry["kind"]).load(self.file(output))
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # readers of foreign files raise anything
            raise StoreError(
                f"{self.file(output)} cannot be read ({error}); delete the folder {self.path} and run again"
            ) from error

    def check(self, output: str) -> None:
        """DamagedRun where the bytes of an output are not those that were written."""
        fault = next(_faults(self.path, self.manifest["outputs"][output]["files"], content=True), None)
        if fault is not None:
            raise DamagedRun(
                f"{self.file(output)} cannot be read ({fault}); `turnaround verify` sets it aside, and "
                f"`turnaround run` makes it again",
                self.path,
            )

    def damage(self, *, content: bool = False) -> list[Fault]:
        """Files that are missing, of another kind or size, and with `content` of other bytes or not in the
        manifest."""
        entries = [entry["files"] for entry in self.manifest["outputs"].values()]
        found = [fault for files in entries for fault in _faults(self.path, files, content=content)]
        if content:
            known = {MANIFEST, *(name for files in entries for name in files)}
            names = (
                file.relative_to(self.path).as_posix()
                for file in sorted(self.path.rglob("*"))
                if file.is_symlink() or file.is_file()
            )
            reported = {fault.file for fault in found}
            found += [
                Fault(n, "nothing", "a file", "was not written by the stage")
                for n in names
                if n not in known | reported
            ]
        return found

    def faults(self, *, content: bool = False) -> list[str]:
        """`damage` in words."""
        return [str(fault) for fault in self.damage(content=content)]


def _faults(folder: Path, files: Mapping[str, Any], *, content: bool) -> Iterator[Fault]:
    for name, expected in files.items():
        size, digest = expected["bytes"], expected["sha256"]
        found = _size(folder, name)
        if found is None:
            yield Fault(name, digest, "missing", "is missing")
        elif found < 0:
            yield Fault(name, digest, "a link", "is or lies behind a link, which no stage writes")
        elif found != size:
            yield Fault(name, f"{size} bytes", f"{found} bytes", f"has {found} bytes, expected {size}")
        elif content and (got := file_digest(folder / name)) != digest:
            yield Fault(name, digest, got, "has other bytes than were written")


def _size(folder: Path, name: str) -> int | None:
    """Bytes of a regular file; None where it is missing, -1 where the file or a folder on the way to it is a
    link."""
    path, status = str(folder), None
    for part in name.split("/"):
        path = os.path.join(path, part)
        try:
            status = os.lstat(path)
        except OSError:
            return None
        if stat.S_ISLNK(status.st_mode):
            return -1
    return status.st_size if status is not None and stat.S_ISREG(status.st_mode) else None


def _check(manifest: Any, key: str) -> None:
    """ValueError where a manifest is not of the form that `Store.save` writes, or names files outside of its
    directory."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("outputs"), dict):
        raise CallError("not a manifest: expected an object with `outputs`")
    if manifest.get("key") != key:
        raise CallError(f"the manifest is that of {manifest.get('key')!r}")
    if not isinstance(manifest.get("stage"), str):
        raise CallError("the manifest names no stage")
    for output, entry in manifest["outputs"].items():
        files = entry.get("files") if isinstance(entry, dict) else None
        texts = (
            [entry.get("kind"), entry.get("file"), entry.get("sha256")] if isinstance(entry, dict) else [None]
        )
        if not isinstance(files, dict) or not all(isinstance(text, str) for text in texts):
            raise CallError(f"output {output!r} of the manifest is incomplete")
        for name, facts in files.items():
            if (
                not isinstance(facts, dict)
                or not isinstance(facts.get("bytes"), int)
                or not isinstance(facts.get("sha256"), str)
            ):
                raise CallError(f"file {name!r} of the manifest has no size or digest")
        for name in (entry["file"], *files):
            if not is_inside(name):
                raise CallError(f"the manifest names {name!r}, which is not a file of the run")


def is_inside(name: str) -> bool:
    """Whether a relative name with / stays below the folder that it is joined to, on any system."""
    parts = name.replace("\\", "/").split("/")
    return "\0" not in name and parts[0][1:2] != ":" and not any(part in ("", ".", "..") for part in parts)
