"""Another shape, face, colour or pose: what was asked for changes, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import toy_avatar
from hypothesis import given, settings
from hypothesis import strategies as st

from turnaround.models.avatar.bones import rest_bones
from turnaround.models.avatar.displacement import rest_vertices
from turnaround.models.avatar.editing.joints import FLEXIONS, start, with_joints
from turnaround.models.avatar.editing.oklab import from_oklab, to_oklab
from turnaround.models.avatar.editing.recolor import GROUPS, recolored
from turnaround.models.avatar.editing.reshape import expressive, reshaped, stature
from turnaround.models.body.skeleton import JOINT_INDEX, JOINT_NAMES
from turnaround.models.exemplar.parts import PARTS, vertex_labels
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.types import Body

TALLER = torch.tensor([1.5, -1.0, 0.5, 0, 0, 0, 0, 0, 0, 0])


def test_another_shape_is_that_of_the_body():
    avatar = toy_avatar.avatar(1)
    made = reshaped(avatar, TALLER)
    used = avatar.model.skin_faces.unique()
    truth = rest_vertices(avatar.model, replace(Body.neutral(), betas=TALLER))[used]
    moved = (truth - avatar.mesh.vertices).norm(dim=1).max()
    off = (made.mesh.vertices - truth).norm(dim=1)
    assert off.quantile(0.95) < 0.1 * moved and off.max() < 0.4 * moved
    torch.testing.assert_close(made.rig.joints, rest_bones(avatar.model, made.rig.rest))
    assert torch.equal(made.rig.rest.betas, TALLER) and torch.equal(made.rig.photo.betas, TALLER)


def test_the_same_shape_and_a_still_face_are_the_same_person():
    avatar = toy_avatar.avatar()
    assert reshaped(avatar, avatar.rig.rest.betas) is avatar
    assert expressive(avatar, torch.zeros(10)) is avatar


def test_there_and_back_again_is_near_where_it_was():
    avatar = toy_avatar.avatar()
    back = reshaped(reshaped(avatar, TALLER), avatar.rig.rest.betas)
    assert (back.mesh.vertices - avatar.mesh.vertices).norm(dim=1).quantile(0.99) < 0.005  # metres


def test_an_expression_moves_the_head_alone():
    avatar = toy_avatar.avatar(1)
    way = (expressive(avatar, torch.full((10,), 2.0)).mesh.vertices - avatar.mesh.vertices).norm(dim=1)
    neck = avatar.rig.joints[JOINT_INDEX["neck"], 1]
    assert way.max() > 0.004 and way[avatar.mesh.vertices[:, 1] > neck].max() < 1e-5


def test_stature_is_the_height_of_the_body():
    model = toy_avatar.avatar().model
    assert 1.5 < stature(model, torch.zeros(10)) < 1.9


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_oklab_and_back_is_the_same_colour(color):
    assert np.abs(from_oklab(to_oklab(np.array(color))) - color).max() < 1e-5


def test_white_and_grey_have_no_hue():
    lab = to_oklab(np.array([[1.0, 1, 1], [0.5, 0.5, 0.5], [0, 0, 0]]))
    assert np.abs(lab[:, 1:]).max() < 1e-6 and lab[0, 0] == pytest.approx(1, abs=1e-6) and lab[2, 0] == 0


def test_a_part_gets_the_colour_and_others_keep_theirs():
    avatar, blue = toy_avatar.avatar(1), (0.1, 0.2, 0.7)
    made = recolored(avatar, {"torso": blue})
    labels = vertex_labels(avatar.model)[avatar.model.skin_faces.unique().numpy()]
    torso, hand = (labels == PARTS.index(name) for name in ("torso", "left_hand"))
    new = made.gaussians.colors.numpy()
    assert np.abs(np.median(new[torso], 0) - blue).max() < 0.03
    np.testing.assert_array_equal(new[hand], avatar.gaussians.colors.numpy()[hand])
    np.testing.assert_array_equal(made.mesh.colors.numpy()[hand], avatar.mesh.colors.numpy()[hand])
    assert torch.equal(made.mesh.vertices, avatar.mesh.vertices)


@pytest.mark.parametrize(("color", "share"), [((0.9, 0.9, 0.9), 1.0), ((0.2, 0.1, 0.1), None)])
def test_folds_stay_darker_than_the_cloth_and_less_so_on_dark_cloth(color, share):
    avatar = toy_avatar.avatar(1)
    labels = vertex_labels(avatar.model)[avatar.model.skin_faces.unique().numpy()]
    shade = torch.where(torch.arange(len(labels)) % 3 == 0, 0.6, 1.0)[:, None]
    shaded = replace(avatar, gaussians=replace(avatar.gaussians, colors=avatar.gaussians.colors * shade))
    new = recolored(shaded, {"torso": color}).gaussians.colors.numpy()
    sure = labels == PARTS.index("torso")
    dark, light = (to_oklab(np.median(new[sure & (shade[:, 0].numpy() == k)], 0))[0] for k in (0.6, 1.0))
    before = [to_oklab((toy_avatar.palette()[3] * k).double().numpy())[0] for k in (0.6, 1.0)]
    wanted = share or max(to_oklab(np.array(color))[0] / before[1], 0.3)
    assert light - dark == pytest.approx(wanted * (before[1] - before[0]), abs=0.02)


def test_words_for_parts_name_parts():
    assert all(set(names) <= set(PARTS) for names in GROUPS.values())


def test_one_angle_bends_elbows_forward_knees_back_and_hips_forward():
    avatar = toy_avatar.avatar()

    def moved(joint: str, end: str) -> torch.Tensor:
        body = with_joints(avatar.rig.rest, {joint: 60.0})
        place = JOINT_INDEX[end]
        return avatar.bones(body).positions[place] - avatar.bones(avatar.rig.rest).positions[place]

    for side in ("left", "right"):  # the person faces -z, y is down
        assert moved(f"{side}_elbow", f"{side}_wrist")[2] < -0.1
        assert moved(f"{side}_knee", f"{side}_ankle")[2] > 0.2
        assert moved(f"{side}_hip", f"{side}_knee")[2] < -0.2
        assert moved(f"{side}_shoulder", f"{side}_elbow")[1] < -0.1
        assert moved(f"{side}_wrist", f"{side}_middle1")[1] > 0.03
        assert moved(f"{side}_index1", f"{side}_index3")[1] > 0.02
        assert moved(f"{side}_ankle", f"{side}_foot")[1] < -0.03
        assert moved(f"{side}_collar", f"{side}_shoulder")[1] < -0.03
    assert moved("spine1", "head")[2] < -0.1 and moved("neck", "head")[2] < -0.02


def test_flexions_of_left_and_right_mirror_each_other():
    for name, (axis, said) in FLEXIONS.items():
        if name.startswith("left_"):
            x, y, z = axis
            assert FLEXIONS[name.replace("left_", "right_", 1)] == ((x, -y, -z), said)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(JOINT_NAMES[1:]), st.tuples(*[st.floats(-170, 170)] * 3))
def test_three_angles_are_written_where_the_joint_is_and_nowhere_else(name, angles):
    rest = Body.neutral()
    made = with_joints(rest, {name: angles})
    parts = (made.body_pose, made.jaw_pose[None], made.leye_pose[None], made.reye_pose[None],
             made.left_hand_pose, made.right_hand_pose)  # fmt: skip
    pose = torch.cat(parts)
    wanted = torch.zeros(54, 3)
    wanted[JOINT_INDEX[name] - 1] = torch.deg2rad(torch.tensor(angles))
    torch.testing.assert_close(pose, wanted)
    torch.testing.assert_close(made.global_orient, rest.global_orient)


def test_the_pelvis_turns_the_whole_person():
    made = with_joints(Body.neutral(), {"pelvis": (0.0, 90.0, 0.0)})
    joints = toy_avatar.MODEL.joints(made)
    across = joints[JOINT_INDEX["left_hip"]] - joints[JOINT_INDEX["right_hip"]]
    assert abs(across[0]) < 0.02 and abs(across[2]) > 0.05


def test_poses_begin_as_in_the_photo_or_with_arms_out_or_lowered():
    avatar = toy_avatar.avatar()
    assert start(avatar.rig, "photo") is avatar.rig.photo and start(avatar.rig, "t") is avatar.rig.rest
    wrist = JOINT_INDEX["left_wrist"]
    high, low = (toy_avatar.MODEL.joints(start(avatar.rig, base))[wrist, 1] for base in ("t", "a"))
    assert low > high + 0.2


@pytest.mark.parametrize(
    ("turns", "said"), [({"elbow": 3.0}, "no joint"), ({"left_eye": 3.0}, "three angles")]
)
def test_what_cannot_be_turned_is_refused(turns, said):
    with pytest.raises(CallError, match=said):
        with_joints(Body.neutral(), turns)
