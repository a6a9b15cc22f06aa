"""Models by folder or by their name on the Hugging Face hub, which is pinned to one commit: so a key tells
what was used."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from turnaround.pipeline.files import write_atomic

HUB, CACHED = (
    "hub:",
    "hub-cached:",
)  # before a hub id where a file's path or a weight's name is expected; the latter never asks the hub
_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PATIENCE = 10.0  # seconds until the hub must have answered


class UnknownRevision(RuntimeError):
    """A hub model of which it cannot be told which one it is."""


def weight_name(source: str, *, local_only: bool = False) -> str:
    """Give the name by which `zoo.digest` knows a model: its folder, or a marked hub id."""
    folder = Path(source).expanduser()
    return str(folder) if folder.exists() else f"{CACHED if local_only else HUB}{source}"


def commit_of(name: str) -> str:
    """Find the commit, 40 hex digits, of a marked hub id; UnknownRevision says what is missing."""
    mark = CACHED if name.startswith(CACHED) else HUB
    return _commit(name.removeprefix(mark), mark == CACHED)


def place_and_revision(source: str, *, local_only: bool = False) -> tuple[str, str | None]:
    """Give what `from_pretrained` takes: a folder and None, or a hub id and its commit; UnknownRevision as
    `commit_of`."""
    name = weight_name(source, local_only=local_only)
    return (source, commit_of(name)) if name.startswith((HUB, CACHED)) else (name, None)


@lru_cache(maxsize=64)  # what a hub id names does not change within a process
def _commit(source: str, local_only: bool) -> str:
    if not _ID.fullmatch(source):
        raise UnknownRevision(
            f"{source!r} is neither a folder nor a hub id; give a folder written by save_pretrained, or "
            f"OWNER/NAME"
        )
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    known = (
        Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=source, repo_type="model") / "refs" / "main"
    )
    if known.is_file() and _COMMIT.fullmatch(found := known.read_text(encoding="utf-8").strip()):
        return found
    if local_only or constants.HF_HUB_OFFLINE:
        raise UnknownRevision(
            f"the hub model {source!r} is not in the cache ({known.parent.parent}), and the hub may not "
            f"be asked"
        )
    found = _asked(source)
    write_atomic(known, found.encode())  # as a download of `main` does: the next command uses the same
    return found


def _asked(source: str) -> str:
    """Ask the hub for the newest commit of a model."""
    from huggingface_hub import HfApi

    try:
        found = HfApi().model_info(source, timeout=_PATIENCE).sha
    except Exception as error:  # the hub's own, and those of whichever HTTP client it uses
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnknownRevision(
            f"the hub model {source!r} is neither a folder nor to be had from the hub: {first}"
        ) from error
    if found is None or not _COMMIT.fullmatch(found):
        raise UnknownRevision(f"the hub names no commit of {source!r}")
    return found
