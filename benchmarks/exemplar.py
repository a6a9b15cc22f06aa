"""What exemplar synthesis makes of backs whose truth is known: `python -m benchmarks.exemplar --people 6
[--pictures FOLDER]`.

Generated people at 1,024 px, their true bodies, the coarse model's back. Seconds of the synthesis alone; PSNR
of the back over white at 256 px, coarse and made; PSNR and sharpness (gradients over the truth's) at 1,024 px
inside both outlines.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from turnaround.data.people import FIELDS, TEST_SEED, Figure
from turnaround.data.sets.folders import figure_for_views
from turnaround.models.back_view.behind import close_camera
from turnaround.models.body.model import BodyModel
from turnaround.models.exemplar.analogy import synthesize
from turnaround.models.exemplar.views import photo_sheet, rendered_sheet
from turnaround.models.hgm.rendering import view_from
from turnaround.models.hgm.weights import load_hgm
from turnaround.models.metrics.image import psnr, psnr_inside, sharpness
from turnaround.models.metrics.texture import interior
from turnaround.pipeline.formats.codecs import save_image
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.crop import networks_copy
from turnaround.pipeline.values.types import Body, Camera, View

SIZE, SMALL = 1024, 256


def seen(figure: Figure, camera: Camera) -> View:
    """The true picture of a camera."""
    picture = figure.seen_from(camera.K.numpy(), camera.T_camera_world.numpy(), camera.width)
    image, mask = (
        torch.from_numpy(np.asarray(array)).float() / 255 for array in (picture.over_white(), picture.alpha)
    )
    return View(image, mask, camera)


def close(figure: Figure, azimuth: float) -> View:
    """The true picture of a camera that looks at the person alone."""
    camera = canonical_camera(512) if azimuth == 0 else orbit_cameras([azimuth], 512)[0]
    return seen(figure, close_camera(seen(figure, camera), SIZE))


def small(image: torch.Tensor) -> torch.Tensor:
    """The picture at 256 px."""
    return torch.nn.functional.interpolate(image.permute(2, 0, 1)[None], (SMALL, SMALL), mode="area")[
        0
    ].permute(1, 2, 0)


def measure(seed: int, pictures: Path | None) -> list[float]:
    """Seconds and figures of one person."""
    figure = figure_for_views(seed, "test")
    body, model = Body(**{name: torch.from_numpy(figure.body[name]) for name in FIELDS}), BodyModel.shared()
    front, truth = close(figure, 0), close(figure, 180)
    gaussians = (
        load_hgm("hgm_coarse", "body", torch.device("cpu")).reconstruct([networks_copy(front)], body).merged
    )
    coarse = view_from(gaussians, truth.camera)
    source, (target, mask) = photo_sheet(front, body, model).mirrored(), rendered_sheet(coarse, body, model)
    start = time.perf_counter()
    made = torch.from_numpy(synthesize(source, target))
    seconds = time.perf_counter() - start
    over_white = made * mask[..., None] + 1 - mask[..., None]
    both = interior(((truth.mask > 0.9) & torch.from_numpy(target.mask)).float()[None])[0]
    sharp = [float(sharpness(image, both) / sharpness(truth.image, both)) for image in (coarse.image, made)]
    inside = [
        psnr_inside(image, truth.image, (both > 0.5).float()).item()
        for image in (torch.from_numpy(target.slow), made)
    ]
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        save_image(
            torch.cat([front.image, coarse.image, over_white, truth.image], 1), pictures / f"{seed}.png"
        )
    return [
        seconds,
        *(psnr(small(image), small(truth.image)).item() for image in (coarse.image, over_white)),
        *inside,
        *sharp,
    ]


def main() -> None:
    """A row a person, and their mean."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--first", type=int, default=TEST_SEED, help="seed of the first")
    parser.add_argument(
        "--pictures", type=Path, help="folder for front, coarse back, made back and true back of each"
    )
    options = parser.parse_args()
    print("person    seconds  psnr256 coarse/made   inside1024 coarse/made   sharpness coarse/made")
    rows = []
    for seed in range(options.first, options.first + options.people):
        rows.append(measure(seed, options.pictures))
        print(f"{seed:<9}", "  ".join(f"{value:8.2f}" for value in rows[-1]), flush=True)
    print("mean     ", "  ".join(f"{value:8.2f}" for value in np.mean(rows, 0)))


if __name__ == "__main__":
    main()
