"""Names of subjects from paths of photos: the file's own name, longer only where two would share it."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NAMES_FILE = "names.json"  # lies among the folders of the subjects, so none of them can be called that
LONGEST = (
    180  # bytes of a name; a file's may have 255, and `.mp4.part`, `-2` and the like are added to a subject's
)
_UNFIT = ("Cc", "Cs", "Zl", "Zp")  # control characters, bytes that are no UTF-8, ends of lines
_NAMELESS = "photo"  # where nothing of the file's name can be used


@dataclass(frozen=True)
class Wanted:
    """A photo, or one person of it, that needs a name."""

    image: Path
    person: int = 0  # 1, 2, ... from the left; 0 = the photo shows one subject

    @property
    def key(self) -> str:
        """How it is remembered: the absolute path, and the person."""
        path = os.path.abspath(self.image)
        return f"{path}#{self.person}" if self.person else path


def image_of(key: str) -> Path:
    """The photo of a remembered key."""
    head, mark, tail = key.rpartition("#")
    return Path(head if mark and tail.isdigit() and Path(head).suffix else key)


def assign(wanted: Sequence[Wanted], known: Mapping[str, str]) -> dict[Wanted, str]:
    """A name for each, no two alike in any spelling of capitals; the order of `wanted` does not matter.

    What `known` (key -> name) names keeps its name, so that a part of a folder gives the same subjects as the
    whole. A name whose photo is gone is free again: the photo has moved. Otherwise the file's name without
    suffix is taken, without what a folder's name cannot hold and no longer than LONGEST; where it is taken
    already, that of its folder is put before it, and so on.
    """
    names = {item: known[item.key] for item in wanted if item.key in known}
    fresh = [item for item in dict.fromkeys(wanted) if item not in names]
    kept = {item.key for item in names}
    taken = {fold(name): key for key, name in known.items() if key in kept or os.path.exists(image_of(key))}
    bases = {item: _base(item) for item in fresh}
    twins = Counter((item.image.parent, fold(bases[item])) for item in fresh)
    for item, base in bases.items():
        holder = taken.get(fold(base))
        beside = holder is not None and image_of(holder).parent == Path(os.path.abspath(item.image)).parent
        if twins[item.image.parent, fold(base)] > 1 or beside:  # x.jpg and x.png of one folder
            bases[item] = f"{base}-{item.image.suffix[1:].lower()}"
    depth = dict.fromkeys(fresh, 0)
    while True:
        chosen = {item: _longer(item, bases[item], depth[item]) for item in fresh}
        clashing = list(_clashing({item: fold(name) for item, name in chosen.items()}, depth, taken))
        if not clashing:
            return names | chosen
        for item in clashing:
            depth[item] += 1


def _clashing(
    names: Mapping[Wanted, str], depth: Mapping[Wanted, int], taken: Container[str]
) -> Iterator[Wanted]:
    """Those that need a longer name; one that has the shortest way to a name keeps it."""
    sharing: dict[str, list[Wanted]] = defaultdict(list)
    for item, name in names.items():
        sharing[name].append(item)
    for name, items in sharing.items():
        least = min(depth[item] for item in items)
        nearest = [item for item in items if depth[item] == least]
        keeps = nearest[0] if len(nearest) == 1 and name not in taken else None
        yield from (item for item in items if item != keeps)


def fold(name: str) -> str:
    """A name such that those which some file system takes for one are equal: capitals, composed accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_plain(name: str) -> bool:
    """Whether a name can be that of a subject's folder; names that were remembered may come from anywhere."""
    if not name or name.startswith(".") or any(letter in name for letter in "/\\\0"):
        return False
    try:
        return len(name.encode()) <= LONGEST and fold(name) != NAMES_FILE
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False


def _base(item: Wanted) -> str:
    """The file's name without suffix, as far as a folder's can hold it."""
    stem = _fit(item.image.stem)
    return f"{stem}-{item.person}" if item.person else stem


def _fit(name: str) -> str:
    """The name of a folder that is like `name`: readable, typed without quotes for a dash in front, not too
    long."""
    letters = (
        "-" if letter in "/\\" or unicodedata.category(letter) in _UNFIT else letter for letter in name
    )
    fitting = unicodedata.normalize("NFC", "".join(letters)).strip(" .").lstrip("-. ") or _NAMELESS
    if fold(fitting) == NAMES_FILE:
        fitting = fitting.replace(".", "-")
    data = fitting.encode()
    if len(data) <= LONGEST:
        return fitting
    return (
        f"{data[: LONGEST - 9].decode(errors='ignore').rstrip(' .')}-{hashlib.sha256(data).hexdigest()[:8]}"
    )


def _longer(item: Wanted, base: str, depth: int) -> str:
    """The name with those of `depth` folders before it; with a digest where there are no more folders."""
    path = Path(os.path.abspath(item.image))
    folders = [part for part in path.parent.parts if part != path.anchor]
    parts = folders[max(0, len(folders) - depth) :] if depth else []
    if depth > len(folders):
        parts, base = [], f"{base}-{hashlib.sha256(os.fsencode(item.key)).hexdigest()[:8]}"
    return _fit("-".join([*parts, base]))


def of_shard(name: str, shard: tuple[int, int]) -> bool:
    """Whether a subject belongs to part i of n (1 <= i <= n): by its name's digest, so that nothing else
    decides."""
    part, parts = shard
    return (
        int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big") % parts
        == part - 1
    )
