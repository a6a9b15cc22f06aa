"""Nothing is added beyond the outlines of the person."""

from dataclasses import replace

import torch
from toy_avatar import STANDING, person

from turnaround.models.avatar.binding.hull import within
from turnaround.models.avatar.bones import BONE_NAMES, pose_bones, rest_bones
from turnaround.models.body.model import BodyModel

MODEL = BodyModel.shared()


def test_bones_lie_within_the_person_and_the_space_between_the_feet_does_not():
    _, gaussians = person(STANDING)
    gaussians = replace(gaussians, scales=3 * gaussians.scales)  # without gaps
    joints = pose_bones(MODEL, STANDING, rest_bones(MODEL, STANDING)).positions
    names = ("pelvis", "spine1", "spine3", "neck", "left_knee", "right_elbow", "left_shoulder")
    inner = joints[[BONE_NAMES.index(name) for name in names]]
    assert within(inner, gaussians).all()
    ankles = joints[[BONE_NAMES.index(f"{side}_ankle") for side in ("left", "right")]].mean(0)
    far = inner[3] - torch.tensor([1.5, 0.0, 0.0])
    assert not within(torch.stack([ankles, far]), gaussians).any()


def test_what_lies_on_the_outline_is_not_within():
    """Two walls across each other: their middle is, their edge and what is beyond are not."""
    axis = torch.linspace(-0.5, 0.5, 101)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.cat([torch.stack([x, y, 0 * x], -1), torch.stack([0 * x, y, x], -1)]).reshape(-1, 3)
    _, gaussians = person(STANDING)
    wall = gaussians[torch.zeros(len(points), dtype=torch.long)]
    wall = type(wall)(points, wall.quats, torch.full((len(points), 3), 0.008), wall.opacities, wall.colors)
    asked = torch.tensor([[0.0, 0, 0], [0.1, 0.2, 0.1], [0, 0.513, 0], [0, 0.6, 0], [0.6, 0, 0]])
    assert within(asked, wall).tolist() == [True, True, False, False, False]
