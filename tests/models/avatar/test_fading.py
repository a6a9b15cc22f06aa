"""What was added is not there in the photo's pose, wherever the person stands, and whole in another."""

from dataclasses import replace

import pytest
import torch
from toy_avatar import MODEL, STANDING, person

from turnaround.models.avatar.bones import BONE_NAMES, pose_bones, rest_bones
from turnaround.models.avatar.fading import WHOLE, Fading, alone, bones_about
from turnaround.models.avatar.skinning import transforms_of
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.pipeline.values.rig import SkinWeights

REST = rest_bones(MODEL, STANDING)
PHOTO = pose_bones(MODEL, STANDING, REST)
GENERATOR = torch.Generator().manual_seed(0)
PLACES = PHOTO.positions[torch.randint(0, 55, (60,), generator=GENERATOR)] + 0.1 * torch.randn(
    60, 3, generator=GENERATOR
)
ABOUT = torch.randint(0, len(BONE_NAMES), (60, 4), generator=GENERATOR)
FADING = Fading(PLACES, ABOUT, PHOTO)


def shown(body):
    return torch.from_numpy(FADING.shown(transforms_of(pose_bones(MODEL, body, REST))))


def slow(bones):
    """One place after the other: carried from the photo by each bone alone."""
    shares = []
    for place, ids in zip(PLACES, ABOUT, strict=True):
        carried = []
        for bone in ids:
            rest = PHOTO.rotations[bone].T @ (place - PHOTO.shifts[bone])
            carried.append(bones.rotations[bone] @ rest + bones.shifts[bone])
        way = max(float((each - carried[0]).norm()) for each in carried)
        share = min(way / WHOLE, 1.0)
        shares.append(share**2 * (3 - 2 * share))
    return torch.tensor(shares)


def test_the_kernel_is_its_slow_twin():
    slight = replace(STANDING, body_pose=STANDING.body_pose + 0.003)
    twin = slow(pose_bones(MODEL, slight, REST))
    assert torch.allclose(shown(slight), twin, atol=1e-3)
    assert ((twin > 0.1) & (twin < 0.9)).any()


def test_nothing_shows_in_the_photos_pose_wherever_the_person_stands_and_looks():
    assert shown(STANDING).max() < 1e-6
    turned = replace(
        STANDING, global_orient=torch.tensor([0.3, 1.0, -0.2]), transl=torch.tensor([0.5, -1.0, 2.0])
    )
    assert shown(turned).max() < 1e-5


@pytest.mark.parametrize("degrees", [5, 20, 60])
def test_the_more_an_arm_is_raised_the_more_shows_of_what_it_hid(degrees):
    """The flank hangs on the spine alone, but the arm lay on it."""
    arm, spine = BONE_NAMES.index("left_shoulder"), BONE_NAMES.index("spine2")
    middle = (PHOTO.positions[arm] + PHOTO.positions[JOINT_INDEX["left_elbow"]]) / 2
    about = torch.tensor([[spine, arm, spine, spine], [spine, spine, spine, spine]])
    fading = Fading(middle.expand(2, 3), about, PHOTO)
    turned = STANDING.body_pose.clone()
    turned[arm - 1, 2] += torch.deg2rad(torch.tensor(float(degrees)))
    raised = pose_bones(MODEL, replace(STANDING, body_pose=turned), REST)
    share, still = fading.shown(transforms_of(raised)).tolist()
    assert still < 1e-5 and (share == 1 if degrees >= 20 else 0 < share <= 1)


def test_bones_about_a_place_are_its_own_and_those_of_what_lies_there():
    _, gaussians = person(STANDING)
    arm, spine, hip = (BONE_NAMES.index(name) for name in ("left_shoulder", "spine2", "left_hip"))
    place = gaussians.means[:1]
    own = place + torch.linspace(0, 0.01, 40)[:, None]
    near = torch.where(torch.arange(40) < 20, arm, hip)
    found = bones_about(place, alone(torch.tensor([spine])), own, alone(near))
    assert found.tolist() == [[spine, arm, spine, spine]]
    both = SkinWeights(torch.tensor([[spine, hip, 0, 0]]), torch.tensor([[0.6, 0.4, 0, 0]]))
    assert bones_about(place, both, own, alone(near)).tolist() == [[spine, arm, hip, spine]]
