"""A movement becomes another person's: nothing changes where nothing is asked for, feet stand, joints stay
within limits."""

import dataclasses
import itertools

import pytest
import torch
from toy_motions import sole_points

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.motion.builtin import builtin
from turnaround.models.motion.contact import touch
from turnaround.models.motion.kinematics import full_pose, with_pose
from turnaround.models.motion.limits import HINGES, angle_limit, bend
from turnaround.models.motion.retarget import retarget
from turnaround.models.motion.soles import leg_length, rest_joints
from turnaround.pipeline.values.motion import Motion

PEOPLE = [
    torch.zeros(10),
    torch.tensor([3.0] + [0.0] * 9),
    torch.tensor([-3.0, 2.0, 1.0, -2.0, 1.0] + [0.0] * 5),
]


@pytest.fixture(scope="module")
def model():
    return BodyModel.shared()


def shaken(motion: Motion, size: float, seed: int = 0) -> Motion:
    generator = torch.Generator().manual_seed(seed)
    pose = full_pose(motion.body)
    body = with_pose(motion.body, pose + size * torch.randn(pose.shape, generator=generator))
    transl = body.transl + 0.2 * size * torch.randn(body.transl.shape, generator=generator)
    return dataclasses.replace(motion, body=dataclasses.replace(body, transl=transl))


@pytest.mark.parametrize("betas", PEOPLE)
def test_with_everything_off_the_same_person_moves_the_same(betas, model):
    motion = builtin("dance", fps=10)
    motion = dataclasses.replace(
        motion, body=dataclasses.replace(motion.body, betas=betas.repeat(len(motion), 1))
    )
    same = retarget(motion, betas, model, smooth=0.0, limits=False, feet=False)
    assert all(
        torch.equal(a, b) for a, b in zip(vars(same.body).values(), vars(motion.body).values(), strict=True)
    )


def test_there_and_back_is_the_motion(model):
    motion = builtin("walk_forward", fps=10)
    off = dict(smooth=0.0, limits=False, feet=False)
    back = retarget(retarget(motion, PEOPLE[2], model, **off), PEOPLE[0], model, **off)
    assert torch.allclose(back.body.transl, motion.body.transl, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "betas"),
    list(itertools.product(["idle", "walk", "walk_forward", "turn", "squat", "dance_wave"], PEOPLE)),
)
def test_the_lowest_foot_stands_on_the_floor(name, betas, model):
    heights = [
        -points[..., 1].amax(1) for points in sole_points(retarget(builtin(name), betas, model), model)
    ]
    lowest = torch.stack(heights).amin(0)
    assert lowest.abs().max() < 0.013 and lowest.abs().mean() < 0.004
    assert float(lowest.min()) > -0.005


@pytest.mark.parametrize("betas", PEOPLE)
def test_a_standing_foot_does_not_slide_in_a_walk(betas, model):
    motion = retarget(builtin("walk_forward", fps=60), betas, model)
    for points in sole_points(motion, model):
        found = touch(points, motion.fps)
        inner = found.held & found.held.roll(5) & found.held.roll(-5)
        standing = inner & (found.height < 0.01)
        assert standing.sum() > 40
        assert found.slip[standing].norm(dim=-1).max() < 0.05


def test_the_skin_itself_stands_on_the_floor(model):
    """Against the whole surface: the points of the soles are not the whole of the feet."""
    motion = retarget(builtin("walk_forward", fps=10), PEOPLE[1], model, floor=0.9)
    lowest = model(motion.body).vertices[..., 1].amax(1)
    assert (lowest - 0.9).abs().max() < 0.015


def test_the_way_goes_by_the_length_of_the_legs(model):
    motion = builtin("walk_forward")
    way = [m.body.transl[-1, 2] - m.body.transl[0, 2] for m in (motion, retarget(motion, PEOPLE[1], model))]
    legs = [leg_length(rest_joints(model, betas)) for betas in (PEOPLE[0], PEOPLE[1])]
    assert float(way[1] / way[0]) == pytest.approx(legs[1] / legs[0], abs=0.01)


@pytest.mark.parametrize("name", ["idle", "walk", "walk_forward", "turn", "dance"])
def test_what_loops_still_loops(name, model):
    assert retarget(builtin(name), PEOPLE[1], model, smooth=0.05).loops


def test_the_floor_is_where_it_is_asked_for(model):
    motion = builtin("idle", fps=5)
    moved = retarget(motion, PEOPLE[0], model, floor=0.8, smooth=0.0, feet=False, limits=False)
    assert torch.allclose(moved.body.transl - motion.body.transl, torch.tensor([0.0, 0.8, 0.0]), atol=1e-6)


def test_limits_hold_also_of_wild_motions(model):
    wild = shaken(builtin("dance", fps=10), 0.8)
    pose = full_pose(retarget(wild, PEOPLE[1], model).body)
    for name, index in JOINT_INDEX.items():
        if name in HINGES:
            axis, least, most, aside = HINGES[name]
            angle, left = bend(pose[:, index], axis)
            assert angle.min() > least - 1e-3 and angle.max() < most + 1e-3, name
            assert left.norm(dim=-1).max() < aside + 1e-3, name
        else:
            assert pose[:, index].norm(dim=-1).max() < min(angle_limit(name), 3.2) + 1e-3, name


def test_smoothing_takes_jitter_off_and_feet_stand_again(model):
    """As estimators write motions: every frame by itself."""
    still = builtin("idle", seconds=4)
    noisy = shaken(still, 0.02)
    result = retarget(noisy, PEOPLE[0], model, smooth=0.08)
    jitter = [full_pose(m.body).diff(n=2, dim=0)[:, 1:22].norm(dim=-1).mean() for m in (noisy, result)]
    assert jitter[1] < 0.2 * jitter[0]
    for points in sole_points(result, model):
        assert touch(points, result.fps).slip[3:-3].norm(dim=-1).mean() < 0.03


def test_gradients_devices_and_one_frame_are_no_trouble(model):
    motion = builtin("a_pose")
    betas = torch.ones(10, requires_grad=True)
    result = retarget(motion, betas, model)
    assert len(result) == 1 and not result.body.betas.requires_grad
    assert torch.allclose(result.body.betas[0], torch.ones(10))
