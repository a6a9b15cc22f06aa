"""Skinning beside its slow twin in torch, its inverse, and what LBS does to a body."""

import pytest
import torch
from toy_avatar import MODEL, STANDING, person, pose

from turnaround.models.avatar.binding.surface import strongest_skin
from turnaround.models.avatar.binding.transfer import body_skin, with_twists
from turnaround.models.avatar.bones import BONE_NAMES, pose_bones, rest_bones
from turnaround.models.avatar.skinning import (
    LEAST_VOLUME,
    firm,
    skin_gaussians,
    skin_points,
    unskin_gaussians,
    unskin_points,
)
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.rotation import matrix_to_quat, quat_multiply

REST = rest_bones(MODEL, STANDING)
BONES = pose_bones(MODEL, STANDING, REST)


def weights(count: int, seed: int = 0) -> SkinWeights:
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(count, 4, generator=generator).sort(-1, descending=True).values
    shares[::3, 1:] = 0
    bones = torch.rand(count, len(BONE_NAMES), generator=generator).argsort(-1)[:, :4]
    return SkinWeights(torch.where(shares > 0, bones, 0), shares / shares.sum(-1, keepdim=True))


def slow(points, quats, skin, bones):
    """One point after the other."""
    moved, turned = [], []
    turns = matrix_to_quat(bones.rotations)
    for point, quat, ids, shares in zip(points, quats, skin.bones, skin.weights, strict=True):
        place, blend = torch.zeros(3), torch.zeros(4)
        for bone, share in zip(ids, shares, strict=True):
            place += share * (bones.rotations[bone] @ point + bones.shifts[bone])
            turn = turns[bone]
            blend += share * (turn if turn @ turns[ids[0]] >= 0 else -turn)
        moved.append(place)
        turned.append(quat_multiply(blend / blend.norm(), quat))
    return torch.stack(moved), torch.stack(turned)


def test_the_kernel_is_its_slow_twin():
    _, gaussians = person(STANDING)
    few = gaussians[torch.arange(0, len(gaussians), 97)]
    skin = weights(len(few))
    moved, turned = slow(few.means, few.quats, skin, BONES)
    fast = skin_gaussians(few, skin, BONES)
    assert torch.allclose(fast.means, moved, atol=1e-5) and torch.allclose(fast.quats, turned, atol=1e-5)
    assert torch.equal(skin_points(few.means, skin, BONES), fast.means)
    assert torch.equal(fast.scales, few.scales) and torch.equal(fast.colors, few.colors)


def test_unskinning_undoes_it():
    _, gaussians = person(STANDING)
    few = gaussians[torch.arange(0, len(gaussians), 31)]
    skin = firm(weights(len(few), 3), BONES)
    back = unskin_gaussians(skin_gaussians(few, skin, BONES), skin, BONES)
    assert torch.allclose(back.means, few.means, atol=1e-4) and torch.allclose(
        back.quats, few.quats, atol=1e-5
    )
    assert torch.equal(unskin_points(skin_points(few.means, skin, BONES), skin, BONES), back.means)


def test_a_flat_blend_goes_to_its_strongest_bone():
    bent = pose_bones(MODEL, pose(left_elbow=(0, -175, 0)), REST)
    ids = torch.tensor([[JOINT_INDEX["left_elbow"], JOINT_INDEX["left_shoulder"], 0, 0]])
    skin = SkinWeights(ids, torch.tensor([[0.51, 0.49, 0, 0]]))
    blend = 0.51 * bent.rotations[ids[0, 0]] + 0.49 * bent.rotations[ids[0, 1]]
    assert torch.linalg.det(blend) < LEAST_VOLUME
    made = firm(skin, bent)
    assert made.weights.tolist() == [[1, 0, 0, 0]] and made.bones[0].tolist() == [ids[0, 0], 0, 0, 0]
    still = firm(skin, BONES)
    assert torch.equal(still.bones, skin.bones) and torch.equal(still.weights, skin.weights)


def test_the_body_moves_as_the_body_model_moves_it():
    """Without a twist the twist bones are their limbs, so that the body's own weights give the body."""
    body = pose(
        left_knee=(70, 0, 0),
        right_hip=(-50, 0, 0),
        spine2=(10, 20, 0),
        neck=(0, 25, 0),
        left_elbow=(0, -60, 0),
    )
    skin = body_skin(MODEL, body)
    moved = skin_points(
        torch.from_numpy(skin.rest).float(), strongest_skin(skin.weights), pose_bones(MODEL, body, REST)
    )
    error = (moved - torch.from_numpy(skin.points).float()).norm(dim=-1)
    assert error.quantile(0.99) < 1e-3 and error.max() < 8e-3  # more than four bones move few


@pytest.mark.parametrize("degrees", [60, 90])
def test_a_turned_wrist_does_not_wrap_the_forearm(degrees):
    """Its girth beside the straight arm's; the body model's own weights leave .69 at the wrist."""
    body, straight = pose(left_wrist=(degrees, 0, 0)), pose()
    rest = body_skin(MODEL, straight).rest
    skin = strongest_skin(body_skin(MODEL, straight).weights)
    start, end = (REST[BONE_NAMES.index(f"left_{joint}")] for joint in ("elbow", "wrist"))
    axis = (end - start) / (end - start).norm()
    along = (torch.from_numpy(rest).float() - start) @ axis / (end - start).norm()
    arm = torch.isin(
        skin.bones[:, 0],
        torch.tensor(
            [BONE_NAMES.index(f"left_{n}") for n in ("elbow", "forearm_twist1", "forearm_twist2", "wrist")]
        ),
    )
    girths = []
    for each in (straight, body):
        bones = pose_bones(MODEL, each, REST)
        moved = skin_points(torch.from_numpy(rest).float(), skin, bones)
        where = [bones.positions[BONE_NAMES.index(f"left_{joint}")] for joint in ("elbow", "wrist")]
        line = (where[1] - where[0]) / (where[1] - where[0]).norm()
        off = moved - where[0]
        radius = (off - (off @ line)[:, None] * line).norm(dim=-1)
        girths.append(
            torch.stack([radius[arm & (along > a) & (along < a + 0.1)].mean() for a in (0.2, 0.4, 0.6, 0.8)])
        )
    assert (girths[1] / girths[0]).min() > 0.9


def test_twist_bones_take_weights_over_and_lose_none():
    full = with_twists(MODEL, STANDING)
    assert abs(full.sum(1) - MODEL.lbs_weights.sum(1).numpy()).max() < 1e-6
    assert (full[:, 55:] > 0.5).any(0).all()
