"""A file of backgrounds: `turnaround data backgrounds --count 2000 --out FILE.npy`, (N,S,S,3) uint8."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from turnaround.data.scenes.backgrounds import Picture, background
from turnaround.data.scenes.strong_edges import scene
from turnaround.pipeline.files import replacing


def write_backgrounds(
    path: Path,
    count: int,
    seed: int,
    size: int = 256,
    people: Path | None = None,
    draw: Callable[..., Picture] = background,
) -> None:
    """Store `count` backgrounds of `draw`; `people` is a singles set whose pictures may stand in them."""
    standing = np.load(people / "chunk_000" / "rgba.npy", mmap_mode="r") if people else None
    out = np.empty((count, size, size, 3), np.uint8)
    for k in range(count):
        out[k] = draw(np.random.default_rng([seed, 7, k]), size, people=standing) * 255 + 0.5
    with replacing(path) as beside:
        np.save(beside, out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--people", type=Path, default=None, help="a singles set")
    parser.add_argument(
        "--kind",
        choices=("plain", "all"),
        default="all",
        help="plain: without brick, leaves, gyms and crowds",
    )
    parser.add_argument("--out", type=Path, required=True, help="a .npy file")
    options = parser.parse_args(arguments)
    draw = scene if options.kind == "all" else background
    write_backgrounds(options.out, options.count, options.seed, options.size, options.people, draw)


if __name__ == "__main__":
    main()
