"""Back views of training people by a coarse model: `python -m turnaround.models.back_view.pairs --data VIEWS
--out FOLDER`.

The first view of each file goes through the HGM; the render from behind is saved as FOLDER/<name>.npy, u8 (s,
s, 4): RGB over white, and mask. Two networks learn from such files:

- the ControlNet, for which the model is under-converged and its picture downsampled (HGM, appendix:
`--weights
  RUN/snapshot_000200.safetensors --shrink 2`), beside the true view: `models.back_view.train controlnet
  --coarse FOLDER`;
- the two-view model, which must bear the faults of back views as they are in use: `models.hgm.train --views 2
--backs
  FOLDER`; where the embedded diffusion is in use (stages.back_view.refiner), `--refine` sends them through
  it.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.back_view.outline import within_outline
from turnaround.models.hgm.model import HGM
from turnaround.models.hgm.rendering import back_view
from turnaround.models.hgm.training.dataset import noisy_body
from turnaround.models.hgm.weights import load_hgm
from turnaround.pipeline.errors import MissingFile
from turnaround.pipeline.files import replacing
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.types import Body, View

if TYPE_CHECKING:  # diffusers is needed for `--refine` alone
    from turnaround.models.back_view.diffusion.refiner import Refiner, Settings

log = logging.getLogger(__name__)

MARGIN = 4 / 512  # of the picture's width, by which a refined outline may grow, as in the stage

Bodies = Callable[[Path, Body], Body]  # (file, true body) -> the one that the model is given


def coarse_back(hgm: HGM, file: Path, given: Bodies | None = None) -> View:
    """The coarse view from behind of the person in a file of views, at the file's own size; on the true body
    by default."""
    with np.load(file, allow_pickle=False) as data:
        front = int(np.argmin(np.abs(data["azimuths"])))
        rgb, mask = (torch.from_numpy(data[name][front]).float() / 255 for name in ("rgb", "mask"))
        body = Body(**{f.name: torch.from_numpy(data[f"body_{f.name}"]) for f in dataclasses.fields(Body)})
    size = rgb.shape[0]
    view = View(rgb, mask, canonical_camera(size))
    return back_view(hgm.reconstruct([view], body if given is None else given(file, body)).merged, size)


def noisy(amount: float, seed: int) -> Bodies:
    """True bodies with the noise that training uses; the same for the same person and seed."""

    def bodies(file: Path, body: Body) -> Body:
        number = int(file.stem) if file.stem.isdigit() else sum(file.stem.encode())
        return noisy_body(body, np.random.default_rng((seed, number)), amount)

    return bodies


def estimated(folder: Path) -> Bodies:
    """The estimates from stored view 0 that `models.hgm.training.estimates` wrote."""

    def bodies(file: Path, _body: Body) -> Body:
        with np.load(folder / file.name, allow_pickle=False) as stored:
            row = stored["turns"].tolist().index(0)
            return Body(**{f.name: torch.from_numpy(stored[f.name][row]) for f in dataclasses.fields(Body)})

    return bodies


def shrunk(image: Float[Tensor, "s s 3"], factor: float) -> Float[Tensor, "s s 3"]:
    """The picture at 1 / `factor` of its size, and enlarged again: its details are gone."""
    if factor <= 1:
        return image
    picture, size = image.permute(2, 0, 1)[None], image.shape[0]
    small = F.interpolate(picture, (round(size / factor),) * 2, mode="area")
    return (
        F.interpolate(small, (size, size), mode="bilinear", align_corners=False)[0]
        .permute(1, 2, 0)
        .clamp(0, 1)
    )


def refined(view: View, refiner: Refiner, settings: Settings) -> View:
    """The view as stage `back_view` hands it on."""
    image, mask = within_outline(
        refiner(view.image, settings), view.image, view.mask, round(MARGIN * view.image.shape[0])
    )
    return dataclasses.replace(view, image=image, mask=mask)


def refinement(strength: float, device: str) -> Callable[[View], View]:
    """Refinement by the embedded networks with the stage's settings."""
    from turnaround.models.back_view.diffusion.refiner import embedded_refiner
    from turnaround.models.back_view.settings import EmbeddedDiffusionSettings

    settings = EmbeddedDiffusionSettings(strength=strength)
    refiner = embedded_refiner(*settings.names, device)
    return lambda view: refined(view, refiner, settings)


def save(view: View, file: Path) -> None:
    """RGB and mask as u8 (s, s, 4), in one rename."""
    pixels = (
        (torch.cat([view.image, view.mask[..., None]], -1).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    )
    with replacing(file) as beside:
        np.save(beside, pixels)


def arguments() -> argparse.ArgumentParser:
    """The flags of this program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of views")
    parser.add_argument("--out", type=Path, required=True, help="folder for the back views")
    parser.add_argument(
        "--weights",
        default="hgm_coarse",
        help="weight name or file of the coarse model; for the ControlNet an early snapshot",
    )
    parser.add_argument("--body", default="body", help="body model")
    parser.add_argument("--people", type=int, default=0, help="use only so many people, 0 = all")
    parser.add_argument("--noise", type=float, default=0.0, help="of the given bodies, 1 = 57 mm")
    parser.add_argument(
        "--estimates",
        type=Path,
        help="give the bodies of this folder, made by models.hgm.training.estimates, instead",
    )
    parser.add_argument(
        "--shrink", type=float, default=1.0, help="downsample the render by this factor, and enlarge it again"
    )
    parser.add_argument("--refine", action="store_true", help="refine by the embedded diffusion networks")
    parser.add_argument("--strength", type=float, default=0.1, help="of the refinement; the stage's default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Render what is not there yet."""
    options = arguments().parse_args(argv)
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(options.threads)
    hgm = load_hgm(options.weights, options.body, torch.device(options.device))
    given = (
        estimated(options.estimates)
        if options.estimates
        else noisy(options.noise, 17)
        if options.noise
        else None
    )
    finish = refinement(options.strength, options.device) if options.refine else lambda view: view
    options.out.mkdir(parents=True, exist_ok=True)
    files = sorted(options.data.glob("*.npz"))[: options.people or None]
    if not files:
        raise MissingFile(
            f"no people in {options.data}: make them with `turnaround data people --kind views --out "
            f"{options.data}`"
        )
    todo = [file for file in files if not (options.out / f"{file.stem}.npy").exists()]
    for file in todo:
        view = coarse_back(hgm, file, given)
        view = dataclasses.replace(view, image=shrunk(view.image, options.shrink))
        save(finish(view), options.out / f"{file.stem}.npy")
    log.info("%d back views made, %d kept, in %s", len(todo), len(files) - len(todo), options.out)


if __name__ == "__main__":
    main()
