"""Coarse back views of training people by a coarse model: `python -m models.back_view.pairs --data VIEWS --out FOLDER`.

The first view of each file goes through the HGM with the person's true body; the render from behind is saved as
FOLDER/<name>.npy, u8 (s, s, 3), beside which training finds the true one (HGM, appendix).
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.hgm.model import HGM
from models.hgm.rendering import back_view
from models.hgm.weights import load_hgm
from pipeline.camera import canonical_camera
from pipeline.types import Body, View

log = logging.getLogger(__name__)


def coarse_back(hgm: HGM, file: Path) -> Tensor:
    """The coarse view from behind (s, s, 3) of the person in a file of views, at the file's own size."""
    with np.load(file) as data:
        front = int(np.argmin(np.abs(data["azimuths"])))
        rgb, mask = (torch.from_numpy(data[name][front]).float() / 255 for name in ("rgb", "mask"))
        body = Body(**{f.name: torch.from_numpy(data[f"body_{f.name}"]) for f in dataclasses.fields(Body)})
    size = rgb.shape[0]
    view = View(rgb, mask, canonical_camera(size))
    return back_view(hgm.reconstruct([view], body).merged, size).image


def main(arguments: list[str] | None = None) -> None:
    """Render what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of views")
    parser.add_argument("--out", type=Path, required=True, help="folder for the coarse views")
    parser.add_argument("--weights", default="hgm_coarse", help="weight name or file of the coarse model; best an under-trained one")
    parser.add_argument("--body", default="body", help="body model")
    parser.add_argument("--people", type=int, default=0, help="use only so many people, 0 = all")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    hgm = load_hgm(options.weights, options.body, torch.device("cpu"))
    options.out.mkdir(parents=True, exist_ok=True)
    files = sorted(options.data.glob("*.npz"))
    for file in files[: options.people or None]:
        target = options.out / f"{file.stem}.npy"
        if not target.exists():
            np.save(target, (coarse_back(hgm, file) * 255).round().to(torch.uint8).numpy())
    log.info("%d coarse back views in %s", len(list(options.out.glob("*.npy"))), options.out)


if __name__ == "__main__":
    main()
