"""Data sets of synthetic people: `turnaround data people --help`, or `python -m turnaround.data.sets`."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from turnaround.data.people import TEST_SEED
from turnaround.data.sets.distribution import Distribution
from turnaround.data.sets.folders import ViewOptions, generate


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--count", type=int, required=True, help="people of a views set, pictures of a singles set"
    )
    parser.add_argument(
        "--seed", type=int, default=None, help=f"the first seed (default: 0, or {TEST_SEED} for testing)"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--kind", choices=("views", "singles"), default="views")
    parser.add_argument(
        "--variety",
        choices=("basic", "full"),
        default=None,
        help="of views (default: full for training, basic for testing)",
    )
    parser.add_argument("--views", type=int, default=12, help="cameras of a ring about each person")
    parser.add_argument(
        "--elevations", type=float, nargs="+", default=[0.0], help="degrees of each ring, from above; 0 first"
    )
    parser.add_argument(
        "--poses",
        choices=("all", "everyday", "unusual"),
        default="all",
        help="which poses of the generator",
    )
    parser.add_argument(
        "--wardrobe",
        choices=("all", "first", "second"),
        default="all",
        help="which half of the clothes, hair and skins",
    )
    parser.add_argument(
        "--level",
        action="store_true",
        help="singles: a level camera of one lens, nothing cut off, empty hands",
    )
    parser.add_argument(
        "--pitch",
        type=float,
        default=0.0,
        help="views: degrees that each camera is raised or lowered by at most",
    )
    parser.add_argument(
        "--meshes", action="store_true", help="write a textured GLB of each person of a views set"
    )
    parser.add_argument(
        "--size", type=int, default=None, help="pixels (default: 256 for views, 192 for singles)"
    )
    parser.add_argument("--workers", type=int, default=2)
    options: Any = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    seed = options.seed if options.seed is not None else (TEST_SEED if options.split == "test" else 0)
    kind: Literal["views", "singles"] = options.kind
    views = ViewOptions(
        variety=options.variety,
        azimuths=options.views,
        elevations=tuple(options.elevations),
        meshes=options.meshes,
        people=Distribution(options.poses, options.wardrobe, options.level, options.pitch),
    )
    report = generate(
        options.count,
        seed,
        options.out,
        options.split,
        workers=options.workers,
        size=options.size,
        kind=kind,
        views=views,
    )
    logging.getLogger(__name__).info("%s", json.dumps(report))


if __name__ == "__main__":
    main()
