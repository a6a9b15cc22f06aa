"""Photos that were moved or copied: equal bytes under another path are told, or adopted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from turnaround.flows.subjects import memory
from turnaround.pipeline.photos.naming import Wanted, image_of
from turnaround.pipeline.stage import PHOTO
from turnaround.pipeline.store.links import SUFFIX
from turnaround.pipeline.store.store import Store

log = logging.getLogger(__name__)

_FEW = 3  # photos that are told one by one
_IMAGE = f"{PHOTO}.image"


def twins(root: Path, files: Sequence[Path]) -> dict[Path, str]:
    """Find photos that are new here and hold the bytes of a subject's photo -> that subject.

    Left out are people of a photo of several, and subjects whose own photo is among the files. A subject's
    digest comes from what was made of it, so that its photo need not be there any more.
    """
    known = memory.named(root)
    fresh = [file for file in files if Wanted(file).key not in known]
    if not fresh or not known:
        return {}
    asked = {Wanted(file).key for file in files}
    alone = {name for key, name in known.items() if key not in asked and image_of(key) == Path(key)}
    store = Store(root)
    owners: dict[str, str] = {}
    for name in memory.names(root):
        digest = _photo_digest(store, name) if name in alone else None
        if digest is not None:
            owners.setdefault(digest, name)
    found: dict[Path, str] = {}
    for file in fresh if owners else ():
        try:
            name = owners.pop(store.memo.digest(file), None)  # of two equal files one is the subject's
        except OSError:  # its run tells why it cannot be read
            continue
        if name is not None:
            found[file] = name
    return found


def _photo_digest(store: Store, name: str) -> str | None:
    """The digest of the photo that a subject's first stage was made of."""
    for link in sorted(store.subject(name).glob("[0-9][0-9]_*")):
        record = store.linked(name, link.name[3:].removesuffix(SUFFIX))
        if record is not None and _IMAGE in record.manifest["inputs"]:
            return record.manifest["inputs"][_IMAGE]
    return None


def tell(found: Mapping[Path, str]) -> None:
    """Say which photo is which subject's, and how to go on with that."""
    for file, name in list(found.items())[:_FEW]:
        log.warning(
            "%s holds the same bytes as the photo of %s and becomes a new subject; `--adopt` goes on with %s",
            file, name, name,
        )  # fmt: skip
    if len(found) > _FEW:
        log.warning("so do %d more photos: each is that of a subject, under another path", len(found) - _FEW)
