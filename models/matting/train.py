"""Train the matting network: `python -m turnaround.models.matting.train --data SINGLES --backgrounds FILE.npy
--out FOLDER`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from turnaround.models import zoo
from turnaround.models.convnet import recalibrate
from turnaround.models.matting.compose import Composer, Composite, open_singles, open_things
from turnaround.models.matting.model import MattingNetwork
from turnaround.models.metrics.image import areas
from turnaround.models.training.log import Pictures, sheet
from turnaround.models.training.loop import Trainer, add_arguments, config_from, device_of, moved
from turnaround.models.training.settings import Flags, parse

HELD_OUT = 0.05  # share of each chunk, from its end, that is only validated on


def matting_loss(network: nn.Module, batch: Composite) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy with the soft mask, L1, and one minus the soft overlap of each picture; edges count
    more."""
    logits = network.logits(batch.image)  # type: ignore[operator]
    mask, share = batch.mask, torch.sigmoid(logits)
    edge = F.max_pool2d(mask, 7, 1, 3) + F.max_pool2d(1 - mask, 7, 1, 3) - 1
    weight = batch.weight * (1 + 2 * edge)
    entropy = (F.binary_cross_entropy_with_logits(logits, mask, reduction="none") * weight).mean()
    absolute = ((share - mask).abs() * weight).mean()
    both, either = (
        (share * mask * batch.weight).sum((1, 2, 3)),
        ((share + mask - share * mask) * batch.weight).sum((1, 2, 3)),
    )
    overlap = 1 - ((both + 20) / (either + 20)).mean()
    loss = entropy + absolute + 0.3 * overlap
    return loss, {"entropy": entropy.detach(), "l1": absolute.detach(), "overlap": overlap.detach()}


def validate_on(composer: Composer, batches: int = 8, batch: int = 16):
    """A function (network, step) -> intersection over union and mean absolute error on fixed composites."""

    def validate(network: nn.Module, step: int) -> dict[str, float]:
        network.eval()
        overlaps, errors = [], []
        for k in range(batches):
            data = moved(composer(batch, np.random.default_rng((987, k))), device_of(network))
            found, true = network(data.image), data.mask
            valid = data.weight > 0
            both, either = (count[:, 0] for count in areas((found > 0.5) & valid, (true > 0.5) & valid))
            overlaps.append(both[either > 50] / either[either > 50])
            errors.append(((found - true).abs() * valid).mean())
        values = torch.cat(overlaps)
        return {
            "iou": values.mean().item(),
            "iou_low": values.quantile(0.1).item(),
            "mae": torch.stack(errors).mean().item(),
        }

    return validate


def samples_of(composer: Composer, count: int = 8):
    """A function network -> fixed pictures, their masks, and the masks that it finds."""

    def samples(network: nn.Module) -> Pictures:
        data = composer(count, np.random.default_rng(986))
        found = network(data.image.to(device_of(network)))
        return {"picture_truth_found": sheet([data.image, data.mask, found])}

    return samples


def arguments() -> Flags:
    """The flags of this program."""
    parser = add_arguments(Flags(description=__doc__), batch=16, lr=2e-3, steps=6000, bf16=True)
    parser.add_argument("--backgrounds", type=Path, required=True, help="(n, s, s, 3) u8 .npy")
    parser.add_argument("--size", type=int, help="pixels of the composites (default: the set's)")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Train, then write the averaged weights when `--save` is given."""
    options = parse(arguments(), argv, ("matting",))
    config = config_from(options)
    people, backgrounds = open_singles(options.data), np.load(options.backgrounds, mmap_mode="r")
    cut = [int(len(p) * (1 - HELD_OUT)) for p in people]
    held_backgrounds = max(1, len(backgrounds) // 20)
    things = open_things(options.data)
    train = Composer(
        [p[:n] for p, n in zip(people, cut, strict=True)],
        backgrounds[:-held_backgrounds],
        options.size,
        things,
    )
    later = [replace(t, index=t.index[n:]) for t, n in zip(things, cut, strict=True)]
    held = Composer(
        [p[n:] for p, n in zip(people, cut, strict=True)], backgrounds[-held_backgrounds:], None, later
    )
    torch.manual_seed(config.seed)
    network = MattingNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer(network, config, compiled=network.unet)
    score = validate_on(held)

    def validate(averaged: nn.Module, step: int) -> dict[str, float]:
        recalibrate(
            averaged,
            (
                averaged(train(16, np.random.default_rng((3, k))).image.to(device_of(averaged)))
                for k in range(8)
            ),
        )
        return score(averaged, step)

    batches = lambda _step, rng: train(config.batch, rng)  # noqa: E731
    ema = trainer.run(batches, matting_loss, validate, samples=samples_of(held), goal=("iou", "max"))
    if options.save and trainer.parallel.first:
        ema.load_state_dict(trainer.kept_state(best=options.save_best))
        scores = {k: f"{v:.4f}" for k, v in validate(ema, trainer.step).items()}
        zoo.save_state(options.save, ema.state_dict(), {"steps": str(trainer.step), **scores})
    trainer.parallel.close()


if __name__ == "__main__":
    main()
