"""A folder of finished stage runs: one immutable directory per (stage, key), complete or absent.

cache/<stage>/<key>/   outputs and manifest.json     written in tmp/, synced, published by one rename
subjects/<name>/NN_<stage>                           relative link to the run that is current
locks/  tmp/                                         one lock per key; half-written runs, never read
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import links
from pipeline.codecs import codec_for
from pipeline.digest import DigestMemo, combined, file_digest
from pipeline.recipe import Recipe

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"


class StoreError(RuntimeError):
    """The work folder cannot be used: says why and what to do."""


@dataclass(frozen=True)
class Record:
    """One finished stage run: its directory and its manifest."""

    path: Path
    manifest: Mapping[str, Any]

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
        """The value of one output, read from disk; StoreError where its file was damaged after it was written."""
        file = self.file(output)
        try:
            return codec_for(self.manifest["outputs"][output]["kind"]).load(file)
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # readers of damaged files raise anything
            raise StoreError(f"{file} cannot be read ({error}); delete the folder {self.path} and run again") from error

    def faults(self, *, content: bool = False) -> list[str]:
        """Files that are missing or differ in size, or with `content` in their bytes, from the manifest."""
        found = []
        for entry in self.manifest["outputs"].values():
            for name, expected in entry["files"].items():
                file = self.path / name
                size = file.stat().st_size if file.is_file() else None
                if size is None:
                    found.append(f"{name} is missing")
                elif size != expected["bytes"]:
                    found.append(f"{name} has {size} bytes, expected {expected['bytes']}")
                elif content and file_digest(file) != expected["sha256"]:
                    found.append(f"{name} has other bytes than were written")
        return found


class Store:
    """Finds, publishes and links stage runs below one work folder. Safe for threads, processes and kill -9."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.memo = DigestMemo(self.root / "cache" / "digests.json")

    def prepare(self) -> None:
        """Make the folders; StoreError where the work folder cannot be written."""
        try:
            for name in ("cache", "subjects", "runs", "tmp", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.root / "tmp"):
                pass
        except OSError as error:
            raise StoreError(
                f"work folder {self.root} cannot be written ({error.strerror or error}); choose another with --work"
            ) from error

    def path(self, stage: str, key: str) -> Path:
        """Where a run is, or would be."""
        return self.root / "cache" / stage / key

    def find(self, stage: str, key: str) -> Record | None:
        """A complete run, or None. A damaged one is reported and counts as absent."""
        return self.read(self.path(stage, key))

    def read(self, path: Path) -> Record | None:
        """The complete run in a directory of the cache, or None; a damaged one is reported."""
        try:
            record = Record(path, json.loads((path / MANIFEST).read_text()))
            faults = record.faults() if record.key == path.name else [f"the manifest is that of {record.key}"]
        except FileNotFoundError:
            if path.is_dir():
                log.warning("%s has no manifest; it will be made again", path)
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read (%s); it will be made again", path / MANIFEST, error)
            return None
        if faults:
            log.warning("%s is damaged (%s); it will be made again", path, "; ".join(faults))
            return None
        return record

    @contextmanager
    def lock(self, stage: str, key: str) -> Iterator[None]:
        """Hold the key's lock: one thread of one process computes it. The kernel frees it on a crash."""
        file = self.root / "locks" / f"{stage}-{key}"
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def save(self, recipe: Recipe, kinds: Mapping[str, str], outputs: Mapping[str, Any], facts: Mapping[str, Any]) -> Record:
        """Write outputs and manifest, then publish them in one rename. Call it under the key's lock.

        kinds: output -> kind; facts: what else the manifest records (seconds, device, versions).
        ValueError where outputs and kinds differ or a value does not fit its kind; StoreError where the disk does not take it.
        """
        if set(outputs) != set(kinds):
            raise ValueError(f"stage {recipe.stage} made {sorted(outputs)}, declares {sorted(kinds)}")
        try:
            with self._staging() as tmp:
                entries = {name: _write(outputs[name], kind, name, tmp) for name, kind in kinds.items()}
                manifest = {**recipe.__dict__, "key": recipe.key, "outputs": entries, **facts}
                (tmp / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
                _sync_tree(tmp)
                return Record(self._publish(tmp, recipe), manifest)
        except OSError as error:
            remedy = (
                "free some space, e.g. with `turnaround gc`"
                if error.errno in (errno.ENOSPC, errno.EDQUOT)
                else "choose another with --work"
            )
            raise StoreError(
                f"{self.root}: the outputs of {recipe.stage} cannot be written ({error.strerror or error}); {remedy}"
            ) from error

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        folder = self.root / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=folder))
        path.chmod(0o755)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def _publish(self, tmp: Path, recipe: Recipe) -> Path:
        final = self.path(recipe.stage, recipe.key)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():  # forced again, or damaged: between the two renames the run is absent, never half there
            retired = self.root / "tmp" / f"old-{recipe.key}-{time.time_ns()}"
            os.rename(final, retired)
            shutil.rmtree(retired, ignore_errors=True)
        os.rename(tmp, final)
        _sync(final.parent)
        return final

    def link(self, subject: str, position: int, record: Record) -> None:
        """Point subjects/<subject>/NN_<stage> at the record."""
        folder = self.subject(subject)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{position:02d}_{record.manifest['stage']}"
        for other in self._links(subject, record.manifest["stage"]):  # the stage had another position before
            if other.name.removesuffix(links.SUFFIX) != name:
                other.unlink()
        links.replace(folder / name, record.path)

    def linked(self, subject: str, stage: str) -> Record | None:
        """The run that a subject's link points at, or None."""
        targets = (links.target(link) for link in self._links(subject, stage))
        target = next((target for target in targets if target is not None), None)
        return None if target is None else self.read(target)

    def _links(self, subject: str, stage: str) -> list[Path]:
        found = sorted(self.subject(subject).glob(f"[0-9][0-9]_{stage}*"))
        return [link for link in found if link.name.removesuffix(links.SUFFIX)[3:] == stage]

    def subject(self, name: str) -> Path:
        """The folder of a subject."""
        return self.root / "subjects" / name

    def records(self, on_damage: Callable[[Path], None] | None = None) -> Iterator[Record]:
        """Every complete run of the cache."""
        for path in sorted((self.root / "cache").glob("*/*/")):
            record = self.read(path)
            if record is not None:
                yield record
            elif on_damage is not None:
                on_damage(path)


def _write(value: Any, kind: str, name: str, folder: Path) -> dict[str, Any]:
    """Save one output and describe its files for the manifest."""
    codec = codec_for(kind)
    before = set(folder.rglob("*"))
    codec.save(value, folder / f"{name}{codec.suffix}")
    files = {}
    for file in sorted(set(folder.rglob("*")) - before):
        if file.is_file():
            files[file.relative_to(folder).as_posix()] = {"sha256": file_digest(file), "bytes": file.stat().st_size}
    digest = combined({file: entry["sha256"] for file, entry in files.items()})
    size = sum(entry["bytes"] for entry in files.values())
    return {"kind": kind, "file": f"{name}{codec.suffix}", "sha256": digest, "bytes": size, "files": files}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    """Bring files and directories to the disk, the folder itself last."""
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)
