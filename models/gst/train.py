"""Train GST: `python -m turnaround.models.gst.train --data MOMENTS --out RUN`."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from turnaround.models.body.model import BodyModel
from turnaround.models.gst.config import SIZES, GSTConfig
from turnaround.models.gst.model import GST
from turnaround.models.gst.training.losses import LossConfig, drawn, gst_loss
from turnaround.models.gst.training.measure import measure
from turnaround.models.gst.training.moments import Batch, Moments
from turnaround.models.gst.weights import begin, read_gst, save_gst
from turnaround.models.training.log import Pictures
from turnaround.models.training.loop import LossFn, Trainer, add_arguments, config_from, device_of, moved
from turnaround.models.training.people import split_people
from turnaround.models.training.settings import Flags, parse
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.camera import DISTANCE

JITTER = (0.05, 0.05, 0.06)  # of windows in training: standard deviations of shift, and of log size
SIGHTED = 0.7  # of a batch: people read from a view with landmarks, at least
SHOWN = 6  # people on a sample picture
VALIDATED = 16  # held-out moments


def loss_with(config: LossConfig, *, true_bodies: bool = False, start: GST | None = None) -> LossFn:
    """The loss of a batch; while the body is held, its decoder learns nothing.

    `start`, a copy of the model before its first step, says the poses that `config.start` holds it to.

    With `true_bodies` the Gaussians are learned on labelled bodies, and so without the fog that a wrong pose
    makes of them; the body learns from the labels alone.
    """

    def loss_fn(model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(model, GST)
        for parameter in pose_parameters(model):
            parameter.requires_grad_(not batch.held)
        if true_bodies:
            return _loss_on_truth(model, batch, config)
        output = model(
            batch.pixels,
            batch.window,
            batch.landmarks,
            gaussians=config.pictures,
            picture=batch.picture,
        )
        began = None
        if start is not None and not batch.held:
            with torch.no_grad():
                began = start.body(batch.pixels, batch.window, batch.landmarks).rotations
        with torch.autocast(device_of(model).type, enabled=False):
            return gst_loss(output, batch, config, began)

    return loss_fn


def _loss_on_truth(model: GST, batch: Batch, config: LossConfig) -> tuple[Tensor, dict[str, Tensor]]:
    truth = batch.truth
    if bool(truth.betas.isnan().any()):
        raise CallError("--true-bodies needs moments with body_* and joints")
    place = truth.joints[:, 0]
    depth = place[:, 2:] / batch.reach[:, None] - DISTANCE
    pelvis = torch.cat([place[:, :2], depth], 1)  # of the canonical world
    posed = model.anchors(truth.rotations, truth.betas, pelvis, model.network.hands)
    output = model(batch.pixels, batch.window, batch.landmarks, posed=posed, picture=batch.picture)
    on_truth = replace(output, body=replace(output.body, pelvis=pelvis))
    labels = ("keypoints", "calibrated", "joints", "betas", "depth")
    pictures, terms = gst_loss(on_truth, batch, config.but(**dict.fromkeys(labels, 0.0)))
    rest = ("rgb", "perceptual", "alpha", "tightness")
    body, more = gst_loss(output, batch, config.but(**dict.fromkeys(rest, 0.0)))
    return pictures + body, terms | more


def pose_parameters(model: GST) -> list[nn.Parameter]:
    """What says the body and is trained: everything of the estimator but a frozen encoder."""
    network = model.network
    encoder = {id(p) for part in network.encoder().values() for p in part.parameters()}
    return [p for p in network.parameters() if not network.frozen or id(p) not in encoder]


def batches_of(moments: Moments, batch: int, views: int, hold: int):
    """(step, generator) -> a batch of random people seen by random cameras of theirs."""

    def batches(step: int, rng: np.random.Generator) -> Batch:
        people = rng.integers(len(moments), size=batch).tolist()
        inputs = [_input_of(moments, person, rng) for person in people]
        made = moments.batch(people, inputs, views, rng.normal(size=(batch, 3)) * JITTER)
        return Batch(**{**vars(made), "held": step < hold})

    return batches


def _input_of(moments: Moments, person: int, rng: np.random.Generator) -> int:
    """A view of a person, mostly one whose landmarks are known where there are such."""
    known = moments.sighted(person)
    if len(known) and rng.random() < SIGHTED:
        return int(rng.choice(known))
    return int(rng.integers(moments.views(person)))


def samples_of(moments: Moments):
    """A function model -> rows of input, and truth beside render of four views."""

    def samples(model: nn.Module) -> Pictures:
        assert isinstance(model, GST)
        rows = []
        for person in range(min(SHOWN, len(moments))):
            batch = moved(moments.batch([person], [0], 4), device_of(model))
            output = model(batch.pixels, batch.window, batch.landmarks, picture=batch.picture)
            rgb = drawn(output, batch)[0].rgb
            pairs = zip(batch.rgb[0], rgb, strict=True)
            rows.append(torch.cat([x for pair in pairs for x in pair], 1).cpu())
        return {"views": torch.cat(rows)}

    return samples


def arguments() -> Flags:
    """The flags of this program."""
    parser = add_arguments(
        Flags(description=__doc__),
        batch=8,
        lr=1e-3,
        steps=20000,
        warmup=50,
        betas=(0.9, 0.999),
        weight_decay=0.0,
        ema=0.99,
    )
    parser.add_argument("--size", choices=sorted(SIZES), default="default", help="of a new network")
    parser.add_argument("--init", default="", help="GST weight or file to go on from")
    parser.add_argument(
        "--estimator",
        default="estimator",
        help="estimator that a new network begins with; for --size paper your own hmr2.ckpt; '' for none",
    )
    parser.add_argument("--views", type=int, default=4, help="cameras that a person is compared in")
    parser.add_argument("--pixels", type=int, default=128, help="of the pictures that are compared")
    parser.add_argument(
        "--whole", action="store_true", help="compare whole pictures, not the windows about the person"
    )
    parser.add_argument(
        "--hold", type=int, default=200, help="first steps in which the Gaussians alone learn"
    )
    parser.add_argument(
        "--pose-rate", type=float, default=0.05, help="learning rate of the body's part, as a share of --lr"
    )
    parser.add_argument(
        "--true-bodies",
        action="store_true",
        help="put the Gaussians on labelled bodies while they are learned; the body learns from the labels",
    )
    parser.add_argument("--train-encoder", action="store_true", help="the image encoder learns, too")
    parser.add_argument(
        "--sightings", type=Path, help="landmarks of the views (models.gst.training.sightings)"
    )
    parser.add_argument("--limit", type=int, default=0, help="moments to train on, 0 = all")
    return parser


def new_model(init: str, estimator: str, config: GSTConfig) -> GST:
    """A model to train: another's weights, or new ones over an estimator's."""
    if init:
        return read_gst(init)
    model = GST(BodyModel.load(), config)
    if estimator:
        begin(model, estimator)
    return model


def main(argv: list[str] | None = None) -> None:
    """Train, then write the averaged weights when `--save` is given."""
    options = parse(arguments(), argv, ("gst",), {"loss": LossConfig, "model": GSTConfig})
    config = config_from(options)
    train, held = split_people(options.data, limit=options.limit)
    torch.manual_seed(config.seed)
    model = new_model(options.init, options.estimator, _model_config(options))
    if options.sightings and model.landmarks is None:
        raise CallError(
            "--sightings: this network has no tokens of landmarks; leave it out, or begin a new network with "
            "--set model.landmarks=true"
        )
    moments, others = (
        Moments(
            files, size=options.pixels, close=close, sightings=options.sightings, window=model.network.size
        )
        for files, close in ((train, not options.whole), (held, False))
    )
    if not options.train_encoder:
        model.network.freeze_encoder()
    start = copy.deepcopy(model).eval().requires_grad_(False) if _held(options) else None
    trainer = Trainer(model, config, slower=(pose_parameters(model), options.pose_rate))
    start = start and start.to(trainer.device)
    chosen = [(k, k % others.views(k)) for k in range(min(VALIDATED, len(others)))]

    def validate(averaged: nn.Module, step: int) -> dict[str, float]:
        assert isinstance(averaged, GST)
        return measure(averaged, others, chosen)

    ema = trainer.run(
        batches_of(moments, config.batch, options.views, options.hold),
        loss_with(options.loss, true_bodies=options.true_bodies, start=start),
        validate,
        samples=samples_of(others),
        goal=("psnr_novel", "max"),
    )
    if options.save and trainer.parallel.first:
        assert isinstance(ema, GST)
        ema.load_state_dict(trainer.kept_state(best=options.save_best))
        scores = {name: f"{value:.3f}" for name, value in validate(ema, trainer.step).items()}
        save_gst(ema, options.save, ema.state_dict(), steps=str(trainer.step), **scores)
    trainer.parallel.close()


def _held(options) -> bool:
    """Whether the poses that the training begins with say anything, and nothing says better ones."""
    known = bool(options.init or options.estimator)
    return known and options.loss.holds and not options.true_bodies


def _model_config(options) -> GSTConfig:
    """The size that is named, or the group `model` of the settings; not both, and none beside `--init`."""
    if options.init and (options.model != GSTConfig() or options.size != "default"):
        raise CallError(f"--init {options.init} has its own size: leave out --size and the settings `model`")
    if options.model != GSTConfig() and options.size != "default":
        raise CallError("give the network's size by --size or by the settings `model`, not by both")
    return options.model if options.size == "default" else GSTConfig.of(options.size)


if __name__ == "__main__":
    main()
