"""How well people of one photo are told apart: two people of docs/demo before one background, nearer and
nearer to each other.

    python -m benchmarks.several_people [--json FILE] [--picture FILE]

For each distance between their boxes (pixels of a 900 px wide photo; below 0 they overlap): how many people
are found, and the overlap (IoU) of each true mask with the best one, from the embedded matting network and
from the true mask of both together.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from turnaround.data.scenes.backgrounds import background
from turnaround.flows.subjects.people import People
from turnaround.models.matting.apart import people_apart
from turnaround.pipeline.values.crop import networks_copy
from turnaround.stages.prepare import Prepare, PrepareConfig

DEMO = Path(__file__).resolve().parent.parent / "docs" / "demo"
GAPS = (60, 10, -4, -20, -50, -90)
WIDTH, HEIGHT, SIDE = 900, 660, 512
COLORS = np.array([[1, 0.2, 0.2], [0.2, 0.4, 1], [0.2, 1, 0.2]])
CPU = torch.device("cpu")


def cut_out(name: str) -> np.ndarray:
    """RGBA (s, s, 4) of a demo photo's person over white."""
    made = Prepare(PrepareConfig(size=2 * SIDE)).run(device=CPU, image=(DEMO / name).read_bytes(), mask=None)
    view = networks_copy(made.view, SIDE)
    return np.concatenate([view.image.numpy(), view.mask.numpy()[..., None]], -1)


def together(people: list[np.ndarray], gap: int, behind: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The photo and the visible mask of each person, the second one in front."""
    boxes = [np.flatnonzero((person[..., 3] > 0.5).any(0)) for person in people]
    starts = (WIDTH // 2 - gap // 2 - boxes[0][-1] - 1, WIDTH // 2 + gap - gap // 2 - boxes[1][0])
    photo, masks = behind.copy(), []
    for person, start in zip(people, starts, strict=True):
        rows, left, right = slice(70, 70 + SIDE), max(start, 0), min(start + SIDE, WIDTH)
        part = person[:, left - start : right - start]
        mask = np.zeros((HEIGHT, WIDTH), np.float32)
        mask[rows, left:right] = part[..., 3]
        photo[rows, left:right] = (
            photo[rows, left:right] * (1 - part[..., 3:]) + part[..., :3] - (1 - part[..., 3:])
        )  # it lies over white
        masks = [other * (1 - mask) for other in masks] + [mask]
    return photo.clip(0, 1), masks


def overlap(true: np.ndarray, found: list[np.ndarray]) -> float:
    """IoU of a mask with the best of those that were found."""
    return max(
        (float(((m > 0.5) & (true > 0.5)).sum() / ((m > 0.5) | (true > 0.5)).sum()) for m in found),
        default=0.0,
    )


def measure(people: list[np.ndarray], gap: int, behind: np.ndarray) -> tuple[dict, np.ndarray]:
    photo, true = together(people, gap, behind)
    stream = io.BytesIO()
    Image.fromarray(np.round(photo * 255).astype(np.uint8)).save(stream, "png")
    masks = People(PrepareConfig()).run(device=CPU, image=stream.getvalue(), mask=None).masks
    found = [np.asarray(mask) for mask in masks.values()]
    ideal = people_apart(np.max(true, axis=0).astype(np.float32))
    shown = photo * 0.3 + sum(mask[..., None] * COLORS[k % 3] * 0.7 for k, mask in enumerate(found))
    facts = {"gap": gap, "found": len(found), "iou": [round(overlap(mask, found), 3) for mask in true]}
    facts["from_true_mask"] = {"found": len(ideal), "iou": [round(overlap(mask, ideal), 3) for mask in true]}
    return facts, np.concatenate([photo[:, 240:660], shown[:, 240:660]], 1)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args(arguments)
    people = [cut_out("person_40004.jpg"), cut_out("person_40020.jpg")]
    behind = background(np.random.default_rng(3), WIDTH)[100 : 100 + HEIGHT]
    rows, pictures = zip(*(measure(people, gap, behind) for gap in GAPS), strict=True)
    text = json.dumps(rows, indent=1)
    sys.stdout.write(text + "\n")
    if options.json:
        options.json.write_text(text + "\n")
    if options.picture:
        sheet = np.concatenate([np.concatenate(pictures[k : k + 3], 0) for k in (0, 3)], 1)
        Image.fromarray(np.round(sheet.clip(0, 1) * 255).astype(np.uint8)).reduce(3).save(
            options.picture, quality=85
        )


if __name__ == "__main__":
    main()
