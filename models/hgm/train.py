"""Train the Human Gaussian Model: `python -m turnaround.models.hgm.train --data VIEWS --out RUN`."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.config import hgm_config
from turnaround.models.hgm.create import create_hgm
from turnaround.models.hgm.inputs import stack
from turnaround.models.hgm.model import HGM
from turnaround.models.hgm.training.dataset import BACK, VIEWS, Example, PeopleViews
from turnaround.models.hgm.training.examples import BackConfig, BackViews, batches, degraded_back
from turnaround.models.hgm.training.losses import (
    LossConfig,
    Structure,
    dissimilarity,
    hgm_loss,
    render,
    structural,
)
from turnaround.models.hgm.weights import load_lgm, read_hgm, save_hgm
from turnaround.models.metrics.image import psnr, ssim
from turnaround.models.training.log import Pictures
from turnaround.models.training.loop import LossFn, Trainer, add_arguments, config_from, device_of, moved
from turnaround.models.training.people import HELD_OUT, split_people
from turnaround.models.training.settings import Flags, check_network, parse
from turnaround.pipeline.errors import CallError

GROUPS = {
    "input": (0,),
    "front": (1, 2, 10, 11),
    "side": (3, 9),
    "back": (4, 5, 6, 7, 8),
    "novel": tuple(range(1, 12)),
}
NETWORKS = ("hgm-coarse", "hgm-fusion")  # with one view and with two
VALIDATION_NOISE = 0.6
SHOWN = 8  # people on a sample picture


def loss_with(config: LossConfig, structure: Structure = dissimilarity) -> LossFn:
    """The loss of a batch of examples, the mean over its people."""

    def loss_fn(model: nn.Module, examples: list[Example]) -> tuple[Tensor, dict[str, Tensor]]:
        outputs = model(stack([example.inputs for example in examples]))
        stride: int = model.config.shrink  # type: ignore[union-attr,assignment]
        with torch.autocast(device_of(model).type, enabled=False):
            pairs = [
                hgm_loss(output, example, config, structure, stride)
                for output, example in zip(outputs, examples, strict=True)
            ]
        names = sorted({name for _, values in pairs for name in values})
        means = {
            name: torch.stack([values[name] for _, values in pairs if name in values]).mean()
            for name in names
        }
        return torch.stack([loss for loss, _ in pairs]).mean(), means

    return loss_fn


loss_fn = loss_with(LossConfig())


class Validation:
    """PSNR and SSIM by azimuth on fixed people with fixed noise, and pictures of the first of them."""

    def __init__(
        self,
        people: PeopleViews,
        views: int,
        count: int,
        backs: BackViews | None = None,
        renderer: str = "auto",
    ) -> None:
        self.people, self.views, self.count = people, views, min(count, len(people))
        self.backs, self.renderer, self.rows = backs, renderer, []

    def example(self, index: int) -> Example:
        """Person `index` from the front; the second view is a stored one, else the true one degraded."""
        rng, given = np.random.default_rng(index), None
        if self.views == 2:
            arrays = self.people.person(index)
            name, size = self.people.files[index].stem, arrays["rgb"].shape[1]
            found = None if self.backs is None else self.backs.find(name, size)
            given = degraded_back(arrays, 0, rng) if found is None else found
        return self.people.example(
            index,
            rng,
            turn=0,
            inputs=self.views,
            supervised=list(range(VIEWS)),
            noise=VALIDATION_NOISE,
            with_body=True,
            back=given,
        )

    def __call__(self, model: nn.Module, step: int) -> dict[str, float]:
        """Figures of the averaged model."""
        scores, self.rows = [], []
        for index in range(self.count):
            example = moved(self.example(index), device_of(model))
            person = model(example.inputs)[0].merged
            drawn = render(person, example.cameras, where=self.renderer).rgb.clamp(0, 1)
            scores.append(torch.stack([psnr(drawn, example.rgb), ssim(drawn, example.rgb)]).cpu())
            if index < SHOWN:
                pairs = [torch.cat([example.rgb[k], drawn[k]], 1) for k in (0, 1, 3, BACK)]
                self.rows.append(torch.cat(pairs, 1).cpu())
        mean = torch.stack(scores).mean(0)
        result = {f"psnr_{name}": float(mean[0, list(group)].mean()) for name, group in GROUPS.items()}
        return result | {"ssim_novel": float(mean[1, 1:].mean())}

    def samples(self, _model: nn.Module) -> Pictures:
        """A row a person: truth and render from azimuth 0, 30, 90 and 180, as last validated."""
        return {"views": torch.cat(self.rows)} if self.rows else {}


def open_people(options: argparse.Namespace, model: HGM) -> tuple[PeopleViews, PeopleViews]:
    """People to train on and held-out ones; ValueError where their pictures are not of the model's size."""
    # the model's own go to its device
    body, surface = copy.deepcopy(model.body_model).cpu(), copy.deepcopy(model.surface).cpu()
    people = PeopleViews(options.data, body, surface, estimates=options.estimates)
    if options.validation:
        held = PeopleViews(
            options.validation,
            body,
            surface,
            limit=options.validation_count,
            estimates=options.validation_estimates,
        )
    else:
        held = PeopleViews(options.data, body, surface, estimates=options.estimates)
        people.files, held.files = split_people(options.data, options.held_out, options.people)
    size = people.person(0)["rgb"].shape[1]
    if size != model.config.size:
        raise CallError(
            f"{options.data} has pictures of {size} px, the model takes {model.config.size}: make them with "
            f"`turnaround data people --kind views --size {model.config.size}`"
        )
    return people, held


def new_model(options: argparse.Namespace) -> HGM:
    """The model to train: from weights, from LGM's, or from random numbers."""
    torch.manual_seed(options.seed)
    body = BodyModel.load(options.body)
    if options.init:
        model = read_hgm(options.init, body_model=body).train()
    else:
        model = create_hgm(hgm_config(options.size), body)
    if options.init_lgm:
        load_lgm(model, options.init_lgm)
    model.image_branch.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def arguments() -> Flags:
    """The flags of this program."""
    parser = add_arguments(Flags(description=__doc__), steps=4000, batch=2, bf16=True, validate_every=150)
    parser.add_argument("--views", type=int, choices=(1, 2), default=1, help="1: hgm_coarse, 2: hgm_fusion")
    parser.add_argument(
        "--size",
        choices=("tiny", "default", "paper"),
        default="default",
        help="of the network, where --init gives none",
    )
    parser.add_argument("--body", type=Path, help="SMPLX_NEUTRAL.npz; none: the free body")
    parser.add_argument("--init", help="weights to start from: a name or a file")
    parser.add_argument(
        "--init-lgm", type=Path, help="LGM's weights as the start of a paper-size image branch"
    )
    parser.add_argument(
        "--validation",
        type=Path,
        help="folder of people to validate on; none: the last of --data are held out",
    )
    parser.add_argument("--validation-count", type=int, default=8, help="people that are validated on")
    parser.add_argument(
        "--held-out", type=float, default=HELD_OUT, help="share of --data that is held out, the last by name"
    )
    parser.add_argument("--people", type=int, default=0, help="use only so many people, 0 = all")
    parser.add_argument("--supervised", type=int, default=3, help="views a person")
    parser.add_argument("--noise", type=float, default=1.2, help="largest body error, 1 = 57 mm")
    parser.add_argument(
        "--estimates", type=Path, help="folder of estimated bodies made by models.hgm.training.estimates"
    )
    parser.add_argument("--validation-estimates", type=Path, help="the same for --validation")
    parser.add_argument(
        "--backs",
        type=Path,
        help="folder of coarse or refined back views made by models.back_view.pairs (two views)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Train, and write the averaged weights to models/weights when asked to."""
    options = parse(arguments(), argv, NETWORKS, {"loss": LossConfig, "back": BackConfig})
    check_network(options, NETWORKS[options.views - 1])
    if options.backs and options.views == 1:
        raise CallError("--backs are second views: give --views 2, too")
    config = config_from(options)
    model = new_model(options)
    people, held = open_people(options, model)
    trainer = Trainer(model, config, compiled=model.image_branch.unet, export=save_hgm)  # type: ignore[arg-type]
    backs = BackViews(options.backs) if options.backs else None
    loss, structure = structural(options.loss, trainer.device)
    check = Validation(held, options.views, options.validation_count, backs, loss.renderer)
    make = batches(
        people,
        options.views,
        config.batch,
        options.supervised,
        options.noise,
        backs=backs,
        back=options.back,
        geometry=bool(loss.normal or loss.view_depth),
    )
    trainer.run(make, loss_with(loss, structure), check, samples=check.samples, goal=("psnr_novel", "max"))
    if options.save and trainer.parallel.first:
        state = trainer.kept_state(best=options.save_best)
        facts = {"steps": str(trainer.step), "structure": loss.structure}
        save_hgm(trainer.ema, options.save, state, **facts)  # type: ignore[arg-type]
    trainer.parallel.close()


if __name__ == "__main__":
    main()
