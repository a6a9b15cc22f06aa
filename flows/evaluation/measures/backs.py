"""The view from behind: the coarse one, the refined one and that of the final Gaussians, each against the
truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.data.sets.archive import save_npz
from turnaround.flows.evaluation.measures.measure import BACK, resized
from turnaround.flows.evaluation.suite import TestPerson
from turnaround.models.metrics import image as image_metrics
from turnaround.models.metrics import texture

ROWS = ("coarse", "refined", "fused")


def back_view(image: Float[Tensor, "h w c"], person: TestPerson) -> dict[str, float | None]:
    """A picture of the back against the true one at the suite's resolution, white where it is transparent.

    `sharpness_ratio` is the energy of the gradients inside the true outline over the truth's: 1 is as much
    detail.
    """
    small, truth = at_suite_size(image, person)[None], person.images[BACK : BACK + 1]
    inside = texture.interior(person.masks[BACK])
    lpips = image_metrics.lpips(small, truth)
    energy, true_energy = (image_metrics.gradient_energy(picture, inside) for picture in (small, truth))
    values: dict[str, Any] = {
        "psnr": image_metrics.psnr(small, truth),
        "ssim": image_metrics.ssim(small, truth),
        "lpips": lpips,
        "sharpness_ratio": energy / true_energy,
    }
    return {name: None if value is None else value.mean().item() for name, value in values.items()}


def at_suite_size(image: Float[Tensor, "h w c"], person: TestPerson) -> Float[Tensor, "s s 3"]:
    """An opaque picture of the suite's resolution."""
    white = image[..., :3] * image[..., 3:] + 1 - image[..., 3:] if image.shape[-1] == 4 else image
    return resized(white, person.size)


def keep(file: Path, pictures: dict[str, Tensor], person: TestPerson) -> None:
    """Store the pictures of ROWS and the truth, for what is measured over all people together."""
    shown = {name: at_suite_size(image, person) for name, image in pictures.items()}
    shown |= {"truth": person.images[BACK]}
    arrays = {name: (image * 255).round().to(torch.uint8).numpy() for name, image in shown.items()}
    save_npz(file, arrays | {"mask": (person.masks[BACK] * 255).round().to(torch.uint8).numpy()}, level=4)


def over_people(files: Sequence[Path]) -> dict[str, dict[str, float | None]]:
    """kid (null without Inception's weights) and random_feature_mmd of each row's pictures against the true
    ones."""
    stored: list[dict[str, Tensor]] = []
    for file in files:
        with np.load(file, allow_pickle=False) as data:
            stored.append(
                {name: torch.from_numpy(data[name]).float() / 255 for name in (*ROWS, "truth", "mask")}
            )
    if not stored:
        return {name: {"kid": None, "random_feature_mmd": None} for name in ROWS}
    pictures = {name: [person[name] for person in stored] for name in (*ROWS, "truth")}
    insides = [texture.interior(person["mask"]) for person in stored]
    features = {
        name: [texture.random_features(p, m) for p, m in zip(of, insides, strict=True)]
        for name, of in pictures.items()
    }
    return {
        name: {
            "kid": texture.kid(torch.stack(pictures[name]), torch.stack(pictures["truth"])),
            "random_feature_mmd": texture.random_feature_mmd(features[name], features["truth"]),
        }
        for name in ROWS
    }
