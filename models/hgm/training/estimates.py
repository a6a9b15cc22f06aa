"""Bodies as estimation leaves them, for training: the estimator's answers on the people's own views.

`python -m turnaround.models.hgm.training.estimates --data VIEWS --out FOLDER` writes one .npz a person: the
SMPL-X fields of the estimate from each input view that training uses, in the world of that view. The
estimator must not have been trained on these people.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

import numpy as np
import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.crop import cut_white, mask_window
from turnaround.models.estimator.kinematics import POSED, to_local
from turnaround.models.estimator.model import BodyEstimator
from turnaround.models.estimator.polish import polish
from turnaround.models.estimator.predict import load_estimator
from turnaround.pipeline.errors import MissingFile
from turnaround.pipeline.files import replacing
from turnaround.pipeline.values.rotation import matrix_to_axis_angle
from turnaround.pipeline.values.types import Body

log = logging.getLogger(__name__)

TURNS = (0, 1, 11)  # stored views that training takes as the input


@torch.no_grad()
def estimate_views(
    network: BodyEstimator, model: BodyModel, rgb: np.ndarray, mask: np.ndarray
) -> dict[str, np.ndarray]:
    """Estimates from n pictures over white, (n, s, s, 3) and (n, s, s) u8 -> Body fields, (n, ...)."""
    color = torch.from_numpy(rgb).float().movedim(-1, 1) / 255
    alpha = torch.from_numpy(mask).float()[:, None] / 255
    window = mask_window(alpha[:, 0])
    pixels = cut_white(torch.cat([color, alpha], 1), window)
    found = polish(network.skeleton, network(pixels, window), window)
    orient, pose = matrix_to_axis_angle(to_local(found.rotations)).split((1, POSED - 1), 1)
    rest = model.joint_template[0] + torch.einsum("jk,nk->nj", model.joint_shapedirs[0, :, :10], found.betas)
    count = len(rgb)
    neutral = Body.neutral()
    values = {
        field.name: getattr(neutral, field.name).expand(count, *getattr(neutral, field.name).shape)
        for field in dataclasses.fields(Body)
    }
    values |= {
        "betas": found.betas,
        "global_orient": orient[:, 0],
        "body_pose": pose,
        "transl": found.pelvis - rest,
        "left_hand_pose": network.hands[0].expand(count, -1, -1),
        "right_hand_pose": network.hands[1].expand(count, -1, -1),
    }
    return {name: value.numpy().astype(np.float32) for name, value in values.items()}


def main(argv: list[str] | None = None) -> None:
    """Command line; people whose file exists are kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="views set")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--estimator", default="estimator", help="weight name or file")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(options.threads)
    model = BodyModel.load()
    network = load_estimator(options.estimator)
    files = sorted(options.data.glob("*.npz"))
    if not files:
        raise MissingFile(
            f"no people in {options.data}: make them with `turnaround data people --kind views --out "
            f"{options.data}`"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    todo = [file for file in files if not (options.out / file.name).exists()]
    for file in todo:
        with np.load(file, allow_pickle=False) as person:
            views = list(TURNS)
            values = estimate_views(network, model, person["rgb"][views], person["mask"][views])
        with replacing(options.out / file.name) as beside:
            np.savez(beside, turns=np.array(TURNS), **values)  # type: ignore[arg-type]
    log.info("%d estimates made, %d kept, in %s", len(todo), len(files) - len(todo), options.out)


if __name__ == "__main__":
    main()
