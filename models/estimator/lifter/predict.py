"""What the lifter says of a picture and of its mirror image together, and the Body that it is."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models import zoo
from turnaround.models.body.model import FREE_BODY, BodyModel
from turnaround.models.body.skeleton import MIRROR_JOINT
from turnaround.models.convnet import for_inference
from turnaround.models.estimator.kinematics import Skeleton, mean_rotation, mirror_rotations, to_local
from turnaround.models.estimator.lifter.network import Lifted, Lifter
from turnaround.models.estimator.lifter.sighting import Sighting, mirrored
from turnaround.models.estimator.predict import transfer_shape
from turnaround.pipeline.values.camera import DISTANCE
from turnaround.pipeline.values.rotation import matrix_to_axis_angle
from turnaround.pipeline.values.types import Body


def load_lifter(name_or_path: str = "lifter", device: torch.device | str = "cpu") -> Lifter:
    """The trained network for inference, on the free body's skeleton; loaded once a process and digest."""
    return _load(name_or_path, zoo.digest(name_or_path), str(device))


@lru_cache(maxsize=2)
def _load(name_or_path: str, _digest: str, device: str) -> Lifter:
    state, _ = zoo.load_state(name_or_path)
    model = BodyModel.shared()
    network = Lifter(Skeleton(model.joint_template, model.joint_shapedirs))
    network.load_state_dict(state)
    for_inference(network.eval())
    return network.to(device)


def average(lifter: Lifter, seen: Sighting, second: Sighting) -> Lifted:
    """The mean of what is lifted from the picture and from its mirror image; where they disagree it is less
    sure.

    `second` is what was seen in the mirrored picture, brought back.
    """
    count = len(seen.pose)
    both = Sighting(
        *(
            torch.cat([a, b])
            for a, b in zip(vars(seen).values(), vars(mirrored(second)).values(), strict=True)
        )
    )
    found = lifter(both)
    plain, other = found.rotations[:count], mirror_rotations(found.rotations[count:])
    rotations = mean_rotation(torch.stack([plain, other]))
    apart = ((plain - other).square().sum((-1, -2)) / 2).sqrt() / 2
    spread = (found.spread[:count] + mirror_joints(found.spread[count:])) / 2
    flip = torch.tensor([-1.0, 1, 1], device=apart.device)
    pelvis = torch.stack([found.pelvis[:count], found.pelvis[count:] * flip])
    depth = pelvis[..., 2:] + DISTANCE
    ray, mean_depth = (pelvis / depth)[..., :2].mean(0), depth.log().mean(0).exp()
    pelvis = torch.cat([ray * mean_depth, mean_depth - DISTANCE], 1)
    betas = (found.betas[:count] + found.betas[count:]) / 2
    up = torch.nn.functional.normalize(found.up[:count] + found.up[count:] * flip, dim=-1)
    fingers = torch.stack([found.fingers[:count], swap_hands(found.fingers[count:])])
    return Lifted(
        rotations,
        (spread.square() + apart.square()).sqrt(),
        betas,
        pelvis,
        lifter.skeleton(rotations, betas) + pelvis[:, None],
        up,
        mean_rotation(fingers),
        (found.jaw[:count] + found.jaw[count:] * -flip) / 2,
        (found.expression[:count] + found.expression[count:]) / 2,
    )


def swap_hands(fingers: Float[Tensor, "b 2 15 3 3"]) -> Float[Tensor, "b 2 15 3 3"]:
    """Rotations of both hands' fingers in a mirrored picture."""
    flip = torch.tensor([-1.0, 1, 1], device=fingers.device)
    return fingers.flip(1) * (flip[:, None] * flip)


def mirror_joints(values: Float[Tensor, "b 22"]) -> Float[Tensor, "b 22"]:
    """Values of the posed joints, left and right exchanged."""
    return values[:, list(MIRROR_JOINT[: values.shape[1]])]


def to_body(lifter: Lifter, found: Lifted, model: BodyModel) -> Body:
    """Parameters of the first person, for `model`: another body model gets betas that make its bones as
    long."""
    found = Lifted(**{name: value.cpu() for name, value in vars(found).items()})
    pose = matrix_to_axis_angle(to_local(found.rotations))[0]
    fingers = matrix_to_axis_angle(found.fingers)[0]
    betas = found.betas[0]
    if model.digest != zoo.file_digest(FREE_BODY):
        own = Skeleton(model.joint_template, model.joint_shapedirs).cpu()
        betas = transfer_shape(lifter.skeleton.cpu(), own, betas)
    pelvis_rest = model.joint_template[0].cpu() + model.joint_shapedirs[0, :, :10].cpu() @ betas
    return dataclasses.replace(
        Body.neutral(),
        betas=betas,
        global_orient=pose[0],
        body_pose=pose[1:],
        left_hand_pose=fingers[0],
        right_hand_pose=fingers[1],
        jaw_pose=found.jaw[0],
        expression=found.expression[0],
        transl=found.pelvis[0] - pelvis_rest,
    )
