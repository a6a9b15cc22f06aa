"""Train the normal network: `python -m turnaround.models.normals.train --data VIEWS --out FOLDER`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor, nn

from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.convnet import recalibrate
from turnaround.models.mesh.silhouette import normal_maps
from turnaround.models.normals.network import NormalNetwork, NormalPair, disturbed, on_front_grid
from turnaround.models.training.log import Pictures, sheet
from turnaround.models.training.loop import Trainer, add_arguments, config_from, device_of, moved
from turnaround.models.training.people import split_people
from turnaround.models.training.photometric import color_jitter
from turnaround.models.training.settings import Flags, parse
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Body

PATCH = 160  # pixels of the training crops; they contain the person's middle
RING = 12  # views of the level ring, the first ones of a file
PAIRS = 4  # pairs of views read of each person
CROPS = 2  # of each person in a batch: rendering the body costs more than the network
DROPPED = 0.25  # share of samples without a body
STRONGEST = 2.0  # of the disturbances, see `disturbed`
NO_BODY = -1.0
CASES = {
    "alone": NO_BODY,
    "wrong": 0.9,
    "true": 0.0,
}  # what is validated: no body, an estimator's, the true one


@dataclasses.dataclass(frozen=True)
class Sample:
    """Crops of pictures, masks, body normals, and the true normals with where they are known."""

    image: Float[Tensor, "*b 3 s s"]
    mask: Float[Tensor, "*b 1 s s"]
    body: Float[Tensor, "*b 6 s s"]
    target: Float[Tensor, "*b 6 s s"]
    known: Float[Tensor, "*b 2 s s"]


@dataclasses.dataclass(frozen=True)
class Pair:
    """One person seen from two opposite sides, and their vertices, in the world of the first camera."""

    rgba: UInt8[np.ndarray, "s s 4"]
    normals: Int8[np.ndarray, "2 s s 3"]  # times 127
    body: Body
    R_front_world: Float[Tensor, "3 3"]  # from the set's world to that of the front camera


class Views:
    """People of a views set, each from PAIRS opposite pairs of cameras; the last 5 % (at least one) are held
    out."""

    def __init__(self, folder: Path, part: str) -> None:
        files, held = split_people(folder)
        train = part == "train"
        self.pairs = [
            pair for file in (files if train else held) for pair in read_pairs(file, PAIRS if train else 1)
        ]
        self.model = BodyModel.load()

    def sample(self, index: int, seed: int, amount: float | None = None) -> Sample:
        """One person at full size, with a body disturbed by `amount`; None: by a random one, DROPPED times
        without any."""
        pair, generator = self.pairs[index], torch.Generator().manual_seed(seed)
        draw, strength = torch.rand(2, generator=generator).tolist()
        without = (amount is None and draw < DROPPED) or amount == NO_BODY
        size = pair.rgba.shape[0]
        if without:
            maps = torch.zeros(6, size, size)
        else:
            body = disturbed(pair.body, generator, STRONGEST * strength if amount is None else amount)
            vertices = self.model(body).vertices @ pair.R_front_world.T
            rendered = normal_maps(vertices, self.model.skin_faces.numpy(), orbit_cameras([0.0, 180.0], size))
            maps = on_front_grid(NormalPair(rendered[0], rendered[1]))
        sides = torch.from_numpy(pair.normals).float() / 127 @ pair.R_front_world.T
        target = on_front_grid(NormalPair(sides[0], sides[1]))
        known = target.unflatten(0, (2, 3)).square().sum(1) > 0.25
        rgba = torch.from_numpy(pair.rgba).movedim(-1, 0).float() / 255
        return Sample(rgba[:3], rgba[3:], maps, target, known.float())

    def batch(self, size: int, rng: np.random.Generator) -> Sample:
        """Random people, CROPS crops of each, colours changed."""
        people = [
            self.sample(int(rng.integers(len(self.pairs))), int(rng.integers(2**31)))
            for _ in range(max(1, size // CROPS))
        ]
        crops = [_crop(sample, rng) for sample in people for _ in range(CROPS)]
        whole = Sample(
            **{f.name: torch.stack([getattr(c, f.name) for c in crops]) for f in dataclasses.fields(Sample)}
        )
        return dataclasses.replace(
            whole, image=color_jitter(whole.image, rng, 0.8) * whole.mask + 1 - whole.mask
        )


def read_pairs(file: Path, count: int) -> list[Pair]:
    """`count` pairs of a person: from the front first, then evenly around."""
    with np.load(file) as person:
        rgb, mask, normal, azimuths = (person[name][:RING] for name in ("rgb", "mask", "normal", "azimuths"))
        body = Body(
            **{
                field.name: torch.from_numpy(person[f"body_{field.name}"])
                for field in dataclasses.fields(Body)
            }
        )
    views = len(azimuths)
    turns = orbit_cameras(azimuths.tolist(), rgb.shape[1]).T_camera_world[:, :3, :3]
    fronts = [(k * views // count + (int(file.stem) % 3 if k else 0)) % views for k in range(count)]
    return [
        Pair(
            np.concatenate([rgb[k], mask[k, ..., None]], -1),
            normal[[k, (k + views // 2) % views]],
            body,
            turns[k],
        )
        for k in fronts
    ]


def _crop(sample: Sample, rng: np.random.Generator) -> Sample:
    """A square that holds a random pixel of the person."""
    height, width = sample.mask.shape[-2:]
    rows, columns = (sample.mask[0] > 0.5).nonzero(as_tuple=True)
    pick = int(rng.integers(max(len(rows), 1)))
    centre = (int(rows[pick]), int(columns[pick])) if len(rows) else (height // 2, width // 2)
    top, left = (
        int(np.clip(c - PATCH // 2, 0, full - PATCH)) for c, full in zip(centre, (height, width), strict=True)
    )
    return Sample(
        **{
            f.name: getattr(sample, f.name)[..., top : top + PATCH, left : left + PATCH]
            for f in dataclasses.fields(Sample)
        }
    )


def normal_loss(network: nn.Module, batch: Sample) -> tuple[Tensor, dict[str, Tensor]]:
    """L1 and cosine where the truth is known; front and back count the same."""
    found = network(batch.image, batch.mask, batch.body).unflatten(1, (2, 3))
    target = batch.target.unflatten(1, (2, 3))
    count = batch.known.sum().clamp(min=1)
    absolute = ((found - target).abs().sum(2) * batch.known).sum() / count
    cosine = ((1 - (found * target).sum(2)) * batch.known).sum() / count
    return absolute + cosine, {"l1": absolute.detach(), "cosine": cosine.detach()}


def measure(network: nn.Module, held: dict[str, list[Sample]]) -> dict[str, float]:
    """Mean angle to the truth in degrees by case and side, of the network and of the body's maps
    themselves."""
    network.eval()
    values: dict[str, list[float]] = {}
    for case, samples in held.items():
        for sample in (moved(sample, device_of(network)) for sample in samples):
            found = network(sample.image[None], sample.mask[None], sample.body[None])[0]
            for name, maps in (("net", found), ("body", sample.body)):
                cosine = (maps.unflatten(0, (2, 3)) * sample.target.unflatten(0, (2, 3))).sum(1).clamp(-1, 1)
                for side, label in enumerate(("front", "back")):
                    angles = torch.rad2deg(torch.acos(cosine[side][sample.known[side] > 0]))
                    values.setdefault(f"{name}_{case}_{label}", []).append(angles.mean().item())
    return {name: float(np.mean(value)) for name, value in values.items() if name != "body_alone"}


def samples_of(held: list[Sample], count: int = 4):
    """A function network -> pictures of people, their true normals from both sides, and those that it
    finds."""

    def samples(network: nn.Module) -> Pictures:
        batch = Sample(
            **{
                f.name: torch.stack([getattr(s, f.name) for s in held[:count]])
                for f in dataclasses.fields(Sample)
            }
        )
        batch = moved(batch, device_of(network))
        found = network.eval()(batch.image, batch.mask, batch.body)
        known = batch.known.repeat_interleave(3, 1)
        maps = [(part * known * 0.5 + 0.5)[:, k : k + 3] for k in (0, 3) for part in (batch.target, found)]
        return {"picture_front_back_truth_found": sheet([batch.image, *maps])}

    return samples


def arguments() -> Flags:
    """The flags of this program."""
    return add_arguments(Flags(description=__doc__), batch=12, lr=2e-3, steps=3000, clip=10.0, bf16=True)


def main(argv: list[str] | None = None) -> None:
    """Train, then write the averaged weights when `--save` is given."""
    options = parse(arguments(), argv, ("normals",))
    config = config_from(options)
    train, held = Views(options.data, "train"), Views(options.data, "held")
    samples = {
        case: [held.sample(k, k, amount) for k in range(min(16, len(held.pairs)))]
        for case, amount in CASES.items()
    }
    torch.manual_seed(config.seed)
    network = NormalNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer(network, config)

    def validate(averaged: nn.Module, step: int) -> dict[str, float]:
        fresh = (moved(train.batch(12, np.random.default_rng((3, k))), device_of(averaged)) for k in range(8))
        recalibrate(averaged, (averaged(batch.image, batch.mask, batch.body) for batch in fresh))
        scores = measure(averaged, samples)
        return scores | {"net_wrong": (scores["net_wrong_front"] + scores["net_wrong_back"]) / 2}

    batches = lambda _step, rng: train.batch(config.batch, rng)  # noqa: E731
    ema = trainer.run(
        batches, normal_loss, validate, samples=samples_of(samples["wrong"]), goal=("net_wrong", "min")
    )
    if options.save and trainer.parallel.first:
        ema.load_state_dict(trainer.kept_state(best=options.save_best))
        scores = {k: f"{v:.2f}" for k, v in validate(ema, trainer.step).items()}
        zoo.save_state(options.save, ema.state_dict(), {"steps": str(trainer.step), **scores})
    trainer.parallel.close()


if __name__ == "__main__":
    main()
