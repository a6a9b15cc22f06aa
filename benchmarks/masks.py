"""Masks of photos whose alpha channel is known, over backgrounds that nothing was trained on.

    python -m benchmarks.masks FOLDER [--sheet PICTURE]

Every RGBA photo of the folder stands before each kind of background once. Three masks are compared with its
alpha: that of the matting network alone, that of the pose network alone, and that of both.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from turnaround.flows.evaluation.composites import KINDS, as_jpeg, backdrop, exposed
from turnaround.flows.evaluation.measures.matting import matting_errors
from turnaround.models.location.config import LandmarkNetworks, LocationConfig, NoLandmarks
from turnaround.models.location.locator import Locator
from turnaround.pipeline.formats.preview import contact_sheet, overlay, to_pil
from turnaround.pipeline.stage import StageError

SEED = 9_272_000
LARGEST = 1024  # pixels of a composite's longer side
MARGIN = 0.15  # of the photo's longer side, added around it


def composites(folder: Path) -> Iterator[tuple[str, bytes, np.ndarray]]:
    """Name, JPEG file and true mask (h, w) of every photo with an alpha channel over every background."""
    for file in sorted(folder.glob("*.png")):
        picture = Image.open(file)
        if picture.mode != "RGBA":
            continue
        picture.thumbnail((LARGEST, LARGEST))
        margin = round(MARGIN * max(picture.size))
        layer = Image.new("RGBA", (picture.width + 2 * margin, picture.height + margin))
        layer.paste(picture, (margin, margin // 2))
        rgba = np.asarray(layer, np.float32) / 255
        for k, kind in enumerate(KINDS):
            rng = np.random.default_rng([SEED, k, *file.stem.encode()])
            behind = backdrop(rng, kind, rgba.shape[:2])
            image = rgba[..., :3] * rgba[..., 3:] + behind * (1 - rgba[..., 3:])
            yield f"{file.stem[-12:]} {kind}", as_jpeg(rng, exposed(rng, image)), rgba[..., 3]


def masks(photo: bytes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pixels and mask by way: matting, pose, both; {} where the stage refuses the photo."""
    found = {}
    for way, landmarks in (("matting", NoLandmarks()), ("both", LandmarkNetworks(kind="blazepose"))):
        config = LocationConfig(landmarks=landmarks, person="largest", allow_truncated=True)
        located = Locator(config, torch.device("cpu")).locate(photo, None)
        found[way] = (located.scene.pixels, located.soft)
        if located.somebody is not None:
            found["pose"] = (located.scene.pixels, located.somebody.mask)
    return found


def main() -> None:
    """Print the means as JSON; write a sheet of pictures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="photos as PNG with an alpha channel")
    parser.add_argument("--sheet", type=Path, help="write a picture of all masks here")
    options = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {}
    shown, labels = [], []
    for name, photo, truth in composites(options.folder):
        try:
            found = masks(photo)
        except StageError as error:
            sys.stderr.write(f"{name}: {error}\n")
            continue
        for way, (pixels, soft) in found.items():
            errors = matting_errors(torch.from_numpy(soft), torch.from_numpy(truth))
            rows.setdefault(way, []).append(errors)
            shown.append(overlay(torch.from_numpy(pixels), torch.from_numpy(soft)))
            labels.append(f"{name} {way} {errors['iou']:.3f}")
    if options.sheet:
        to_pil(contact_sheet(shown, labels, columns=9, size=200)).save(options.sheet)
    table = {
        way: {key: round(float(np.mean([row[key] for row in of])), 4) for key in of[0]}
        | {"iou_low": round(min(row["iou"] for row in of), 4), "count": len(of)}
        for way, of in rows.items()
    }
    sys.stdout.write(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
