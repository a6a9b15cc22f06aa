"""Trains the Human Gaussian Model: `python -m models.hgm.train --views 1 --data VIEWS --out RUN [--minutes M]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from models.body import BodyModel
from models.hgm.config import hgm_config
from models.hgm.dataset import BACK, VIEWS, Example, PeopleViews
from models.hgm.inputs import stack
from models.hgm.losses import hgm_loss
from models.hgm.model import HGM
from models.metrics.image import psnr, ssim
from models.splat import rasterize
from models.training import Trainer, add_arguments, config_from

GROUPS = {"input": (0,), "front": (1, 2, 10, 11), "side": (3, 9), "back": (4, 5, 6, 7, 8), "novel": tuple(range(1, 12))}
NO_BODY = 0.12  # share of examples without a body, so that the pixels alone learn depth too
VALIDATION_NOISE = 0.6


def batches(
    people: PeopleViews, views: int, batch: int, supervised: int, noise: float
) -> Callable[[int, np.random.Generator], list[Example]]:
    """Random people, input views within 30 degrees of the front, always one of the back views among the supervised."""

    def make(_step: int, rng: np.random.Generator) -> list[Example]:
        examples = []
        for index in rng.integers(len(people), size=batch):
            turn = int(rng.choice([0, 0, 1, VIEWS - 1]))
            back = int(rng.choice([BACK, BACK, 4, 5, 7, 8]))
            others = rng.choice([k for k in range(VIEWS) if k != back], supervised - 1, replace=False)
            given = degraded_back(people.person(index), turn, rng) if views == 2 and rng.random() < 0.6 else None
            examples.append(
                people.example(
                    int(index),
                    rng,
                    turn=turn,
                    inputs=views,
                    supervised=[back, *map(int, others)],
                    noise=float(noise * rng.random()),
                    with_body=bool(rng.random() > NO_BODY),
                    back=given,
                )
            )
        return examples

    return make


def degraded_back(arrays: dict[str, np.ndarray], turn: int, rng: np.random.Generator) -> Tensor:
    """The true back view with the faults of a refined one: blurred, shifted, tinted, its outline grown or shrunk."""
    view = (turn + BACK) % VIEWS
    rgb, mask = (torch.from_numpy(arrays[name][view]).float() / 255 for name in ("rgb", "mask"))
    picture = torch.cat([rgb, mask[..., None]], -1).permute(2, 0, 1)[None]
    size = picture.shape[-1]
    small = int(size / rng.uniform(1.5, 6))
    picture = F.interpolate(
        F.interpolate(picture, size=(small, small), mode="area"), size=(size, size), mode="bilinear", align_corners=False
    )
    picture = torch.roll(picture, tuple(int(d) for d in rng.integers(-3, 4, 2)), (2, 3))
    tint = torch.tensor(rng.normal(1, 0.04, 3), dtype=torch.float32)[:, None, None]
    grown = picture[0, 3:]
    color = (picture[0, :3] - (1 - grown)) * tint + (1 - grown)
    return torch.cat([color, grown]).permute(1, 2, 0).clamp(0, 1)


def loss_fn(model: nn.Module, examples: list[Example]) -> tuple[Tensor, dict[str, float]]:
    """Mean over the people of a batch."""
    outputs = model(stack([example.inputs for example in examples]))
    device = torch.device("cuda" if next(model.parameters()).is_cuda else "cpu")
    with torch.autocast(device.type, enabled=False):
        pairs = [hgm_loss(output, example) for output, example in zip(outputs, examples, strict=True)]
    names = {name for _, values in pairs for name in values}
    means = {name: float(np.mean([values[name] for _, values in pairs if name in values])) for name in sorted(names)}
    return torch.stack([loss for loss, _ in pairs]).mean(), means


def validator(people: PeopleViews, views: int, count: int, out: Path) -> Callable[[nn.Module, int], dict[str, float]]:
    """PSNR and SSIM by azimuth on fixed people with fixed noise, and a sheet of pictures."""

    def validate(model: nn.Module, step: int) -> dict[str, float]:
        scores, rows = [], []
        for index in range(min(count, len(people))):
            rng = np.random.default_rng(index)
            example = people.example(
                index, rng, turn=0, inputs=views, supervised=list(range(VIEWS)), noise=VALIDATION_NOISE, with_body=True,
                back=degraded_back(people.person(index), 0, rng) if views == 2 else None,
            )  # fmt: skip
            render = rasterize(model(example.inputs)[0].merged, example.cameras, outputs=("rgb", "alpha")).rgb.clamp(0, 1)
            scores.append(torch.stack([psnr(render, example.rgb), ssim(render, example.rgb)]))
            if index < 8:
                pairs = [torch.cat([example.rgb[k], render[k]], 1) for k in (0, 1, 3, BACK)]
                rows.append(torch.cat(pairs, 1))
        sheet = (torch.cat(rows) * 255).round().byte().numpy()
        Image.fromarray(sheet).save(out / f"sample_{step:06d}.jpg", quality=85)
        mean = torch.stack(scores).mean(0)
        result = {f"psnr_{name}": float(mean[0, list(group)].mean()) for name, group in GROUPS.items()}
        return result | {"ssim_novel": float(mean[1, 1:].mean())}

    return validate


def main(argv: list[str] | None = None) -> None:
    """Train, and write the averaged weights to models/weights when asked to."""
    parser = add_arguments(argparse.ArgumentParser(description=__doc__), steps=4000, batch=2, bf16=True, validate_every=150)
    parser.add_argument("--views", type=int, choices=(1, 2), default=1, help="1: hgm_coarse, 2: hgm_fusion")
    parser.add_argument("--size", choices=("tiny", "default", "paper"), default="default")
    parser.add_argument("--init", help="weights to start from: a name or a file")
    parser.add_argument("--validation", type=Path, help="folder of held-out people")
    parser.add_argument("--validation-count", type=int, default=8)
    parser.add_argument("--supervised", type=int, default=3, help="views a person")
    parser.add_argument("--noise", type=float, default=1.2, help="largest body error, 1 = 57 mm")
    parser.add_argument("--save", help="weight name or file to write at the end")
    arguments = parser.parse_args(argv)
    config = config_from(arguments)
    body_model = BodyModel.load()
    torch.manual_seed(config.seed)
    model = HGM.load(arguments.init, body_model=body_model) if arguments.init else HGM(hgm_config(arguments.size), body_model)
    people = PeopleViews(arguments.data, body_model, model.surface)
    validate = None
    if arguments.validation:
        held_out = PeopleViews(arguments.validation, body_model, model.surface, limit=arguments.validation_count)
        validate = validator(held_out, arguments.views, arguments.validation_count, config.out)
    model.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer(model, config)
    trained = trainer.run(batches(people, arguments.views, config.batch, arguments.supervised, arguments.noise), loss_fn, validate)
    if arguments.save:
        trained.save(arguments.save, steps=str(trainer.step))  # type: ignore[operator]


if __name__ == "__main__":
    main()
