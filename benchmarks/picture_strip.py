"""One picture strip of a finished subject: `python -m benchmarks.picture_strip work/subjects/NAME --out
docs/strip.jpg`."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageOps

PICTURES = (
    "01_prepare/view.png",
    "02_estimate/overlay.png",
    "03_coarse/back.png",
    "05_back_view/view.png",
    "08_detail/views/000.png",
    "08_detail/views/045.png",
    "08_detail/views/090.png",
    "08_detail/views/180.png",
)


def crop(picture: Image.Image, margin: float = 0.02) -> Image.Image:
    """What is not white, with a little around it, at least as wide as a third of its height."""
    box = ImageOps.invert(picture).point(([0] * 17 + [255] * 239) * 3).getbbox()
    assert box is not None, "a picture of nobody"
    height = (box[3] - box[1]) * (1 + 2 * margin)
    width = max(height / 3, (box[2] - box[0]) * (1 + 2 * margin))
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    whole = Image.new("RGB", (round(width), round(height)), "white")
    whole.paste(picture, (round(width / 2 - x), round(height / 2 - y)))
    return whole


def strip(subject: Path, height: int = 300) -> Image.Image:
    """The stages' pictures next to each other, then the last row of the turntable's sheet is left to the
    reader."""
    tiles = []
    for name in PICTURES:
        file = subject / name
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing: run `turnaround run` on the photo first")
        with Image.open(file) as opened:
            rgba = opened.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        tile = crop(Image.alpha_composite(white, rgba).convert("RGB"))
        tiles.append(
            tile.resize((round(tile.width * height / tile.height), height), Image.Resampling.LANCZOS)
        )
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
