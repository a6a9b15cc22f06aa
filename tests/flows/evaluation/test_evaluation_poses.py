"""The suite people-poses: its people, the laws of its figures, one tiny person through it."""

from dataclasses import replace

import pytest
import torch
from toy_avatar import MODEL, STANDING, person, pose

from turnaround.flows.evaluation.evaluate import evaluate
from turnaround.flows.evaluation.measures import poses
from turnaround.flows.evaluation.pictures.poses import AZIMUTHS, POSES, PosedPerson
from turnaround.models.avatar.rigging import make_rig
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.types import Body

SIZE = 128


@pytest.fixture(scope="module")
def avatar():
    return make_rig(MODEL, STANDING, *person(STANDING))[0]


@pytest.fixture(scope="module")
def case(avatar, tmp_path_factory):
    """The avatar's own pictures as the truth."""
    bodies = [pose(left_shoulder=(0, 0, -10.0 * k), right_hip=(-8.0 * k, 0, 0)) for k in range(POSES)]
    batch = Body(**{name: torch.stack([getattr(b, name) for b in bodies]) for name in vars(bodies[0])})
    photo = tmp_path_factory.mktemp("photo") / "photo.png"
    photo.write_bytes(b"photo")
    bare = PosedPerson(
        "toy", photo, STANDING, batch, torch.zeros(POSES, SIZE, SIZE, 3), torch.zeros(POSES, SIZE, SIZE), 0
    )
    images, masks = poses.drawn(bare, avatar.posed_gaussians, batch)
    return replace(bare, images=images, masks=masks)


def test_a_perfect_reconstruction_has_nothing_to_learn(avatar, case):
    body = poses.driving(MODEL, avatar, case)
    assert torch.allclose(body.transl, case.bodies.transl, atol=1e-5)
    figures = poses.compared(poses.drawn(case, avatar.posed_gaussians, body), case)
    assert figures["psnr"] > 50 and figures["ssim"] > 0.999 and figures["iou"] > 0.999
    assert figures["sharpness_ratio"] == pytest.approx(1, abs=0.01)


def test_the_pelvis_is_where_the_true_one_is_for_any_shape(avatar, case):
    other = replace(
        avatar, rig=replace(avatar.rig, rest=replace(avatar.rig.rest, betas=torch.full((10,), 0.7)))
    )
    body = poses.driving(MODEL, other, case)
    assert torch.equal(body.betas, torch.full((POSES, 10), 0.7))
    assert torch.allclose(MODEL.joints(body)[:, 0], MODEL.joints(case.bodies)[:, 0], atol=1e-5)


def test_without_a_rig_the_photo_is_right_and_other_poses_are_not(avatar, case):
    photo = avatar.posed_gaussians(STANDING)
    here = poses.moved(MODEL, photo, STANDING, STANDING)
    assert torch.allclose(here.means, photo.means, atol=1e-5)
    rigid = poses.compared(
        poses.drawn(case, lambda body: poses.moved(MODEL, photo, STANDING, body), case.bodies), case
    )
    driven = poses.compared(poses.drawn(case, avatar.posed_gaussians, case.bodies), case)
    assert rigid["iou"] < 0.9 * driven["iou"] and rigid["psnr"] < driven["psnr"] - 5


def test_edges_with_another_limbs_weights_are_counted(avatar, case):
    assert poses.stretched(avatar, case.bodies) < 1e-3
    wrong = avatar.rig.mesh.bones.clone()
    wrong[::2] = wrong.roll(len(wrong) // 3, 0)[::2]
    torn = replace(avatar, rig=replace(avatar.rig, mesh=replace(avatar.rig.mesh, bones=wrong)))
    assert poses.stretched(torn, case.bodies) > 0.1


def test_one_camera_a_pose():
    assert len(AZIMUTHS) == POSES and AZIMUTHS[0] == 0


def test_what_the_suite_does_not_measure_is_refused(tmp_path):
    with pytest.raises(CallError, match="other poses alone"):
        evaluate("people-poses", 1, work=tmp_path, ablations=True)
