"""Skin that no picture shows: one tone, darker in folds; sleeves go up to the hand."""

from dataclasses import replace

import numpy as np
import torch
import toy_avatar
from scipy.spatial import ConvexHull
from toy_avatar import MODEL, STANDING

from turnaround.models.avatar.binding.hands import CUFFS, HANDS, THICKER, body_cuffs
from turnaround.models.avatar.binding.surface import bind
from turnaround.models.avatar.binding.transfer import body_skin
from turnaround.models.avatar.binding.underlay import texture_at
from turnaround.models.avatar.bones import pose_bones, rest_bones
from turnaround.models.avatar.filling.skin import openness, shade, with_skin

TONE = np.array([0.8, 0.6, 0.5])


def hand() -> np.ndarray:
    skin = body_skin(MODEL, STANDING)
    faces = MODEL.skin_faces.unique(return_inverse=True)[1]
    own = np.isin(skin.weights.argmax(1), HANDS["left"])[faces.numpy()].all(1)
    return skin.rest[faces.numpy()[own]].astype(np.float32)


def test_a_ball_lies_open_and_hands_between_their_fingers_do_not():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    hull = ConvexHull(points).simplices
    outward = np.einsum("fc,fc->f", np.cross(*(points[hull[:, k]] - points[hull[:, 0]] for k in (1, 2))),
                        points[hull].mean(1)) > 0  # fmt: skip
    hull[~outward] = hull[~outward][:, ::-1]
    assert openness((0.01 * points[hull]).reshape(-1, 3).astype(np.float32)).min() > 0.99
    light = openness(hand().reshape(-1, 3))
    assert 0 <= light.min() < 0.4 and np.median(light) > 0.7


def test_the_same_corner_has_the_same_light_on_every_triangle():
    corners = hand().reshape(-1, 3)
    light = openness(corners)
    _, first, same = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    assert np.array_equal(light, light[first][same.reshape(-1)])


def test_less_light_is_darker_and_redder():
    shades = shade(TONE, np.linspace(0, 1, 9))
    assert (np.diff(shades, axis=0) > 0).all() and np.allclose(shades[-1], TONE)
    assert shades[0, 0] / shades[0, 2] > TONE[0] / TONE[2]


def test_hands_get_the_shades_of_their_tone_from_the_texture():
    whole = toy_avatar.avatar().mesh
    corners = torch.from_numpy(hand())
    count, first = len(corners), len(whole.faces)
    grey = torch.full((3 * count, 3), 0.1)
    mesh = replace(
        whole,
        vertices=torch.cat([whole.vertices, corners.reshape(-1, 3)]),
        faces=torch.cat([whole.faces, len(whole.vertices) + torch.arange(3 * count).reshape(-1, 3)]),
        colors=torch.cat([whole.colors, grey]),
        uv=torch.cat([whole.uv / 4, torch.full((3 * count, 2), 0.5)]),
        texture=torch.ones(256, 256, 3),
    )
    made = with_skin(mesh, first, TONE)
    faces = np.arange(first, len(mesh.faces))
    for corner in range(3):
        bary = np.eye(3)[np.full(count, corner)]
        found = texture_at(made, faces, bary)
        vertices = made.faces[first:, corner]
        assert np.abs(found - made.colors[vertices].numpy()).max() < 0.02
        assert (found <= TONE + 1e-6).all()
    assert torch.equal(made.uv[: len(whole.vertices)], mesh.uv[: len(whole.vertices)])
    full = replace(mesh, texture=torch.ones(8, 8, 3))
    assert with_skin(full, first, TONE) is full  # no room: as it was


def test_cuffs_join_the_forearm_to_its_hand_a_little_thicker():
    skin = body_skin(MODEL, STANDING)
    mesh, _ = toy_avatar.person(STANDING)
    bound = bind(skin, pose_bones(MODEL, STANDING, rest_bones(MODEL, STANDING)), mesh, 0.01)
    caps = body_cuffs(MODEL, skin, ["left"], bound)
    strongest = skin.weights.argmax(1)
    own = np.isin(strongest, np.r_[CUFFS["left"], HANDS["left"]])
    gap = np.linalg.norm(caps.vertices.reshape(-1, 1, 3)[::7] - skin.rest[own][None], axis=-1).min(1)
    assert gap.max() <= THICKER + 1e-6 and np.median(gap) > THICKER / 2
    hands = np.isin(caps.weights.reshape(-1, caps.weights.shape[-1]).argmax(1), HANDS["left"])
    assert 0 < hands.mean() < 0.2
    of_mesh = np.isin(bound.skin.bones[bound.of[caps.like], 0].numpy(), CUFFS["left"])
    assert of_mesh.all()
    bare = bound._replace(kept=np.zeros_like(bound.kept))
    assert len(body_cuffs(MODEL, skin, ["left"], bare).like) == 0
