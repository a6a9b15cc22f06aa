"""A folder of finished stage runs: one immutable directory per (stage, key), complete or absent.

cache/<stage>/<key>/   outputs and manifest.json     written in tmp/, synced, published by one rename
subjects/<name>/NN_<stage>                           relative link to the run that is current
locks/  tmp/                                         one lock per key; half-written and damaged runs, never
read
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import FULL
from turnaround.pipeline.formats.codecs import codec_for
from turnaround.pipeline.store import links, locks
from turnaround.pipeline.store.digest import DigestMemo, combined, file_digest
from turnaround.pipeline.store.manifest import MANIFEST, DamagedRun, Record, StoreError
from turnaround.pipeline.store.recipe import Recipe

__all__ = ["MANIFEST", "DamagedRun", "Kept", "Record", "Store", "StoreError"]

log = logging.getLogger(__name__)

_RUN = re.compile(r"[0-9a-f]{24}")  # the name of a run's directory
_WORK = "work"  # the lock that every run shares and that gc wants for itself


@dataclass(frozen=True)
class Kept:
    """An output that a run takes over from another one, byte for byte."""

    record: Record
    output: str


class Store:
    """Finds, publishes and links stage runs below one work folder. Safe for threads, processes and kill
    -9."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.memo = DigestMemo.at(self.root / "cache" / "digests.txt")

    def prepare(self) -> None:
        """Make the folders; StoreError where the work folder cannot be written."""
        try:
            for name in ("cache", "subjects", "runs", "tmp", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.root / "tmp"):
                pass
        except OSError as error:
            raise self.refused("nothing", error) from error

    def path(self, stage: str, key: str) -> Path:
        """Where a run is, or would be."""
        return self.root / "cache" / stage / key

    def find(self, stage: str, key: str) -> Record | None:
        """A complete run, or None. A damaged one is reported and counts as absent."""
        return self.read(self.path(stage, key))

    def read(self, path: Path) -> Record | None:
        """The complete run in a directory of the cache, or None; a damaged one is reported."""
        try:
            record = Record.read(path)
            faults = record.faults()
        except FileNotFoundError:
            if path.is_dir():
                log.warning("%s has no manifest; it will be made again", path)
            return None
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s cannot be read (%s); it will be made again", path / MANIFEST, error)
            return None
        if faults:
            log.warning("%s is damaged (%s); it will be made again", path, "; ".join(faults))
            return None
        return record

    @contextmanager
    def lock(self, stage: str, key: str) -> Generator[None, None, None]:
        """Hold the key's lock: one thread of one process computes it. The kernel frees it on a crash."""
        with self._locked(f"{stage}-{key}", locks.EXCLUSIVE):
            yield

    @contextmanager
    def at_work(self) -> Generator[None, None, None]:
        """While this is held, by as many as like, nothing is deleted from under them."""
        with self._locked(_WORK, locks.SHARED):
            yield

    @contextmanager
    def alone(self) -> Generator[None, None, None]:
        """While this is held nobody is at work; StoreError where somebody is."""
        try:
            with self._locked(_WORK, locks.EXCLUSIVE | locks.AT_ONCE):
                yield
        except BlockingIOError as error:
            raise StoreError(
                f"{self.root}: a run is at work in this folder; try again when it has ended"
            ) from error

    @contextmanager
    def _locked(self, name: str, how: int) -> Generator[None, None, None]:
        with ExitStack() as stack:
            try:
                stack.enter_context(locks.held(self.root / "locks" / name, how))
            except BlockingIOError:
                raise
            except OSError as error:
                raise self.refused("the lock of a run", error) from error
            yield

    def save(
        self, recipe: Recipe, kinds: Mapping[str, str], outputs: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> Record:
        """Write outputs and manifest, then publish them in one rename. Call it under the key's lock.

        kinds: output -> kind; facts: what else the manifest records (seconds, device, versions).
        ValueError where outputs and kinds differ or a value does not fit its kind; StoreError where the disk
        does not take it.
        """
        if set(outputs) != set(kinds):
            raise CallError(f"stage {recipe.stage} made {sorted(outputs)}, declares {sorted(kinds)}")
        try:
            with self.staging() as tmp:
                entries = {name: _write(outputs[name], kind, name, tmp) for name, kind in kinds.items()}
                manifest = {**recipe.__dict__, "key": recipe.key, "outputs": entries, **facts}
                (tmp / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
                sync_tree(tmp)
                return Record(self._publish(tmp, recipe), manifest)
        except OSError as error:
            raise self.refused(f"the outputs of {recipe.stage}", error) from error

    def refused(self, what: str, error: OSError) -> StoreError:
        """Make the error, to be raised, for something (`what`, in words) that the disk did not take: with the
        remedy."""
        remedy = (
            "free some space, e.g. with `turnaround gc`"
            if error.errno in FULL
            else "choose another with --work"
        )
        why = error.strerror or error
        if what == "nothing":
            return StoreError(f"work folder {self.root} cannot be written ({why}); {remedy}")
        return StoreError(f"{self.root}: {what} cannot be written ({why}); {remedy}")

    @contextmanager
    def staging(self) -> Generator[Path, None, None]:
        """Lend an empty folder of this disk, where a run is put together before it is published; it is
        deleted at the end."""
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
        fresh = not final.parent.is_dir()
        final.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(
            final
        ):  # forced again, or damaged: between the two renames the run is absent, never half there
            shutil.rmtree(self._retire(final, "old"), ignore_errors=True)
        os.rename(tmp, final)
        _sync(final.parent)
        if fresh:
            _sync(final.parent.parent)
        return final

    def adopt(self, folder: Path, stage: str, key: str, source: str) -> Record | None:
        """Publish a complete run that lies, synced, in a folder of `staging`; one that somebody else has put
        there meanwhile is as good.

        source: where it comes from, for the message of the StoreError where the disk does not take it.
        """
        final = self.path(stage, key)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(folder, final)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise self.refused(f"the run {stage}/{key} of {source}", error) from error
            if self.find(stage, key) is None:  # what is there is damaged
                self._publish(folder, Recipe.recorded(Record.read(folder).manifest))
        return self.find(stage, key)

    def _retire(self, path: Path, why: str) -> Path:
        """Take a directory of the cache out of it in one rename; where it lies then."""
        retired = self.root / "tmp" / f"{why}-{path.parent.name}-{path.name}-{time.time_ns()}"
        retired.parent.mkdir(parents=True, exist_ok=True)
        os.rename(path, retired)
        return retired

    def set_aside(self, path: Path) -> Path:
        """Move a damaged run out of the cache into tmp/, where nothing reads it, so that it is made again.

        StoreError where the disk does not take it.
        """
        with self.lock(path.parent.name, path.name):
            try:
                return self._retire(path, "damaged")
            except FileNotFoundError:  # somebody else did
                return path
            except OSError as error:
                raise self.refused(f"the damaged run {path.parent.name}/{path.name}", error) from error

    def discard(self, path: Path) -> None:
        """Delete a run: out of the cache in one rename first, so that nobody finds a half-deleted one."""
        shutil.rmtree(self._retire(path, "gc"), ignore_errors=True)

    def link(self, subject: str, position: int, record: Record) -> None:
        """Point subjects/<subject>/NN_<stage> at the record."""
        folder = self.subject(subject)
        name = f"{position:02d}_{record.manifest['stage']}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for other in self._links(
                subject, record.manifest["stage"]
            ):  # the stage had another position before
                if other.name.removesuffix(links.SUFFIX) != name:
                    other.unlink()
            links.replace(folder / name, record.path)
        except OSError as error:
            raise self.refused(f"the link of {subject} to {record.manifest['stage']}", error) from error

    def linked(self, subject: str, stage: str) -> Record | None:
        """The run of `stage` that a subject's link points at, or None; links that lead out of the cache count
        as none."""
        for link in self._links(subject, stage):
            target = links.target(link)
            if target is None:
                continue
            if target.parent != Path(os.path.normpath(self.root / "cache" / stage)):
                log.warning("%s leads to %s, not to a run of %s; it will be made again", link, target, stage)
                continue
            return self.read(target)
        return None

    def _links(self, subject: str, stage: str) -> list[Path]:
        found = sorted(self.subject(subject).glob(f"[0-9][0-9]_{stage}*"))
        return [link for link in found if link.name.removesuffix(links.SUFFIX)[3:] == stage]

    def subject(self, name: str) -> Path:
        """The folder of a subject; ValueError for a name that is not that of a folder."""
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise CallError(f"{name!r} cannot be the name of a subject: expected a plain file name")
        return self.root / "subjects" / name

    def runs(self) -> Iterator[Path]:
        """Directories of runs in the cache, complete or not. Links are passed over: what they lead to is not
        ours."""
        for stage in sorted(self.root.glob("cache/*/")):
            if not stage.is_symlink():
                yield from (
                    path
                    for path in sorted(stage.glob("*/"))
                    if _RUN.fullmatch(path.name) and not path.is_symlink()
                )

    def records(self, on_damage: Callable[[Path], None] | None = None) -> Iterator[Record]:
        """Every complete run of the cache."""
        for path in self.runs():
            record = self.read(path)
            if record is not None:
                yield record
            elif on_damage is not None:
                on_damage(path)


def _write(value: Any, kind: str, name: str, folder: Path) -> dict[str, Any]:
    """Save one output and describe its files for the manifest."""
    if isinstance(value, Kept):
        return _copy(value, folder)
    codec = codec_for(kind)
    before = set(folder.rglob("*"))
    codec.save(value, folder / f"{name}{codec.suffix}")
    files: dict[str, dict[str, Any]] = {}
    for file in sorted(set(folder.rglob("*")) - before):
        if file.is_file():
            files[file.relative_to(folder).as_posix()] = {
                "sha256": file_digest(file),
                "bytes": file.stat().st_size,
            }
    digest = combined({file: entry["sha256"] for file, entry in files.items()})
    size = sum(entry["bytes"] for entry in files.values())
    return {"kind": kind, "file": f"{name}{codec.suffix}", "sha256": digest, "bytes": size, "files": files}


def _copy(kept: Kept, folder: Path) -> dict[str, Any]:
    """Copy the files of an output; DamagedRun where they are not those that were written."""
    entry = kept.record.manifest["outputs"][kept.output]
    kept.record.check(kept.output)
    for file in entry["files"]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept.record.path / file, folder / file)
    return entry


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Bring files and directories to the disk, the folder itself last."""
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)
