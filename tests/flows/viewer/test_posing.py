"""A person as the viewer moves them: poses of the controls, and Gaussians as viser packs them."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy_avatar

from turnaround.flows.viewer.facets import COLORS, face_colors, facets
from turnaround.flows.viewer.posing import CLIPS, PHOTO, Pose, Puppet
from turnaround.flows.viewer.splats import UNIT, SplatBuffer, _halve, splat_arrays
from turnaround.models.avatar.editing.joints import with_joints
from turnaround.models.avatar.editing.reshape import expressive, reshaped
from turnaround.models.body.model import BodyModel
from turnaround.models.motion.soles import standing_height
from turnaround.pipeline.values.types import Gaussians


@pytest.fixture(scope="module")
def puppet() -> Puppet:
    return Puppet(toy_avatar.avatar(4))


def means(buffer: np.ndarray) -> np.ndarray:
    """Centers of a buffer, metres."""
    return np.ascontiguousarray(buffer[:, :3]).view(np.float32) * UNIT


def viser_buffer(gaussians: Gaussians) -> np.ndarray:
    """The buffer that viser itself makes of Gaussians."""
    import viser

    server = viser.ViserServer(port=8971, verbose=False)
    try:
        return server.scene.add_gaussian_splats("/g", **splat_arrays(gaussians)).buffer.copy()
    finally:
        server.stop()


def test_buffers_are_those_of_viser(puppet):
    g = puppet.avatar.gaussians
    generator = torch.Generator().manual_seed(0)
    quats = torch.nn.functional.normalize(torch.randn(len(g), 4, generator=generator), dim=-1)
    scales = 0.03 * torch.rand(len(g), 3, generator=generator)
    g = dataclasses.replace(g, quats=quats, scales=scales)
    mine, theirs = SplatBuffer(g).packed(g.means.numpy(), quats.numpy()), viser_buffer(g)
    np.testing.assert_allclose(means(mine), means(theirs), rtol=1e-6)
    assert (mine[:, 7] == theirs[:, 7]).all() and (mine[:, 3] == 0).all()
    halves = [np.ascontiguousarray(each[:, 4:7]).view(np.float16).astype(float) for each in (mine, theirs)]
    np.testing.assert_allclose(*halves, rtol=2e-3, atol=2e-3)


def test_halves_are_those_of_numpy():
    edges = [
        0.0,
        -0.0,
        1.0,
        1 + 2**-11,
        1 + 3 * 2**-11,
        65504.0,
        65519.0,
        65520.0,
        1e9,
        2**-14,
        2**-24,
        2**-25,
    ]
    some = torch.randn(6000, generator=torch.Generator().manual_seed(1)).numpy() * np.logspace(-9, 6, 6000)
    floats = np.array([*edges, *some], np.float32).reshape(-1, 6)
    out = np.zeros((len(floats), 8), np.uint32)
    _halve(floats.view(np.uint32), out)
    with np.errstate(over="ignore"):
        expected = floats.astype(np.float16)
    np.testing.assert_array_equal(np.ascontiguousarray(out[:, 4:7]).view(np.float16), expected)


def test_the_pose_of_the_photo_and_of_a_clip_are_the_avatars(puppet):
    for pose in (Pose(), Pose("dance", 1.0), Pose("walk_forward", 99.0)):
        motion = puppet.clip(pose.clip)
        frame = min(round(pose.time * motion.fps), len(motion) - 1)
        expected = puppet.avatar.posed_gaussians(motion.body[frame])
        np.testing.assert_allclose(means(puppet.buffer(pose)), expected.means.numpy(), atol=1e-5)


def test_the_mesh_takes_the_same_poses(puppet):
    betas, face = (1.5, *(0.0,) * 9), (0.0, 2.0, *(0.0,) * 8)
    edited = reshaped(
        expressive(puppet.avatar, torch.tensor(face)),
        puppet.avatar.rig.rest.betas + torch.tensor(betas),
    )
    plain, changed = Pose("dance", 1.0), Pose("squat", 1.0, {"neck": (20.0, 0, 0)}, betas, face)
    for pose, avatar in ((plain, puppet.avatar), (changed, edited)):
        expected = avatar.posed_mesh(puppet.body(pose)).vertices.numpy()
        np.testing.assert_allclose(puppet.vertices(pose), expected, atol=2e-3)
    assert np.abs(puppet.vertices(plain) - puppet.vertices(Pose())).max() > 0.1


def test_a_clip_moves_the_face_and_the_photo_is_as_it_is(puppet):
    face = torch.tensor([0.0, 0.0, 4.0, *(0.0,) * 7])
    smiling = replace(puppet.avatar, rig=replace(puppet.avatar.rig, photo=replace(
        puppet.avatar.rig.photo, expression=face)))  # fmt: skip
    other = Puppet(smiling)
    photo = smiling.posed_gaussians(smiling.rig.photo).means.numpy()
    np.testing.assert_allclose(means(other.buffer(Pose())), photo, atol=1e-5)
    clip = other.clip("t_pose")
    other._clips["t_pose"] = replace(clip, body=replace(clip.body, expression=face[None]))
    expected = means(puppet.buffer(Pose("t_pose", expression=tuple(face.tolist()))))
    moved = np.abs(means(other.buffer(Pose("t_pose"))) - expected).max()
    assert moved < 2e-3 < np.abs(expected - means(puppet.buffer(Pose("t_pose")))).max(), (
        "joints move a little"
    )


def test_facets_are_all_of_the_mesh_in_its_colours(puppet):
    mesh = puppet.mesh
    parts = facets(mesh)
    assert sum(len(part.faces) for part in parts) == len(mesh.faces) and 1 < len(parts) <= COLORS
    vertices = mesh.vertices.numpy()
    corners = np.concatenate([part.of(vertices)[part.faces] for part in parts])
    order = [np.lexsort(each.reshape(-1, 9).T) for each in (corners, vertices[mesh.faces.numpy()])]
    np.testing.assert_array_equal(corners[order[0]], vertices[mesh.faces.numpy()][order[1]])
    expected = face_colors(mesh)
    off = [np.full((len(part.faces), 3), part.color) / 255 for part in parts]
    assert np.abs(np.concatenate(off).mean(0) - expected.mean(0)).max() < 0.01, "none is lost"
    assert np.median(np.abs(np.sort(np.concatenate(off), 0) - np.sort(expected, 0))) < 0.03


def test_what_was_added_fades_in_as_the_avatars():
    avatar = toy_avatar.avatar(4)
    bones = torch.tensor([0, 1, 16, 18])  # pelvis, a hip, a shoulder, an elbow
    avatar = replace(avatar, rig=replace(avatar.rig, about=bones.expand(40, 4)))
    puppet = Puppet(avatar)
    for pose in (Pose(), Pose("dance", 1.0)):
        expected = avatar.posed_gaussians(puppet.clip(pose.clip).body[round(30 * pose.time)]).opacities
        found = puppet.buffer(pose)[:, 7].copy().view(np.uint8)[3::4]
        np.testing.assert_allclose(found / 255, expected.numpy(), atol=2 / 255)
        assert (found[-40:] == 0).all() == (pose.clip == PHOTO)


@pytest.mark.parametrize("clip", [clip for clip in CLIPS if clip != PHOTO])
def test_clips_stand_where_the_person_stood(puppet, clip):
    lowest = means(puppet.buffer(Pose(clip)))[:, 1].max()
    own = puppet.avatar.rig.rest
    assert lowest == pytest.approx(standing_height(BodyModel.shared(), own.betas), abs=0.04)
    assert np.abs(means(puppet.buffer(Pose(clip))).mean(0)[[0, 2]]).max() < 0.3, "about the middle"


def test_a_turned_joint_is_that_of_the_pose_command(puppet):
    body = puppet.body(Pose("t_pose", turns={"left_elbow": (0.0, -60.0, 0.0), "neck": (20.0, 0.0, 0.0)}))
    expected = with_joints(puppet.clip("t_pose").body[0], {"left_elbow": 60.0, "neck": 20.0})
    assert (body.body_pose - expected.body_pose).abs().max() < 1e-5
    still, moved = (
        means(puppet.buffer(Pose("t_pose", turns=turns))) for turns in ({}, {"left_elbow": (0.0, -60.0, 0.0)})
    )
    moving = np.linalg.norm(moved - still, axis=1) > 0.02
    assert moving.any() and still[moving][:, 0].min() > 0.2, "the left forearm, at the picture's right"


def test_betas_and_expression_move_the_person_as_editing_does(puppet):
    betas, face = (1.5, *(0.0,) * 9), (0.0, 2.0, *(0.0,) * 8)
    avatar = puppet.avatar
    edited = reshaped(expressive(avatar, torch.tensor(face)), avatar.rig.rest.betas + torch.tensor(betas))
    pose = Pose("squat", 1.0, betas=betas, expression=face)
    expected = edited.posed_gaussians(puppet.body(pose))
    np.testing.assert_allclose(means(puppet.buffer(pose)), expected.means.numpy(), atol=2e-3)
    taller = means(puppet.buffer(Pose("t_pose", betas=betas)))
    own = means(puppet.buffer(Pose("t_pose")))
    assert taller[:, 1].max() == pytest.approx(own[:, 1].max(), abs=0.03), "the soles stay on the ground"
    assert abs(np.ptp(taller[:, 1]) - np.ptp(own[:, 1])) > 0.02
