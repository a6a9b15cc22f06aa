"""The lifter: laws of mirror and turn, its inputs, the mean of two looks, hands, faces."""

import dataclasses

import pytest
import torch
from toy_landmarks import (
    FLIP,
    batch_of,
    face_points,
    hand_points,
    made_up_lifter,
    near,
    random_body,
    record_of,
    sighting_of,
)

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX, MIRROR_JOINT, PARENTS
from turnaround.models.estimator.crop import project_plane, rotation_2d
from turnaround.models.estimator.kinematics import mean_rotation, mirror_keypoints, mirror_rotations
from turnaround.models.estimator.lifter.dataset import mirror_batch, turn_batch
from turnaround.models.estimator.lifter.face import FIRST, FaceReader, laid_over
from turnaround.models.estimator.lifter.hand import (
    HandNetwork,
    mirror_right,
    mirror_right_rotations,
    palm_frame,
)
from turnaround.models.estimator.lifter.landmark_points import (
    AWAY,
    COUNT,
    POINT_FRAMES,
    POINT_JOINTS,
    POINT_MIRROR,
    POINT_NAMES,
    body_points,
    from_behind,
    observed_points,
)
from turnaround.models.estimator.lifter.network import INPUTS, features, landmark_window
from turnaround.models.estimator.lifter.predict import average, mirror_joints, swap_hands
from turnaround.models.estimator.lifter.sighting import Sighting, from_trace, mirrored, turned
from turnaround.models.landmarks.names import FACE_MIRROR, POSE_NAMES
from turnaround.pipeline.values.rotation import axis_angle_to_matrix


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def lifter():
    return made_up_lifter()


@pytest.fixture(scope="module")
def batch(model, lifter):
    return batch_of(random_body(4), model, lifter.offsets)


def noisy(seen: Sighting, seed: int = 0) -> Sighting:
    g = torch.Generator().manual_seed(seed)
    change = lambda x: x + 0.02 * torch.randn(x.shape, generator=g)  # noqa: E731
    return dataclasses.replace(seen, pose=change(seen.pose), world=change(seen.world))


def close(a, b, tolerance: float = 1e-5) -> None:
    """Every tensor of two records of one type."""
    for name, value in vars(a).items():
        if isinstance(value, torch.Tensor):
            near(getattr(b, name), value, tolerance, name)
        else:
            close(value, getattr(b, name), tolerance)


# mirror and turn


def test_mirroring_a_batch_twice_changes_nothing(batch):
    close(batch, mirror_batch(mirror_batch(batch)))
    assert not torch.allclose(mirror_batch(batch).seen.pose, batch.seen.pose)


def test_turns_add_up_and_commute_with_the_mirror(batch):
    a, b = torch.tensor([0.3, -2.0, 0.0, 3.0]), torch.tensor([1.0, 0.5, -0.4, 3.0])
    close(turn_batch(turn_batch(batch, a), b), turn_batch(batch, a + b))
    close(turn_batch(batch, torch.zeros(4)), batch)
    close(mirror_batch(turn_batch(batch, a)), turn_batch(mirror_batch(batch), -a))


def test_landmarks_of_a_turned_or_mirrored_body_are_the_turned_or_mirrored_landmarks(batch, lifter):
    """Input and truth stay one: the exact landmarks fall on the true body's before and after."""
    angle = torch.tensor([0.3, -2.0, 0.0, 3.0])
    for changed in (batch, turn_batch(batch, angle), mirror_batch(batch)):
        points = project_plane(body_points(changed.truth.joints, changed.truth.rotations, lifter.offsets))
        observed, certainty = observed_points(changed.seen)
        near(points, observed, 1e-5)
        assert (certainty == 1).all()
    plain = project_plane(body_points(batch.truth.joints, batch.truth.rotations, lifter.offsets))
    now = turn_batch(batch, angle).truth
    expected = plain @ rotation_2d(angle).transpose(-1, -2)
    points = project_plane(body_points(now.joints, now.rotations, lifter.offsets))
    near(points, expected)


def mirrored_record(record: dict, size: int) -> dict:
    """By names and by hand: what networks that make no errors would tell of the mirrored picture."""
    swap = {"left": "right", "right": "left"}
    named = ["_".join(swap.get(word, word) for word in name.split("_")) for name in POSE_NAMES]
    order = [POSE_NAMES.index(name) for name in named]
    flip = lambda row: [size - row[0], *row[1:]]  # noqa: E731
    across = lambda row: [-row[0], *row[1:]]  # noqa: E731
    run = {
        "pose": [flip(record["pose"][k]) for k in order],
        "world": [across(record["world"][k]) for k in order],
    }
    hands = {
        swap[side]: hand
        and {
            "xy": [flip(p) for p in hand["xy"]],
            "world": [across(p) for p in hand["world"]],
            "flag": hand["flag"],
        }
        for side, hand in record["hands"].items()
    }
    face = record["face"]
    points = face and {"points": [flip(face["points"][k]) for k in FACE_MIRROR], "flag": face["flag"]}
    return {**record, **run, "mirrored": run, "hands": hands, "face": points}


@pytest.mark.parametrize("parts", ["all", "one hand", "no face"])
def test_a_mirrored_record_is_a_mirrored_sighting(model, lifter, parts):
    record = record_of(sighting_of(random_body(1, 3), model, lifter.offsets), 640)
    if parts == "one hand":
        record["hands"]["left"] = None
    if parts == "no face":
        record["face"] = None
    close(from_trace(mirrored_record(record, 640), 640), mirrored(from_trace(record, 640)))
    close(from_trace(record, 640, second=True), from_trace(record, 640))


def test_a_record_tells_the_sighting_that_it_was_made_of(model, lifter):
    seen = sighting_of(random_body(1, 4), model, lifter.offsets)
    close(from_trace(record_of(seen, 512), 512), seen)


# the network's input and the mean of two looks


def scaled(seen: Sighting, factor: float) -> Sighting:
    """The picture larger by a factor about its centre; metres stay."""
    pose = torch.cat([seen.pose[..., :3] * factor, seen.pose[..., 3:]], -1)
    return dataclasses.replace(seen, pose=pose, hands=seen.hands * factor, face=seen.face * factor)


def test_only_the_window_tells_how_large_the_person_is_in_the_picture(batch):
    seen = batch.seen
    plain, large = (features(s, landmark_window(s)) for s in (seen, scaled(seen, 0.6)))
    assert plain.shape[1] == INPUTS
    window = slice(33 * 8, 33 * 8 + 3)
    torch.testing.assert_close(large[:, window][:, :2], 0.6 * plain[:, window][:, :2])
    smaller = torch.log(torch.tensor(0.6))
    near(large[:, window][:, 2], plain[:, window][:, 2] + smaller, 1e-4)
    rest = [k for k in range(INPUTS) if not window.start <= k < window.stop]
    # the window is never quite empty, which small differences come from
    torch.testing.assert_close(large[:, rest], plain[:, rest], atol=1e-3, rtol=1e-3)


def test_the_window_turns_with_the_picture_and_keeps_its_size(batch):
    angle = torch.tensor([0.3, -2.0, 0.0, 3.0])
    plain, now = landmark_window(batch.seen), landmark_window(turned(batch.seen, angle))
    torch.testing.assert_close(now[:, 2], plain[:, 2])
    near(now[:, :2], (rotation_2d(angle) @ plain[:, :2, None])[..., 0], 1e-5)


def test_what_is_withheld_says_nothing(batch, lifter):
    """Landmarks without presence, hands and faces with flag 0 may lie anywhere they are not told."""
    nothing = dataclasses.replace(
        batch.seen, pose=batch.seen.pose * 0, world=batch.seen.world * 0, hands=batch.seen.hands * 0,
        hands_world=batch.seen.hands_world * 0, hands_flag=torch.zeros(4, 2), face=batch.seen.face * 0,
        face_flag=torch.zeros(4),
    )  # fmt: skip
    found = lifter(nothing)
    assert all(torch.isfinite(value).all() for value in vars(found).values())
    assert (found.rotations[0] == found.rotations[1]).all()
    assert (found.jaw == 0).all() and (found.expression == 0).all()


def test_the_body_of_a_mirrored_sighting_is_the_mirrored_body(batch, lifter):
    first, second = noisy(batch.seen, 1), noisy(batch.seen, 2)
    plain = average(lifter, first, second)
    other = average(lifter, mirrored(second), mirrored(first))
    near(other.rotations, mirror_rotations(plain.rotations), 2e-5)
    torch.testing.assert_close(other.spread, mirror_joints(plain.spread))
    near(other.pelvis, plain.pelvis * FLIP, 1e-5)
    near(other.up, plain.up * FLIP, 1e-5)
    near(other.fingers, swap_hands(plain.fingers), 2e-5)
    torch.testing.assert_close(other.jaw, plain.jaw * -FLIP)
    torch.testing.assert_close(other.betas, plain.betas)
    torch.testing.assert_close(other.expression, plain.expression)
    # the free body's joints are symmetric to better than two millimetres a bone
    assert (other.joints - mirror_keypoints(plain.joints)).norm(dim=-1).max() < 0.01
    assert (plain.spread > lifter(first).spread.min()).all()


def test_the_mean_of_rotations_is_a_rotation_half_way():
    base, turn = axis_angle_to_matrix(torch.randn(5, 3)), torch.randn(5, 3)
    turn = turn / turn.norm(dim=-1, keepdim=True)
    a, b = (base @ axis_angle_to_matrix(s * turn) for s in (0.4, 1.4))
    near(mean_rotation(torch.stack([a, b])), base @ axis_angle_to_matrix(0.9 * turn), 1e-5)
    near(mean_rotation(torch.stack([a, a, a])), a, 1e-5)
    assert torch.det(mean_rotation(torch.randn(3, 50, 3, 3))).sub(1).abs().max() < 1e-4


# where landmarks lie


def test_the_table_of_landmarks_is_consistent():
    assert len(set(POINT_NAMES)) == COUNT == len(POINT_JOINTS) == len(POINT_FRAMES) == len(POINT_MIRROR)
    assert [POINT_MIRROR[k] for k in POINT_MIRROR] == list(range(COUNT))
    for table in (POINT_JOINTS, POINT_FRAMES):
        assert [table[k] for k in POINT_MIRROR] == [MIRROR_JOINT[joint] for joint in table]
    for joint, frame in zip(POINT_JOINTS, POINT_FRAMES, strict=True):
        chain = {joint}
        while joint > 0:
            joint = PARENTS[joint]
            chain.add(joint)
        assert frame in chain and frame < 22
    assert POINT_JOINTS[POINT_NAMES.index("left_heel")] == JOINT_INDEX["left_ankle"]
    assert POINT_FRAMES[POINT_NAMES.index("right_hip")] == JOINT_INDEX["pelvis"]


def test_a_face_that_is_turned_away_is_less_sure(batch):
    behind = dataclasses.replace(mirrored(batch.seen), face_flag=torch.zeros(4))
    # left and right exchanged only
    swapped = dataclasses.replace(behind, pose=behind.pose * torch.tensor([-1.0, 1, 1, 1, 1]))
    assert from_behind(swapped).all() and not from_behind(batch.seen).any()
    certainty = observed_points(swapped)[1]
    torch.testing.assert_close(certainty[:, :11], torch.full((4, 11), AWAY))
    assert (certainty[:, 11:33] == 1).all()
    # a face that is too small for its network, seen from the front
    assert (observed_points(behind)[1][:, :11] == 1).all()


# hands


def test_the_palm_s_frame_forgets_place_size_and_turn(model):
    points = hand_points(model(random_body(3)).joints, "left")
    turn = axis_angle_to_matrix(torch.randn(3, 3))
    moved = 1.7 * points @ turn.transpose(-1, -2) + torch.randn(3, 1, 3)
    near(palm_frame(moved), palm_frame(points), 1e-4)
    frame = palm_frame(points)
    assert frame[:, 0].abs().max() == 0
    near(frame[:, 9], torch.tensor([1.0, 0, 0]).expand(3, 3), 1e-5)
    assert torch.isfinite(palm_frame(torch.zeros(2, 21, 3))).all()


def test_a_right_hand_in_the_mirror_is_a_left_one_with_the_same_pose():
    torch.manual_seed(0)
    network, world = HandNetwork().eval(), 0.1 * torch.randn(4, 2, 21, 3)
    torch.nn.init.normal_(network.layers[-1].weight, 0, 0.1)
    flag = torch.tensor([[1.0, 1], [1, 0], [0, 1], [0, 0]])
    plain = network(world, flag)
    other = network(world.flip(1) * FLIP, flag.flip(1))
    near(other, swap_hands(plain), 1e-6)
    same = torch.stack([world[:, 0], world[:, 0] * FLIP], 1)
    left = mirror_right_rotations(network(same, torch.ones(4, 2)))
    near(left[:, 0], left[:, 1], 1e-6)
    torch.testing.assert_close(mirror_right(mirror_right(world)), world)
    relaxed = mirror_right_rotations(plain)[3]
    torch.testing.assert_close(relaxed[0], relaxed[1])  # unseen: the mean hand, whatever the points say


def test_swapping_hands_twice_changes_nothing():
    fingers = axis_angle_to_matrix(torch.randn(3, 2, 15, 3))
    torch.testing.assert_close(swap_hands(swap_hands(fingers)), fingers)
    torch.testing.assert_close(swap_hands(fingers)[:, 0], mirror_right_rotations(fingers)[:, 1])


# faces


def faces(model: BodyModel, jaw: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
    """The body model's own face, the contour fixed to the head."""
    body = random_body(len(jaw), amount=0)
    body = dataclasses.replace(
        body, betas=torch.zeros(len(jaw), 10), jaw_pose=jaw[:, None] * torch.tensor([1.0, 0, 0]),
        expression=expression, global_orient=body.global_orient[:1].expand(len(jaw), 3),
    )  # fmt: skip
    out = model(body)
    return face_points(out.vertices, out.joints, model)


@pytest.fixture(scope="module")
def reader(model) -> FaceReader:
    """Learned from neutral faces that look anywhere, of any size."""
    g = torch.Generator().manual_seed(0)
    count = 12
    plain = faces(model, torch.zeros(count), torch.zeros(count, 10))
    turn = axis_angle_to_matrix(0.6 * torch.randn(count, 3, generator=g))
    learned = (plain - plain.mean(1, keepdim=True)) @ turn * (0.5 + 2 * torch.rand(count, 1, 1, generator=g))
    made = FaceReader()
    made.learn(learned, model)
    return made


def test_a_neutral_face_has_no_expression(model, reader):
    jaw, expression = reader(faces(model, torch.zeros(2), torch.zeros(2, 10)), torch.ones(2))
    assert jaw.abs().max() < 0.01 and expression.abs().max() < 0.05


def test_the_jaw_s_opening_comes_back(model, reader):
    true = torch.tensor([0.05, 0.1, 0.2, 0.3])
    jaw, _ = reader(faces(model, true, torch.zeros(4, 10)), torch.ones(4))
    share = jaw[:, 0] / true  # the prior keeps a part, and lips may explain another
    assert share.min() > 0.7 and share.max() < 1.05 and (jaw[:, 1:] == 0).all()


def test_expressions_come_back_with_their_sign(model, reader):
    """A third of it: the other coefficients share in it, and the prior keeps what identity may explain."""
    true = torch.cat([torch.eye(10)[:6], -torch.eye(10)[:6]])
    _, found = reader(faces(model, torch.zeros(12), true), torch.ones(12))
    own = (found * true).sum(1)
    assert (own > 0.1).all() and (own < 1.0).all()


def test_a_face_s_place_size_and_turn_say_nothing(model, reader):
    true = torch.tensor([0.2, 0.0, 0.1])
    plain = faces(model, true, 0.5 * torch.randn(3, 10, generator=torch.Generator().manual_seed(1)))
    turn = axis_angle_to_matrix(torch.randn(3, 3))
    moved = 0.3 * plain @ turn + torch.randn(3, 1, 3)
    for a, b in zip(reader(plain, torch.ones(3)), reader(moved, torch.ones(3)), strict=True):
        near(a, b, 1e-3)
    assert all((value == 0).all() for value in reader(plain, torch.zeros(3)))


def test_the_map_can_be_learned_again_from_the_mean(model, reader):
    again = FaceReader()
    again.learn(reader.mean[None], model)
    near(again.mean, reader.mean, 1e-5)
    torch.testing.assert_close(again.weight, reader.weight, atol=1e-2, rtol=1e-2)
    upright = faces(model, torch.zeros(1), torch.zeros(1, 10))[0, FIRST:]
    wanted = torch.cat([torch.zeros(FIRST, 3), upright])
    laid = laid_over(reader.mean[None], wanted, points=range(FIRST, 68))[0, FIRST:]
    assert (laid - upright).norm(dim=-1).max() < 1e-3
