"""A body in its own skin as the person: the rest pose, the way back, what touches, hidden hands."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_avatar import MODEL, STANDING, person, pose

from turnaround.models.avatar.binding.hands import HANDS
from turnaround.models.avatar.binding.surface import bind
from turnaround.models.avatar.binding.transfer import body_skin
from turnaround.models.avatar.bones import BONE_NAMES, pose_bones, rest_bones
from turnaround.models.avatar.rigging import make_rig
from turnaround.pipeline.values.types import TexturedMesh


@pytest.fixture(scope="module")
def made():
    mesh, gaussians = person(STANDING)
    return *make_rig(MODEL, STANDING, mesh, gaussians), mesh, gaussians


def test_the_rest_pose_is_the_bodys(made):
    avatar, report, mesh, _ = made
    skin = body_skin(MODEL, STANDING)
    error = (avatar.mesh.vertices[: len(mesh.vertices)] - torch.from_numpy(skin.rest).float()).norm(dim=-1)
    assert error.quantile(0.98) < 0.01 and report["hidden_hands"] == []


def test_the_photographed_pose_is_the_photo(made):
    avatar, _, mesh, gaussians = made
    count = len(gaussians)
    back = avatar.posed_gaussians(STANDING)
    assert (back.means[:count] - gaussians.means).norm(dim=-1).quantile(0.99) < 1e-4
    turned = (back.quats[:count] * gaussians.quats).sum(-1).abs()
    assert turned.min() > 0.9999
    assert torch.equal(back.opacities[:count], gaussians.opacities)
    assert len(back) > count and (back.opacities[count:] < 1e-4).all()  # not what was added
    assert (avatar.posed_mesh(STANDING).vertices[: len(mesh.vertices)] - mesh.vertices).norm(dim=-1).quantile(
        0.99
    ) < 1e-4


def test_other_poses_are_the_bodys(made):
    avatar, _, mesh, gaussians = made
    other = replace(
        pose(left_shoulder=(0, 0, 40), right_elbow=(0, 70, 0), left_hip=(-60, 0, 15), left_knee=(80, 0, 0)),
        betas=STANDING.betas,
    )
    true = body_skin(MODEL, other).points
    assert (avatar.posed_gaussians(other).opacities[len(gaussians) :] > 0.9).any()
    error = avatar.posed_mesh(other).vertices[: len(mesh.vertices)].double().numpy() - true
    assert np.quantile(np.linalg.norm(error, axis=1), 0.95) < 0.02


def test_weights_are_shares_of_bones(made):
    avatar, *_ = made
    for skin, count in (
        (avatar.rig.mesh, len(avatar.mesh.vertices)),
        (avatar.rig.gaussians, len(avatar.gaussians)),
    ):
        assert len(skin) == count
        assert (
            torch.allclose(skin.weights.sum(-1), torch.ones(count), atol=1e-5) and (skin.weights >= 0).all()
        )
        assert (skin.weights.diff(dim=-1) <= 1e-6).all() and (skin.bones[skin.weights == 0] == 0).all()
        assert skin.bones.max() < len(BONE_NAMES)


def test_no_limb_has_another_ones_weights(made):
    """Edges drawn out by a pose: at most one in a thousand by more than 2.5."""
    avatar, *_ = made
    for body in (
        pose(left_shoulder=(0, 0, -70), right_shoulder=(0, 0, 70)),
        pose(left_hip=(-80, 0, 0), left_knee=(90, 0, 0)),
    ):
        moved = avatar.posed_mesh(body).vertices[avatar.mesh.faces]
        still = avatar.mesh.vertices[avatar.mesh.faces]
        ratio = (moved - moved.roll(1, 1)).norm(dim=-1) / (still - still.roll(1, 1)).norm(dim=-1).clamp(
            min=1e-4
        )
        assert (ratio > 2.5).float().mean() < 1e-3


def grown_together() -> tuple[TexturedMesh, int]:
    """The body with its left hand joined to the thigh by a tube of faces, and how many of them."""
    body = pose(left_shoulder=(0, 0, -80), right_shoulder=(0, 0, 60))
    mesh, _ = person(body)
    skin = body_skin(MODEL, body)
    strongest = skin.weights.argmax(1)
    hand = np.flatnonzero(np.isin(strongest, HANDS["left"]))
    thigh = np.flatnonzero(strongest == BONE_NAMES.index("left_hip"))
    gaps = np.linalg.norm(skin.points[hand][:, None] - skin.points[thigh][None], axis=-1)
    a, b = hand[gaps.min(1).argmin()], thigh[gaps.min(0).argmin()]
    faces = mesh.faces.numpy()
    one, two = (faces[(faces == v).any(1)][0] for v in (a, b))
    kept = faces[~((faces == one).all(1) | (faces == two).all(1))]
    tube = []
    for k in range(3):  # between the rims of the two faces that were taken out
        p, q, r, s = one[k], one[(k + 1) % 3], two[-k % 3], two[(-k - 1) % 3]
        tube += [[p, q, r], [q, s, r]]
    return replace(mesh, faces=torch.from_numpy(np.concatenate([kept, tube]))), len(tube)


def test_what_only_touches_is_cut_apart_and_closed():
    body = pose(left_shoulder=(0, 0, -80), right_shoulder=(0, 0, 60))
    mesh, tube = grown_together()
    bound = bind(body_skin(MODEL, body), pose_bones(MODEL, body, rest_bones(MODEL, body)), mesh, 0.01)
    assert not bound.kept[-tube:].any() and bound.kept[:-tube].mean() > 0.995
    avatar, report = make_rig(MODEL, body, mesh, person(body)[1])
    assert report["holes"] >= 2
    assert len(avatar.mesh.faces) > bound.kept.sum()


def test_a_hidden_hand_is_the_bodys():
    mesh, gaussians = person(STANDING)
    strongest = body_skin(MODEL, STANDING).weights.argmax(1)
    hand = torch.from_numpy(np.isin(strongest, HANDS["right"]))
    bare = replace(mesh, faces=mesh.faces[~hand[mesh.faces].any(1)])
    avatar, report = make_rig(MODEL, STANDING, bare, gaussians)
    assert report["hidden_hands"] == ["right"]
    own = torch.isin(avatar.rig.mesh.bones[:, 0], torch.from_numpy(HANDS["right"]))
    made = avatar.mesh.vertices[own]
    true = torch.from_numpy(body_skin(MODEL, STANDING).rest)[hand].float()
    assert torch.cdist(true, made).min(1).values.max() < 0.02
