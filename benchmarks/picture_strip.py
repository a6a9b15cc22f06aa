"""One picture strip of a finished subject: `python -m benchmarks.picture_strip work/subjects/NAME --out docs/strip.jpg`."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

PICTURES = (
    "01_prepare/view.png", "02_estimate/overlay.png", "03_coarse/back.png", "05_back_view/refined.png", "06_fuse/views/000.png",
    "06_fuse/views/090.png", "06_fuse/views/180.png", "06_fuse/views/270.png",
)  # fmt: skip


def crop(picture: Image.Image, share: float = 0.62) -> Image.Image:
    """The middle of a square picture, where the person stands."""
    width, height = picture.size
    side = int(width * share)
    left = (width - side) // 2
    return picture.crop((left, int(height * 0.06), left + side, int(height * 0.94)))


def strip(subject: Path, height: int = 300) -> Image.Image:
    """The stages' pictures next to each other, then the last row of the turntable's sheet is left to the reader."""
    tiles = []
    for name in PICTURES:
        file = subject / name
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing: run `turnaround run` on the photo first")
        with Image.open(file) as opened:
            rgba = opened.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        tile = crop(Image.alpha_composite(white, rgba).convert("RGB"))
        tiles.append(tile.resize((round(tile.width * height / tile.height), height), Image.Resampling.LANCZOS))
    whole = Image.new("RGB", (sum(t.width for t in tiles), height), "white")
    x = 0
    for tile in tiles:
        whole.paste(tile, (x, 0))
        x += tile.width
    return whole


def main() -> None:
    """Stack the strips of all subjects that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subjects", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rows = [strip(subject) for subject in arguments.subjects]
    sheet = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), "white")
    y = 0
    for row in rows:
        sheet.paste(row, (0, y))
        y += row.height
    sheet.save(arguments.out, quality=82)


if __name__ == "__main__":
    main()
