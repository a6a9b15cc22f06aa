"""Train the normal network: `python -m models.normals_train --data VIEWS --out FOLDER`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models import zoo
from models.body import BodyModel
from models.normals import NormalNetwork, NormalPair, body_normals, disturbed, on_front_grid
from models.photometric import color_jitter
from models.training import Trainer, add_arguments, config_from
from pipeline.types import Body

PATCH = 160  # pixels of the training crops; they contain the person's middle
FRONT, BACK = 0, 6  # views of the set


@dataclasses.dataclass(frozen=True)
class Sample:
    """Crops of pictures, masks, body normals, and the true normals with where they are known."""

    image: Float[Tensor, "b 3 s s"]
    mask: Float[Tensor, "b 1 s s"]
    body: Float[Tensor, "b 6 s s"]
    target: Float[Tensor, "b 6 s s"]
    known: Float[Tensor, "b 2 s s"]


class Views:
    """Reads people of a views set; the last 5 % (at least one) are held out."""

    def __init__(self, folder: Path, part: str) -> None:
        files = sorted(folder.glob("*.npz"))
        if len(files) < 2:
            raise FileNotFoundError(
                f"{folder} holds {len(files)} people (*.npz), at least 2 are needed: make them with `turnaround data people`"
            )
        held = max(1, len(files) // 20)
        self.files = files[:-held] if part == "train" else files[-held:]
        self.model = BodyModel.load()

    def sample(self, index: int, seed: int) -> Sample:
        """One person at full size, with a body disturbed by a random amount."""
        with np.load(self.files[index]) as person:
            rgb, mask = person["rgb"][FRONT], person["mask"][FRONT]
            normals = [person["normal"][view].astype(np.float32) / 127 for view in (FRONT, BACK)]
            body = Body(**{field.name: torch.from_numpy(person[f"body_{field.name}"]) for field in dataclasses.fields(Body)})
        generator = torch.Generator().manual_seed(seed)
        amount = float(torch.rand(1, generator=generator)) ** 1.5
        rendered = body_normals(self.model, disturbed(body, generator, amount), rgb.shape[0])
        target = on_front_grid(NormalPair(torch.from_numpy(normals[0]), torch.from_numpy(normals[1])))
        known = target.unflatten(0, (2, 3)).square().sum(1) > 0.25
        image = torch.from_numpy(rgb).movedim(-1, 0).float() / 255
        return Sample(image, torch.from_numpy(mask).float()[None] / 255, on_front_grid(rendered), target, known.float())

    def batch(self, size: int, rng: np.random.Generator) -> Sample:
        """Random people, colours and crops."""
        samples = [self.sample(int(rng.integers(len(self.files))), int(rng.integers(2**31))) for _ in range(size)]
        crops = [_crop(sample, rng) for sample in samples]
        whole = Sample(**{f.name: torch.stack([getattr(c, f.name) for c in crops]) for f in dataclasses.fields(Sample)})
        return dataclasses.replace(whole, image=color_jitter(whole.image, rng, 0.7) * whole.mask + 1 - whole.mask)


def _crop(sample: Sample, rng: np.random.Generator) -> Sample:
    """A square that holds a random pixel of the person."""
    height, width = sample.mask.shape[-2:]
    rows, columns = (sample.mask[0] > 0.5).nonzero(as_tuple=True)
    pick = int(rng.integers(max(len(rows), 1)))
    centre = (int(rows[pick]), int(columns[pick])) if len(rows) else (height // 2, width // 2)
    top, left = (int(np.clip(c - PATCH // 2, 0, full - PATCH)) for c, full in zip(centre, (height, width), strict=True))
    return Sample(**{f.name: getattr(sample, f.name)[..., top : top + PATCH, left : left + PATCH] for f in dataclasses.fields(Sample)})


def normal_loss(network: nn.Module, batch: Sample) -> tuple[Tensor, dict[str, float]]:
    """L1 and cosine where the truth is known; front and back count the same."""
    found = network(batch.image, batch.mask, batch.body).unflatten(1, (2, 3))
    target = batch.target.unflatten(1, (2, 3))
    count = batch.known.sum().clamp(min=1)
    absolute = ((found - target).abs().sum(2) * batch.known).sum() / count
    cosine = ((1 - (found * target).sum(2)) * batch.known).sum() / count
    return absolute + cosine, {"l1": absolute.item(), "cosine": cosine.item()}


def measure(network: nn.Module, samples: list[Sample]) -> dict[str, float]:
    """Mean angle to the truth in degrees, of the network and of the disturbed body alone."""
    network.eval()
    values: dict[str, list[float]] = {}
    for sample in samples:
        found = network(sample.image[None], sample.mask[None], sample.body[None])[0]
        for name, maps in (("net", found), ("body", sample.body)):
            cosine = (maps.unflatten(0, (2, 3)) * sample.target.unflatten(0, (2, 3))).sum(1).clamp(-1, 1)
            for side, label in enumerate(("front", "back")):
                valid = sample.known[side] > 0
                values.setdefault(f"{name}_{label}_deg", []).append(torch.rad2deg(torch.acos(cosine[side][valid])).mean().item())
    return {name: float(np.mean(value)) for name, value in values.items()}


def main(arguments: list[str] | None = None) -> None:
    """Train, then write the averaged weights when `--save` is given."""
    parser = add_arguments(argparse.ArgumentParser(description=__doc__), batch=12, lr=2e-3, steps=3000, clip=10.0, bf16=True)
    parser.add_argument("--save", default="", help="weight name (normals) or file to write at the end")
    options = parser.parse_args(arguments)
    config = config_from(options)
    train, held = Views(options.data, "train"), Views(options.data, "held")
    samples = [held.sample(k, k) for k in range(min(24, len(held.files)))]
    network = NormalNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer(network, config)
    ema = trainer.run(lambda step, rng: train.batch(config.batch, rng), normal_loss, lambda net, step: measure(net, samples))
    if options.save:
        scores = {k: f"{v:.2f}" for k, v in measure(ema, samples).items()}
        zoo.save_state(options.save, ema.state_dict(), {"steps": str(trainer.step), **scores})


if __name__ == "__main__":
    main()
