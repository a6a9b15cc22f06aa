"""Names of subjects from paths of photos: the file's own name, longer only where two would share it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


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
    suffix is taken; where it is taken already, that of its folder is put before it, and so on.

    ValueError for a file whose name cannot be a folder.
    """
    names = {item: known[item.key] for item in wanted if item.key in known}
    fresh = [item for item in dict.fromkeys(wanted) if item not in names]
    kept = {item.key for item in names}
    taken = {name.casefold(): key for key, name in known.items() if key in kept or image_of(key).exists()}
    bases = {item: _base(item) for item in fresh}
    twins = Counter((item.image.parent, bases[item].casefold()) for item in fresh)
    for item, base in bases.items():
        holder = taken.get(base.casefold())
        beside = holder is not None and image_of(holder).parent == Path(os.path.abspath(item.image)).parent
        if twins[item.image.parent, base.casefold()] > 1 or beside:  # x.jpg and x.png of one folder
            bases[item] = f"{base}-{item.image.suffix[1:].lower()}"
    depth = dict.fromkeys(fresh, 0)
    while True:
        chosen = {item: _longer(item, bases[item], depth[item]) for item in fresh}
        clashing = list(_clashing({item: name.casefold() for item, name in chosen.items()}, depth, taken))
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


def is_plain(name: str) -> bool:
    """Whether a name can be that of a subject's folder; names that were remembered may come from anywhere."""
    return bool(name) and not name.startswith(".") and not any(letter in name for letter in "/\\\0")


def _base(item: Wanted) -> str:
    """The file's name without suffix, and without what no system takes at the end of a folder's name."""
    stem = item.image.stem.rstrip(" .")
    if not stem or stem.startswith("."):
        raise ValueError(
            f"{item.image} would be subject {item.image.stem!r}, which cannot be a folder; rename it"
        )
    return f"{stem}-{item.person}" if item.person else stem


def _longer(item: Wanted, base: str, depth: int) -> str:
    """The name with those of `depth` folders before it; with a digest where there are no more folders."""
    path = Path(os.path.abspath(item.image))
    folders = [part for part in path.parent.parts if part != path.anchor]
    parts = folders[max(0, len(folders) - depth) :] if depth else []
    name = "-".join([*parts, base]).lstrip(".")
    return name if depth <= len(folders) else f"{base}-{hashlib.sha256(item.key.encode()).hexdigest()[:8]}"


def of_shard(name: str, shard: tuple[int, int]) -> bool:
    """Whether a subject belongs to part i of n (1 <= i <= n): by its name's digest, so that nothing else
    decides."""
    part, parts = shard
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % parts == part - 1
