"""Train the lifter: `turnaround train lifter --data LANDMARKS --out FOLDER`, or this module with `python
-m`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.crop import project_plane
from turnaround.models.estimator.kinematics import Skeleton, mirror_keypoints, to_local
from turnaround.models.estimator.lifter.dataset import Batch, Bodies, LandmarkSet, cat_batches
from turnaround.models.estimator.lifter.hand import mirror_right_rotations
from turnaround.models.estimator.lifter.landmark_points import (
    COUNT,
    POINT_MIRROR,
    body_points,
    observed_points,
    person_height,
)
from turnaround.models.estimator.lifter.network import Lifted, Lifter, LifterConfig, landmark_window
from turnaround.models.estimator.lifter.sighting import mirrored
from turnaround.models.estimator.train import procrustes_error
from turnaround.models.training.loop import Trainer, add_arguments, config_from, device_of, moved
from turnaround.models.training.settings import Flags, parse
from turnaround.pipeline.values.rotation import matrix_to_rot6d

WEIGHTS = {
    "rotation": 0.5,
    "local": 0.3,
    "joints": 8.0,
    "absolute": 1.5,
    "plane": 3.0,
    "betas": 0.05,
    "up": 0.5,
    "fingers": 1.0,
}
UNKNOWN = 0.02  # of person heights: the error of a landmark that too few of the people show


def lifter_loss(network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum: likelihood of the rotations, joints (3D about the pelvis, 3D absolute, 2D), shape,
    gravity."""
    found: Lifted = network(batch.seen)
    with torch.autocast(found.betas.device.type, enabled=False):
        terms = _terms(found, batch)
    total = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
    return total, {name: value.detach() for name, value in terms.items()}


def _terms(found: Lifted, batch: Batch) -> dict[str, Tensor]:
    truth, side = batch.truth, landmark_window(batch.seen)[:, None, 2]
    # the Frobenius distance of rotations is sqrt(2) of the angle's chord
    error = ((found.rotations - truth.rotations).square().sum((-1, -2)) / 2 + 1e-6).sqrt()
    relative, true = found.joints - found.pelvis[:, None], truth.joints - truth.joints[:, :1]
    depth = torch.log(found.pelvis[:, 2] + 2.0) - torch.log(truth.joints[:, 0, 2] + 2.0)
    plane = (project_plane(found.joints) - project_plane(truth.joints)).norm(dim=-1) / side
    return {
        "rotation": (error / found.spread + found.spread.log()).mean() + error.mean(),
        "local": (to_local(found.rotations) - to_local(truth.rotations)).square().sum((-1, -2)).mean(),
        "joints": _length(relative - true).mean(),
        "absolute": _length(found.joints - truth.joints).mean() + depth.abs().mean(),
        "plane": plane.clamp(max=1).mean(),
        "betas": F.smooth_l1_loss(found.betas, truth.betas),
        "up": (found.up - truth.up).square().sum(-1).mean(),
        "fingers": _mean(_finger_error(found, batch)),
    }


def _finger_error(found: Lifted, batch: Batch) -> Float[Tensor, "n 15"]:
    """Chords of the finger joints' errors, of the hands that are seen."""
    seen = batch.seen.hands_flag > 0
    difference = found.fingers[seen] - batch.truth.fingers[seen]
    return (difference.square().sum((-1, -2)) / 2 + 1e-6).sqrt()


def _mean(values: Tensor) -> Float[Tensor, ""]:
    """The mean; 0, with a gradient, of nothing: a small batch may show no hand."""
    return values.sum() / max(values.numel(), 1)


def _length(vectors: Float[Tensor, "*b d"]) -> Float[Tensor, "*b"]:
    return (vectors.square().sum(-1) + 1e-8).sqrt()


def learn_points(everything: Batch, steps: int = 300) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "2 n"]]:
    """Where the landmarks lie on the body, and how far they are off when they are seen and when they are
    hidden.

    Offsets that make the true bodies' landmarks fall on the observed ones, by the sum of distances; left and
    right are mirror images. Errors are medians over the set, in heights of the person's landmarks.
    """
    seen, truth = everything.seen, everything.truth
    observed, certainty = observed_points(seen)
    visible = (certainty > 0.5).float()
    height = person_height(observed)[:, None]
    flip = torch.tensor([-1.0, 1, 1])
    raw = torch.zeros(COUNT, 3, requires_grad=True)
    offsets = lambda: (raw + raw[list(POINT_MIRROR)] * flip) / 2  # noqa: E731
    optimizer = torch.optim.Adam([raw], lr=0.01)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - step / steps)
        error = _length(_seen_by_camera(truth, offsets()) - observed) / height
        optimizer.zero_grad()
        ((error * visible).sum() / visible.sum()).backward()
        optimizer.step()
    with torch.no_grad():
        error = _length(_seen_by_camera(truth, offsets()) - observed) / height
        medians = [
            torch.stack([_median(error[chosen[:, k], k]) for k in range(COUNT)])
            for chosen in (certainty > 0.5, (certainty > 0) & (certainty <= 0.5))
        ]
    visible_error = medians[0].nan_to_num(UNKNOWN)
    # too few are hidden of some: twice as bad then
    hidden_error = torch.maximum(medians[1].nan_to_num(0), 2 * visible_error)
    return offsets().detach(), torch.stack([visible_error, hidden_error])


def _median(values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    return values.median() if len(values) >= 20 else torch.tensor(float("nan"))


def _seen_by_camera(truth: Bodies, offsets: Float[Tensor, "n 3"]) -> Float[Tensor, "b n 2"]:
    """The true bodies' landmarks in the picture that was taken, [-1, 1]."""
    points = body_points(truth.joints, truth.rotations, offsets)
    T = truth.T_camera_world
    in_camera = (points @ T[:, :3, :3].transpose(-1, -2) + T[:, None, :3, 3]) @ truth.K.transpose(-1, -2)
    return in_camera[..., :2] / in_camera[..., 2:] * 2 - 1


def measure(network: nn.Module, held: Batch) -> dict[str, float]:
    """Errors on held-out people in millimetres over 22 joints, and of rotations in degrees, mirrored pictures
    averaged."""
    network.eval()
    held = moved(held, device_of(network))
    found: Lifted = network(held.seen)
    true = held.truth.joints[:, :22]
    values = {}
    for name, joints in (("", found.joints[:, :22]), ("two_looks_", _two_looks(network, held))):
        centred, wanted = joints - joints[:, :1], true - true[:, :1]
        values[f"{name}mpjpe"] = (centred - wanted).norm(dim=-1).mean() * 1000
        values[f"{name}median"] = (centred - wanted).norm(dim=-1).mean(-1).median() * 1000
        values[f"{name}pa_mpjpe"] = procrustes_error(joints, true).mean() * 1000
    error = (found.rotations - held.truth.rotations).square().sum((-1, -2)) / 2
    values["angle"] = torch.rad2deg(2 * torch.asin((error.sqrt() / 2).clamp(max=1))).mean()
    values["up"] = torch.rad2deg(torch.acos((found.up * held.truth.up).sum(-1).clamp(-1, 1))).mean()
    values["fingers"] = torch.rad2deg(2 * torch.asin((_finger_error(found, held) / 2).clamp(max=1))).mean()
    return {name: value.item() for name, value in values.items()}


def _two_looks(network: nn.Module, held: Batch) -> Float[Tensor, "b 22 3"]:
    other: Lifted = network(mirrored(held.seen))
    plain: Lifted = network(held.seen)
    return (plain.joints[:, :22] + mirror_keypoints(other.joints)[:, :22]) / 2


def new_lifter(data: LandmarkSet | None = None, config: LifterConfig = LifterConfig()) -> Lifter:
    """An untrained network on the free body's skeleton; from `data` its mean pose and the landmarks' places
    and errors."""
    model = BodyModel.load()
    network = Lifter(Skeleton(model.joint_template, model.joint_shapedirs), config)
    if data is not None:
        network.mean_pose.mul_(0.3).add_(matrix_to_rot6d(data.everything.truth.rotations).mean(0))
        offsets, errors = learn_points(data.everything)
        network.offsets.copy_(offsets)
        network.errors.copy_(errors)
        network.hand.mean_pose.copy_(
            matrix_to_rot6d(mirror_right_rotations(data.everything.truth.fingers)).mean((0, 1))
        )
        network.face.learn(data.everything.seen.face[data.everything.seen.face_flag > 0.5], model)
    return network


def arguments() -> Flags:
    """The flags of this program."""
    parser = add_arguments(
        Flags(description=__doc__),
        batch=256,
        lr=1e-3,
        steps=20000,
        warmup=300,
        clip=5.0,
        ema=0.999,
        weight_decay=0.02,
    )
    parser.add_argument("--init", default="", help="weight name or file to begin with")
    parser.add_argument(
        "--simulated",
        type=Path,
        help="folder of `python -m turnaround.data.sets.simulated_landmarks`, mixed in",
    )
    parser.add_argument(
        "--simulated-share", type=float, default=0.4, help="of a batch, where --simulated is given"
    )
    return parser


def mixed(
    real: LandmarkSet, simulated: LandmarkSet | None, share: float, size: int, rng: np.random.Generator
) -> Batch:
    """A training batch, `share` of it simulated."""
    count = round(size * share) if simulated is not None else 0
    parts = [real.batch(size - count, rng)]
    if simulated is not None and count:
        parts.append(simulated.batch(count, rng))
    return cat_batches(parts)


def main(argv: list[str] | None = None) -> None:
    """Train, then write the averaged weights when `--save` is given."""
    options = parse(arguments(), argv, ("lifter",))
    config = config_from(options)
    torch.manual_seed(config.seed)
    data, held = LandmarkSet(options.data, "train"), LandmarkSet(options.data, "held")
    simulated = LandmarkSet(options.simulated, "all") if options.simulated else None
    network = new_lifter(data)
    if options.init:
        network.load_state_dict(zoo.load_state(options.init)[0])
    trainer = Trainer(network, config)
    batches = lambda _step, rng: mixed(data, simulated, options.simulated_share, config.batch, rng)  # noqa: E731
    validate = lambda averaged, _step: measure(averaged, held.everything)  # noqa: E731
    ema = trainer.run(batches, lifter_loss, validate, goal=("mpjpe", "min"))
    if options.save and trainer.parallel.first:
        ema.load_state_dict(trainer.kept_state(best=options.save_best))
        scores = {name: f"{value:.3f}" for name, value in measure(ema, held.everything).items()}
        zoo.save_state(options.save, ema.state_dict(), {"steps": str(trainer.step), **scores})
    trainer.parallel.close()


if __name__ == "__main__":
    main()
