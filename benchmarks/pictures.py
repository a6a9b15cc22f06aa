"""What packing pictures as PNG costs: `python -m benchmarks.pictures WORK SUBJECT`.

Every PNG that the stages of the subject have written is packed again in memory, on one thread: zlib's level 4
beside runs alone, which `pipeline.formats.png` uses.
"""

from __future__ import annotations

import argparse
import io
import time
import zlib
from pathlib import Path
from typing import Any

from PIL import Image

WAYS: dict[str, dict[str, Any]] = {
    "level 4": {"compress_level": 4},
    "runs alone": {"compress_type": zlib.Z_RLE},
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.pictures", description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("subject")
    options = parser.parse_args()
    stages = [link.resolve() for link in (options.work / "subjects" / options.subject).iterdir()]
    pictures = [Image.open(file) for stage in sorted(stages) for file in sorted(stage.rglob("*.png"))]
    for picture in pictures:
        picture.load()
    print("| pictures | way | seconds | MB |\n|---|---|---|---|")
    for way, how in WAYS.items():
        start, size = time.perf_counter(), 0
        for picture in pictures:
            stream = io.BytesIO()
            picture.save(stream, "png", **how)
            size += stream.tell()
        print(f"| {len(pictures)} | {way} | {time.perf_counter() - start:.2f} | {size / 1e6:.2f} |")


if __name__ == "__main__":
    main()
