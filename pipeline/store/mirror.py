"""A work folder with a store behind it that machines share: what is missing here is looked for there, what is
made here is sent.

<url>/cache/<stage>/<key>/<content>/...        the files; <content> is from their digests, so that racing
workers never mix theirs <url>/cache/<stage>/<key>/manifest.json        last: until it is there nobody sees
the run, and a killed push leaves nothing behind it <url>/photos/<digest>/<name>                   photos for
workers that do not see the folder which they are in work/remote/<digest of the url>/<stage>-<key>  an empty
file: this run is known to be there, no need to ask again
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import write_atomic
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.stage import SOURCES
from turnaround.pipeline.store.digest import DigestMemo, bytes_digest, combined
from turnaround.pipeline.store.manifest import MANIFEST, Record
from turnaround.pipeline.store.recipe import Recipe
from turnaround.pipeline.store.remote import Remote, Unreachable, remote
from turnaround.pipeline.store.runs import Runs
from turnaround.pipeline.store.store import Store, sync_tree

log = logging.getLogger(__name__)

_LONGEST = 200  # bytes of a file's name that every store takes


class Tiered:
    """The `Runs` of a store that are also at a URL. The local folder is complete in itself: without the
    network all goes on."""

    def __init__(self, local: Store, url: str) -> None:
        self.local, self.url = local, url
        self._damaged: set[tuple[str, str]] = set()  # remote runs that have to be written over

    @property
    def remote(self) -> Remote:
        """The connection, one a process: what is sent to a worker is the URL."""
        return remote(self.url)

    @property
    def root(self) -> Path:
        """The local work folder."""
        return self.local.root

    @property
    def memo(self) -> DigestMemo:
        """The digests that the local store knows."""
        return self.local.memo

    def find(self, stage: str, key: str) -> Record | None:
        """Find a complete run of this folder, else one of the remote store, checked byte for byte; None where
        neither has it."""
        record = self.local.find(stage, key)
        if record is None:
            return self._attempt("look for", stage, key, lambda: self._pull(stage, key))
        if not _marker(self.root, self.url, stage, key).exists():
            self._attempt("send", stage, key, lambda: self._push(record, replace=False))
        return record

    def save(
        self, recipe: Recipe, kinds: Mapping[str, str], outputs: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> Record:
        """Publish a run here, then there."""
        record = self.local.save(recipe, kinds, outputs, facts)
        self._attempt("send", recipe.stage, recipe.key, lambda: self._push(record, replace=True))
        return record

    def prepare(self) -> None:
        """Make the local folders; StoreError where they cannot be written."""
        self.local.prepare()

    def path(self, stage: str, key: str) -> Path:
        """Tell where a run is, or would be, in this folder."""
        return self.local.path(stage, key)

    def lock(self, stage: str, key: str) -> AbstractContextManager[None]:
        """Hold the key's lock in this folder: other machines do not see it."""
        return self.local.lock(stage, key)

    def at_work(self) -> AbstractContextManager[None]:
        """Hold off whoever deletes in this folder."""
        return self.local.at_work()

    def set_aside(self, path: Path) -> Path:
        """Move a damaged run of this folder out of its cache; where it lies then."""
        return self.local.set_aside(path)

    def link(self, subject: str, position: int, record: Record) -> None:
        """Point subjects/<subject>/NN_<stage> of this folder at the record."""
        self.local.link(subject, position, record)

    def linked(self, subject: str, stage: str) -> Record | None:
        """Find the run that a subject's link in this folder points at, or None."""
        return self.local.linked(subject, stage)

    def subject(self, name: str) -> Path:
        """Tell the folder of a subject; ValueError for a name that is not that of a folder."""
        return self.local.subject(name)

    def _attempt(self, what: str, stage: str, key: str, action: Any) -> Any:
        """Do it if the remote store answers; otherwise say so and go on, None."""
        try:
            return action()
        except (Unreachable, PermissionError, FileNotFoundError) as error:
            log.warning("cannot %s %s/%s: %s; going on with %s alone", what, stage, key, error, self.root)
            return None

    def _push(self, record: Record, *, replace: bool) -> None:
        """Send the files, then the manifest. What is there already stays, unless `replace` and it differs or
        is damaged."""
        stage, key = record.manifest["stage"], record.key
        there = None if (stage, key) in self._damaged else self.remote.read(f"cache/{stage}/{key}/{MANIFEST}")
        if there is None or (replace and _content(_manifest(there)) != _content(record.manifest)):
            folder = f"cache/{stage}/{key}"
            names = [name for entry in record.manifest["outputs"].values() for name in entry["files"]]
            self.remote.write(
                {
                    f"{folder}/{_content(record.manifest)}/{name}": (record.path / name).read_bytes()
                    for name in names
                }
            )
            self.remote.write({f"{folder}/{MANIFEST}": (record.path / MANIFEST).read_bytes()})
            self._damaged.discard((stage, key))
        self._mark(stage, key)

    def _pull(self, stage: str, key: str) -> Record | None:
        text = self.remote.read(f"cache/{stage}/{key}/{MANIFEST}")
        if text is None:
            return None
        with self.local.staging() as tmp:
            try:
                folder = self._fetch(text, stage, key, tmp / key)
            except (ValueError, KeyError, TypeError) as error:
                log.warning(
                    "%s/cache/%s/%s is damaged (%s); it will be made again and sent anew",
                    self.url,
                    stage,
                    key,
                    error,
                )
                self._damaged.add((stage, key))
                return None
            except OSError as error:
                if isinstance(error, Unreachable | PermissionError | FileNotFoundError):
                    raise
                raise self.local.refused(f"the run {stage}/{key} of {self.url}", error) from error
            record = self.local.adopt(folder, stage, key, self.url)
        self._mark(stage, key)
        return record

    def _fetch(self, text: bytes, stage: str, key: str, folder: Path) -> Path:
        """Write a run as its remote manifest describes it; ValueError where it is not what it says."""
        folder.mkdir()
        (folder / MANIFEST).write_bytes(text)
        record = Record.read(folder)  # refuses names that lead out of the folder before anything is written
        if record.manifest["stage"] != stage or Recipe.recorded(record.manifest).key != key:
            raise CallError("its manifest is that of another run")
        files = {
            name: facts
            for entry in record.manifest["outputs"].values()
            for name, facts in entry["files"].items()
        }
        source = f"cache/{stage}/{key}/{_content(record.manifest)}"
        for path, content in self.remote.read_all(f"{source}/{name}" for name in files).items():
            name = path.removeprefix(f"{source}/")
            if content is None or bytes_digest(content) != files[name]["sha256"]:
                raise CallError(
                    f"{name} is missing" if content is None else f"{name} has other bytes than were written"
                )
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        sync_tree(folder)
        return folder

    def _mark(self, stage: str, key: str) -> None:
        """Best effort: without the mark the store is asked again."""
        marker = _marker(self.root, self.url, stage, key)
        try:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
        except OSError as error:
            log.debug("%s: %s", marker, error)


def open_store(root: Path, url: str | None) -> Runs:
    """The runs of a work folder, with the one at `url` behind it if there is any."""
    store = Store(root)
    return Tiered(store, url) if url else store


def unsent(root: Path, url: str, runs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the runs (stage, key) that are not known to be at `url`."""
    return [(stage, key) for stage, key in runs if not _marker(root, url, stage, key).exists()]


def send_photo(photo: Photo, url: str) -> dict[str, str]:
    """Put a photo and all files that go with it at `url` for workers that do not see them; their digests, for
    `fetch_photo`.

    Unreachable where the store does not answer; OSError where the photo cannot be read.
    """
    digests: dict[str, str] = {}
    for what, file in _files(photo).items():
        content = file.read_bytes()
        digests[what] = bytes_digest(content)
        name = _remote_name(digests[what], file)
        if remote(url).read(name) != content:
            remote(url).write({name: content})
    return digests


def fetch_photo(photo: Photo, digests: Mapping[str, str], root: Path, url: str) -> Photo:
    """The same photo with its files below root/photos/, fetched where they are not there yet; OSError where
    one cannot be had whole."""
    here: dict[str, Path] = {}
    for what, file in _files(photo).items():
        digest = digests[what]
        name = _remote_name(digest, file)
        here[what] = root / "photos" / digest[:16] / file.name
        if here[what].is_file() and bytes_digest(here[what].read_bytes()) == digest:
            continue
        content = remote(url).read(name)
        if content is None or bytes_digest(content) != digest:
            raise OSError(
                f"{url}/{name} is {'missing' if content is None else 'damaged'}; run again to send it"
            )
        write_atomic(here[what], content)
    given = {output: here[output] for output in photo.given}
    return dataclasses.replace(
        photo, given=given, **{source: here[source] for source in SOURCES if source in here}
    )


def _remote_name(digest: str, file: Path) -> str:
    """Where a file of a photo lies in the store: by its own name where every store can hold that."""
    name = file.name
    plain = name.isprintable() and "\\" not in name and len(name.encode()) <= _LONGEST
    return f"photos/{digest}/{name if plain else 'photo'}"


def _files(photo: Photo) -> dict[str, Path]:
    """Every file of a photo by its source, or by the output that it stands for."""
    sources = {source: file for source in SOURCES if (file := photo.file(source)) is not None}
    return sources | dict(photo.given)


def _marker(root: Path, url: str, stage: str, key: str) -> Path:
    return root / "remote" / bytes_digest(url.rstrip("/").encode())[:12] / f"{stage}-{key}"


def _manifest(text: bytes) -> Mapping[str, Any]:
    """Of a run that is there; an unreadable one equals nothing."""
    try:
        found = json.loads(text)
        return found if isinstance(found.get("outputs"), dict) else {"outputs": {}}
    except (ValueError, AttributeError):
        return {"outputs": {}}


def _content(manifest: Mapping[str, Any]) -> str:
    """12 hex digits that stand for the bytes of all outputs."""
    return combined({name: entry["sha256"] for name, entry in manifest["outputs"].items()})[:12]
