"""A BVH of any skeleton: joints by name, other rest poses, missing and extra joints, axes, units, orders."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from toy_motions import (
    CMU,
    DAZ,
    FAMILIES,
    MIXAMO,
    SMPL,
    Z_UP,
    arms_lowered,
    as_bvh,
    degrees_between,
    no_turns,
    world_rotations,
)

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX, PARENTS
from turnaround.models.motion.builtin import builtin
from turnaround.models.motion.files.from_bvh import motion_of_bvh
from turnaround.models.motion.files.names import joint_map, side_and_word
from turnaround.models.motion.reader import read_motion
from turnaround.models.motion.soles import rest_joints
from turnaround.models.motion.turns import about, shortest
from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.bvh import decode, encode

BODY = list(range(22))


@pytest.fixture(scope="module")
def model():
    return BodyModel.shared()


@pytest.fixture(scope="module")
def motion():
    return builtin("dance", seconds=2, fps=10)


def worst(found, wanted, joints=BODY):
    """Largest angle between rotations of joints against the world, degrees."""
    return float(degrees_between(world_rotations(found), world_rotations(wanted))[:, joints].max())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_names_is_known(family):
    names = list(FAMILIES[family].values())
    bvh_like = [-1] + [0] * (len(names) - 1)
    order = list(FAMILIES[family])
    chain = {"spine1": "pelvis", "spine2": "spine1", "spine3": "spine2", "neck": "spine3", "head": "neck"}
    parents = [
        order.index(chain[name]) if name in chain else parent
        for name, parent in zip(order, bvh_like, strict=True)
    ]
    found = joint_map(names, parents)
    assert {ours: names[index] for ours, index in found.items()} == FAMILIES[family]


@pytest.mark.parametrize(
    ("name", "side", "word"),
    [
        ("mixamorig9:LeftUpLeg", "left", "upleg"), ("lThighBend", "left", "thighbend"),
        ("J_Bip_R_UpperLeg", "right", "upperleg"), ("m_avg_L_Hip", "left", "hip"),
        ("leftupleg", "left", "upleg"), ("rshldr", "right", "shldr"), ("lthumb1", "left", "thumb1"),
        ("lowerback", "", "lowerback"), ("upperarm_r", "right", "upperarm"), ("LHipJoint", "left", "hip"),
        ("LeftHandIndex1", "left", "handindex1"), ("index_01_l", "left", "index1"), ("Spine1", "", "spine1"),
    ],
)  # fmt: skip
def test_a_name_is_a_side_and_a_word(name, side, word):
    assert side_and_word(name) == (side, word)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_skeleton_of_ours_in_other_names_moves_as_it_did(family, motion, model):
    found, said = motion_of_bvh(as_bvh(motion, model, FAMILIES[family]), model)
    assert worst(found, motion) < 0.05
    assert torch.allclose(found.body.transl, motion.body.transl, atol=1e-4)
    assert said == ["units are centimetres: divided by 100"]


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "ZYX", "YXZ"])
def test_any_order_of_angles_and_any_text_of_them(order, motion, model):
    bvh = decode(encode(as_bvh(motion, model, MIXAMO, order=order)))
    assert worst(motion_of_bvh(bvh, model)[0], motion) < 0.05


@pytest.mark.parametrize("degrees", [30.0, 60.0, 85.0])
def test_an_a_pose_at_rest_moves_as_a_t_pose_does(degrees, motion, model):
    found, _ = motion_of_bvh(as_bvh(motion, model, CMU, turns=arms_lowered(degrees)), model)
    assert worst(found, motion) < 0.1
    assert (model.joints(found.body) - model.joints(motion.body))[:, :22].norm(dim=-1).max() < 0.01


def along_one_axis(model):
    """A rest pose of no person: every bone of the limbs along the spine, turned about itself as it comes."""
    rest, turns = rest_joints(model, torch.zeros(10)), no_turns()
    up = torch.tensor([0.0, 1.0, 0.0]).double()
    for side, half in (("left", 0.0), ("right", math.pi)):
        chains = [("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"), ("foot", None)]
        chains += [("collar", "shoulder"), ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", None)]
        for name, child in chains:
            joint = JOINT_INDEX[f"{side}_{name}"]
            if child is None:
                turns[joint] = turns[PARENTS[joint]]
                continue
            bone = rest[JOINT_INDEX[f"{side}_{child}"]] - rest[joint]
            turns[joint] = about(up, torch.tensor(half).double()) @ shortest(bone, up)
    return turns


@pytest.mark.parametrize("clip", ["dance", "walk_forward"])
def test_bones_along_one_axis_at_rest_are_told_by_their_use(clip, model):
    motion = builtin(clip, fps=10)
    found, _ = motion_of_bvh(as_bvh(motion, model, CMU, turns=along_one_axis(model)), model)
    limbs = [JOINT_INDEX[f"{s}_{n}"] for s in ("left", "right") for n in ("hip", "knee", "shoulder", "elbow")]
    turned = degrees_between(world_rotations(found), world_rotations(motion))
    assert turned[:, limbs].mean(0).max() < 30  # about themselves: what the hinges leave
    away = (model.joints(found.body) - model.joints(motion.body))[:, :22].norm(dim=-1)
    assert away.mean() < 0.03 and away.max() < 0.12


def test_legs_apart_and_bent_elbows_at_rest(motion, model):
    turns = no_turns()
    for name, axis, angle in [("left_hip", [0, 0, 1.0], 0.3), ("left_elbow", [0, 1.0, 0], -0.5)]:
        turn = about(torch.tensor(axis).double(), torch.tensor(angle).double())
        below = {"left_hip": ["left_hip", "left_knee"], "left_elbow": ["left_elbow", "left_wrist"]}[name]
        for joint in below:
            turns[JOINT_INDEX[joint]] = turn
    found, _ = motion_of_bvh(as_bvh(motion, model, SMPL, turns=turns), model)
    assert (model.joints(found.body) - model.joints(motion.body))[:, :22].norm(dim=-1).max() < 0.015


@pytest.mark.parametrize(
    ("scale", "said"),
    [(1.0, None), (100.0, "centimetres"), (1000.0, "millimetres"), (39.37, "inches"), (17.7, "not known")],
)
def test_units_are_told_by_the_length_of_the_legs(scale, said, motion, model):
    found, guesses = motion_of_bvh(as_bvh(motion, model, MIXAMO, scale=scale), model)
    assert torch.allclose(found.body.transl, motion.body.transl, atol=2e-3)
    assert (said is None and not guesses) or said in guesses[0]


def test_a_skeleton_of_other_size_walks_at_our_size(model):
    walk = builtin("walk_forward", seconds=1.05, fps=10)
    bvh = as_bvh(walk, model, MIXAMO, scale=70.0)  # a child, in centimetres
    found, guesses = motion_of_bvh(bvh, model)
    assert torch.allclose(found.body.transl, walk.body.transl, atol=1e-3)
    assert any("multiplied by 1.43" in guess for guess in guesses)


def test_z_up_is_seen_and_said(motion, model):
    found, guesses = motion_of_bvh(as_bvh(motion, model, CMU, axes=Z_UP), model)
    assert "z is up" in guesses and worst(found, motion) < 0.05
    assert torch.allclose(found.body.transl, motion.body.transl, atol=1e-4)


def test_z_up_of_the_motion_alone_is_seen_too(motion, model):
    """As some programs turn the root and leave the offsets."""
    bvh = as_bvh(motion, model, CMU)
    turned = as_bvh(motion, model, CMU, axes=Z_UP)
    values = bvh.values.copy()
    values[:, :3] = turned.values[:, :3]
    from scipy.spatial.transform import Rotation

    root = Rotation.from_matrix(Z_UP) * Rotation.from_euler("ZXY", bvh.values[:, 3:6], degrees=True)
    values[:, 3:6] = root.as_euler("ZXY", degrees=True)
    found, guesses = motion_of_bvh(dataclasses.replace(bvh, values=values), model)
    assert "z is up" in guesses and worst(found, motion) < 0.05


def test_extra_joints_are_passed_on_to_their_children(motion, model):
    extra = {"left_hip": "LHipJoint", "right_hip": "RHipJoint", "head": "Neck1"}
    found, guesses = motion_of_bvh(as_bvh(motion, model, CMU, extra=extra.get), model)
    assert worst(found, motion) < 0.05
    assert any("LHipJoint" in guess and "Neck1" in guess for guess in guesses)


def test_missing_joints_go_with_their_parents_or_lie_between(motion, model):
    names = {k: v for k, v in MIXAMO.items() if k not in ("left_foot", "left_collar", "spine2", "neck")}
    found, _ = motion_of_bvh(as_bvh(motion, model, names), model)
    kept = [JOINT_INDEX[name] for name in names if name not in ("spine1", "spine3")]
    assert worst(found, motion, kept) < 0.6
    assert worst(found, motion, [JOINT_INDEX["spine2"], JOINT_INDEX["neck"]]) < 8.0
    assert worst(found, motion, [JOINT_INDEX["left_collar"]]) < 12.0


def test_a_root_above_the_hips_that_stands_still_is_no_trouble(motion, model):
    bvh = as_bvh(motion, model, MIXAMO)
    count = len(bvh.names)
    moved = dataclasses.replace(
        bvh,
        names=("mixamorig:Reference", *bvh.names),
        parents=(-1, *(parent + 1 for parent in bvh.parents)),
        offsets=np.concatenate([np.zeros((1, 3)), bvh.offsets]),
        ends=(None,) * (count + 1),
        channels=((), *bvh.channels),
    )
    assert worst(motion_of_bvh(moved, model)[0], motion) < 0.05


def test_a_root_without_places_stays_on_the_spot(motion, model):
    """As Poser writes them: lower case, one letter for the side, angles alone."""
    bvh = as_bvh(motion, model, DAZ)
    bare = dataclasses.replace(bvh, channels=(bvh.channels[1],) * len(bvh.names), values=bvh.values[:, 3:])
    found, guesses = read_motion(encode(bare).replace(b"End Site", b"End Site tip"), "pirouette.bvh")
    assert worst(found, motion) < 0.05 and any("on the spot" in guess for guess in guesses)
    assert model(found.body).vertices[..., 1].amax(1).abs().max() < 0.02


def test_a_skeleton_without_known_limbs_is_told_with_its_names(motion, model):
    bvh = as_bvh(motion, model, MIXAMO)
    odd = dataclasses.replace(bvh, names=tuple(f"joint{k}" for k in range(len(bvh.names))))
    with pytest.raises(FormatError, match=r"no pelvis, left_hip.*joint0, joint1"):
        motion_of_bvh(odd, model)


def test_a_skeleton_without_offsets_is_told(motion, model):
    bvh = as_bvh(motion, model, MIXAMO)
    with pytest.raises(FormatError, match="rest pose"):
        motion_of_bvh(dataclasses.replace(bvh, offsets=np.zeros_like(bvh.offsets)), model)
