"""Relative links that are swapped atomically; small text files where symbolic links are not possible."""

from __future__ import annotations

import os
from pathlib import Path

SUFFIX = ".link"  # a text file that holds the relative path


def replace(link: Path, target: Path) -> None:
    """Point `link` at `target` by a relative path, replacing what was there in one rename."""
    relative = os.path.relpath(target, link.parent)
    text = link.with_name(link.name + SUFFIX)
    if link.is_symlink() and os.readlink(link) == relative:
        return
    fresh = link.with_name(f".{link.name}.{os.getpid()}.{os.urandom(3).hex()}")
    try:
        os.symlink(relative, fresh)
    except (OSError, NotImplementedError):
        fresh.write_text(relative)
        os.replace(fresh, text)
        return
    os.replace(fresh, link)
    text.unlink(missing_ok=True)


def target(link: Path) -> Path | None:
    """Where a link, of either kind, points; None where it is none or points nowhere."""
    try:
        relative = (
            os.readlink(link)
            if link.is_symlink()
            else link.read_text()
            if link.name.endswith(SUFFIX)
            else None
        )
    except OSError:
        return None
    if relative is None:
        return None
    path = Path(os.path.normpath(link.parent / relative))
    return path if path.is_dir() else None
