"""Train the estimator: `python -m turnaround.models.estimator.train --data SINGLES --backgrounds FILE.npy
--out FOLDER`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.convnet import recalibrate
from turnaround.models.estimator.crop import project_plane, to_window
from turnaround.models.estimator.dataset import Batch, Singles
from turnaround.models.estimator.kinematics import Skeleton, to_local
from turnaround.models.estimator.model import BodyEstimator, Prediction, heatmap_target
from turnaround.models.training.log import Pictures, sheet
from turnaround.models.training.loop import Trainer, add_arguments, config_from, device_of, moved
from turnaround.models.training.settings import Flags, parse
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.rotation import matrix_to_rot6d

WEIGHTS = {
    "heat": 0.1,
    "keypoints": 0.15,
    "rotation": 1.0,
    "local": 0.3,
    "joints": 6.0,
    "absolute": 1.5,
    "plane": 2.0,
    "betas": 0.05,
}


def estimator_loss(network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of heatmaps, keypoints, rotations, joints (3D about the pelvis, 3D absolute, 2D) and
    shape."""
    prediction: Prediction = network(batch.pixels, batch.window)
    with torch.autocast(batch.pixels.device.type, enabled=False):
        terms = _terms(prediction, batch)
    total = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
    return total, {name: value.detach() for name, value in terms.items()}


def _terms(found: Prediction, batch: Batch) -> dict[str, Tensor]:
    labels, window = batch.labels, batch.window
    target, projected = to_window(labels.uv, window), to_window(project_plane(labels.joints), window)
    inside = (target.abs() < 1.1).all(-1)
    entropy = -(
        heatmap_target(target, found.heatmaps.shape[-2:]) * found.heatmaps.flatten(2).log_softmax(-1)
    ).sum(-1)
    error = (found.keypoints - target).abs().sum(-1)
    likelihood = error / found.spread + torch.log(found.spread)
    relative, true = found.joints - found.pelvis[:, None], labels.joints - labels.joints[:, :1]
    depth = torch.log(found.pelvis[:, 2] + 2.0) - torch.log(labels.joints[:, 0, 2] + 2.0)
    return {
        "heat": (entropy * inside).mean(),
        "keypoints": (likelihood * inside).mean() + 4.0,
        "rotation": (found.rotations - labels.rotations).square().sum((-1, -2)).add(1e-4).sqrt().mean(),
        "local": (to_local(found.rotations) - to_local(labels.rotations)).square().sum((-1, -2)).mean(),
        "joints": _length(relative - true).mean(),
        "absolute": _length(found.joints - labels.joints).mean() + depth.abs().mean(),
        "plane": _length(to_window(project_plane(found.joints), window) - projected).clamp(max=1).mean(),
        "betas": F.smooth_l1_loss(found.betas, labels.betas),
    }


def _length(vectors: Float[Tensor, "*b d"]) -> Float[Tensor, "*b"]:
    return (vectors.square().sum(-1) + 1e-8).sqrt()


def procrustes_error(found: Float[Tensor, "b k 3"], true: Float[Tensor, "b k 3"]) -> Float[Tensor, " b"]:
    """Mean distance of joints after the best similarity transform (PA-MPJPE), metres."""
    a, b = found - found.mean(1, keepdim=True), true - true.mean(1, keepdim=True)
    u, s, vt = torch.linalg.svd(a.transpose(-1, -2) @ b)
    sign = torch.ones_like(s)
    sign[:, 2] = torch.det(u @ vt).sign()
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(-1) / a.square().sum((-1, -2))
    return (scale[:, None, None] * a @ rotation - b).norm(dim=-1).mean(-1)


def measure(network: nn.Module, batches: list[Batch]) -> dict[str, float]:
    """Errors on held-out people, in millimetres, and of keypoints in pixels of a 512 px picture; 22
    joints."""
    network.eval()
    sums: dict[str, list[Tensor]] = {}
    for batch in (moved(batch, device_of(network)) for batch in batches):
        found: Prediction = network(batch.pixels, batch.window)
        joints, true = found.joints[:, :22], batch.labels.joints[:, :22]
        target = to_window(batch.labels.uv, batch.window)
        pixels = (found.keypoints - target).norm(dim=-1) * batch.window[:, 2:] * 256
        values = {
            "mpjpe": (joints - joints[:, :1] - true + true[:, :1]).norm(dim=-1).mean(-1) * 1000,
            "absolute": (joints - true).norm(dim=-1).mean(-1) * 1000,
            "pa_mpjpe": procrustes_error(joints, true) * 1000,
            "pelvis_depth": (joints[:, 0, 2] - true[:, 0, 2]).abs() * 1000,
            "keypoint_px": pixels.mean(-1),
            "keypoint_visible_px": (pixels * batch.labels.visible).sum(-1)
            / batch.labels.visible.sum(-1).clamp(min=1),
            "pck_10px": (pixels < 10).float().mean(-1),
            "betas": (found.betas - batch.labels.betas).abs().mean(-1),
        }
        for name, value in values.items():
            sums.setdefault(name, []).append(value)
    return {name: torch.cat(value).mean().item() for name, value in sums.items()}


def new_estimator(data: Singles | None = None) -> BodyEstimator:
    """An untrained network on the free body's skeleton, its pose biased to the mean of the data."""
    model = BodyModel.load()
    network = BodyEstimator(Skeleton(model.joint_template, model.joint_shapedirs))
    if data is not None:
        network.mean_pose.mul_(0.3).add_(
            matrix_to_rot6d(data.labels.rotations).mean(0)
        )  # the rest keeps it away from zero
        network.hands.copy_(data.mean_hands)
    return network


def samples_of(batch: Batch, size: int = 192):
    """A function network -> windows with the true joints (white) and those of the predicted body (red) drawn
    over them."""

    def samples(network: nn.Module) -> Pictures:
        network.eval()
        found: Prediction = network(batch.pixels.to(device_of(network)), batch.window.to(device_of(network)))
        pictures = F.interpolate(batch.pixels[:, :3], (size, size), mode="bilinear", align_corners=False)
        for joints, color in ((batch.labels.joints, (1.0, 1.0, 1.0)), (found.joints.cpu(), (1.0, 0.0, 0.0))):
            _draw(pictures, to_window(project_plane(joints), batch.window), color)
        return {"joints_true_white_found_red": sheet(list(pictures.split(4)))}

    return samples


def _draw(
    pictures: Float[Tensor, "b 3 s s"], points: Float[Tensor, "b k 2"], color: tuple[float, float, float]
) -> None:
    """Dots at window coordinates in [-1, 1], in place."""
    size = pictures.shape[-1]
    pixels = ((points + 1) / 2 * size).long().clamp(1, size - 2)
    for picture, places in zip(pictures, pixels, strict=True):
        for x, y in places.tolist():
            picture[:, y - 1 : y + 2, x - 1 : x + 2] = torch.tensor(color)[:, None, None]


def arguments() -> Flags:
    """The flags of this program."""
    parser = add_arguments(
        Flags(description=__doc__),
        batch=32,
        lr=1e-3,
        steps=20000,
        warmup=200,
        clip=10.0,
        ema=0.998,
        bf16=True,
    )
    parser.add_argument("--backgrounds", type=Path, required=True, help="(n, s, s, 3) u8 .npy")
    parser.add_argument("--init", default="", help="weight or file of an estimator to begin from")
    parser.add_argument(
        "--decoder-only",
        action="store_true",
        help="of --init only the image encoder is taken, and stays; the decoder is trained anew",
    )
    return parser


def _begin(network: BodyEstimator, weights: str, *, decoder_only: bool) -> None:
    """Take an estimator's weights, in place; or its encoder's, which are then frozen."""
    state, _ = zoo.load_state(weights)
    if not decoder_only:
        network.load_state_dict(state)
        return
    names = tuple(f"{name}." for name in network.encoder())
    network.load_state_dict(network.state_dict() | {k: v for k, v in state.items() if k.startswith(names)})
    network.freeze_encoder()


def main(argv: list[str] | None = None) -> None:
    """Train, then write the averaged weights when `--save` is given."""
    options = parse(arguments(), argv, ("estimator",))
    config = config_from(options)
    data, held = Singles(options.data, "train"), Singles(options.data, "held")
    backgrounds = np.load(options.backgrounds, mmap_mode="r")
    torch.manual_seed(config.seed)
    network = new_estimator(data).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.init:
        _begin(network, options.init, decoder_only=options.decoder_only)
    elif options.decoder_only:
        raise CallError("--decoder-only needs the estimator whose encoder is kept, as --init")
    trainer = Trainer(network, config)
    chosen = np.random.default_rng(5).permutation(len(held))[:512]
    held_batches = [held.plain(chosen[k : k + 64]) for k in range(0, len(chosen), 64)]

    def validate(averaged: nn.Module, step: int) -> dict[str, float]:
        fresh = (
            moved(data.spoilt(64, backgrounds, np.random.default_rng((3, k))), device_of(averaged))
            for k in range(8)
        )
        if not options.decoder_only:
            recalibrate(averaged, (averaged(batch.pixels, batch.window) for batch in fresh))
        return measure(averaged, held_batches)

    batches = lambda _step, rng: data.spoilt(config.batch, backgrounds, rng)  # noqa: E731
    samples = samples_of(held.plain(chosen[:8]))
    ema = trainer.run(batches, estimator_loss, validate, samples=samples, goal=("mpjpe", "min"))
    if options.save and trainer.parallel.first:
        ema.load_state_dict(trainer.kept_state(best=options.save_best))
        scores = {k: f"{v:.3f}" for k, v in validate(ema, trainer.step).items()}
        zoo.save_state(options.save, ema.state_dict(), {"steps": str(trainer.step), **scores})
    trainer.parallel.close()


if __name__ == "__main__":
    main()
