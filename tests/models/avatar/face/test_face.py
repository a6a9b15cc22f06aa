"""The face of a person: found on the mesh, brought to the body's, followed, and made of smaller triangles."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch
import toy_avatar

from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.displacement import body_directions
from turnaround.models.avatar.face.blinking import blinking
from turnaround.models.avatar.face.finer import SHORT, edges_of, halved, with_fine_face
from turnaround.models.avatar.face.following import body_landmarks, face_directions, with_face
from turnaround.models.avatar.face.presets import PRESETS
from turnaround.models.avatar.face.warp import Warp, trusted
from turnaround.models.avatar.interchange.expression import face_morphs, presets_of
from turnaround.models.motion.builtin import builtin
from turnaround.pipeline.values.camera import canonical_camera, project

CAMERA = canonical_camera(2048)
EYES = slice(19, 31)  # landmarks


def record(avatar: Avatar) -> dict:
    """The landmarks of a photo of the toy."""
    body = avatar.rig.photo
    corners, shares = avatar.model.face_landmarks
    points = (avatar.model(body).vertices[corners] * shares[..., None]).sum(1)
    pixels, _ = project(points, CAMERA)
    rows = [[0.0, 0.0, 0.0]] * 17 + [[*row, 0.0] for row in pixels.reshape(-1, 2).tolist()]
    return {"face": {"points": rows, "flag": 1.0}}


@cache
def faced() -> Avatar:
    avatar = toy_avatar.avatar()
    return with_face(avatar, record(avatar), CAMERA)


def landmarks(avatar: Avatar) -> np.ndarray:
    return body_landmarks(avatar.model, avatar.rig.rest).double().numpy()


def test_landmarks_of_the_photo_are_found_on_the_mesh():
    avatar = faced()
    assert avatar.face is not None and len(avatar.face.numbers) == 51
    off = np.linalg.norm(avatar.face.on(avatar.mesh.vertices) - landmarks(avatar), axis=1)
    assert np.median(off) < 1e-3 and np.quantile(off, 0.85) < 3e-3, "a pixel is a millimetre"
    assert trusted(avatar.face.on(avatar.mesh.vertices), landmarks(avatar))[off < 3e-3].all()
    assert not trusted(avatar.face.on(avatar.mesh.vertices), landmarks(avatar))[off > 0.05].any(), (
        "between the lips one sees the back of the head"
    )


def test_a_face_that_is_not_seen_is_none():
    avatar = toy_avatar.avatar()
    assert with_face(avatar, {"source": "none"}, CAMERA).face is None
    assert with_face(avatar, {"face": None}, CAMERA).face is None
    beside = record(avatar)
    beside["face"]["points"] = [[x + 3000.0, y, z] for x, y, z in beside["face"]["points"]]
    assert with_face(avatar, beside, CAMERA).face is None


def test_landmarks_that_lie_as_in_no_face_are_left_aside():
    avatar = toy_avatar.avatar()
    strewn = record(avatar)
    points = np.array(strewn["face"]["points"])
    points[17:] = points[17:][np.random.default_rng(0).permutation(51)]
    strewn["face"]["points"] = points.tolist()
    assert with_face(avatar, strewn, CAMERA).face is None and faced().face is not None


def test_a_warp_of_equal_faces_changes_nothing_and_a_shifted_one_shifts():
    points = landmarks(faced())
    still, shift = Warp(points, points), np.array([0.01, -0.02, 0.03])
    np.testing.assert_allclose(still.to_body(points), points, atol=1e-9)
    np.testing.assert_allclose(still.back(points), np.tile(np.eye(3), (51, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(Warp(points - shift, points).to_body(points - shift), points, atol=1e-6)


def test_a_movement_comes_back_in_the_size_of_the_person():
    body = landmarks(faced())
    person = body * [0.8, 1.1, 1.0]
    warp = Warp(person, body)
    assert np.abs(warp.to_body(person) - body).max() < 1e-3, "but for the spline's stiffness"
    back = warp.back(person[EYES])
    np.testing.assert_allclose(back, np.tile(np.diag([0.8, 1.1, 1.0]), (12, 1, 1)), atol=0.02)
    large = Warp(body * [3.0, 3.0, 1.0], body).back(body[EYES] * [3.0, 3.0, 1.0])
    np.testing.assert_allclose(np.linalg.svd(large)[1][:, 0], 1.2, atol=1e-3)


def test_a_landmark_on_a_hand_is_left_out():
    body = landmarks(faced())
    person = body + np.random.default_rng(0).normal(0, 1e-3, body.shape)
    person[7] += [0.0, 0.0, -0.1]
    good = trusted(person, body)
    assert not good[7] and good.sum() >= 45


def test_a_face_elsewhere_moves_as_one_in_its_place():
    """The law of the warp: directions go with the landmarks, not with where the body's head is."""
    avatar, shift = faced(), torch.tensor([0.004, 0.006, 0.0])
    moved = dataclasses.replace(
        avatar, mesh=dataclasses.replace(avatar.mesh, vertices=avatar.mesh.vertices + shift)
    )
    directions = body_directions(avatar.model).expression
    assert avatar.face is not None
    points = torch.from_numpy(avatar.face.on(avatar.mesh.vertices)).float()
    own = face_directions(avatar, points, directions)
    there = face_directions(moved, points + shift, directions)
    assert (own - there).abs().max() < 2e-4 and own.abs().max() > 5e-3
    assert not face_directions(avatar, points - torch.tensor([0.0, -1.0, 0.0]), directions).any()


@pytest.mark.parametrize("away", [0.0, 0.006])
def test_a_blink_closes_the_eyes(away):
    """Also of a person whose eyes are not where the body's are; the other eye stays open in a wink."""
    avatar = faced()
    lower = avatar.mesh.vertices + torch.tensor([0.0, away, 0.0])
    avatar = with_fine_face(
        dataclasses.replace(avatar, mesh=dataclasses.replace(avatar.mesh, vertices=lower))
    )
    morphs = {morph.name: morph for morph in face_morphs(avatar, presets=True)}
    assert avatar.face is not None

    def openings(name: str | None) -> list[float]:
        vertices = avatar.mesh.vertices.clone()
        if name:
            vertices[morphs[name].indices] += torch.from_numpy(morphs[name].deltas)
        y = avatar.face.on(vertices)[:, 1]  # type: ignore[union-attr]
        return [float(y[e + 4] + y[e + 5] - y[e + 1] - y[e + 2]) / 2 for e in (19, 25)]

    right, left = openings(None)
    assert right > 0.006 and left > 0.006
    assert max(openings("blink")) < 0.3 * right
    assert openings("blinkLeft")[1] < 0.4 * left and openings("blinkLeft")[0] > 0.75 * right
    assert openings("blinkRight")[0] < 0.4 * right and openings("blinkRight")[1] > 0.75 * left


def test_presets_are_those_of_the_free_body():
    avatar = toy_avatar.avatar()
    morphs = face_morphs(avatar, presets=True)
    assert presets_of(morphs) == {"aa": "jawOpen"} | {name: name for name in PRESETS if name != "aa"}
    assert presets_of(face_morphs(avatar)) == {"aa": "jawOpen"}
    assert all(len(preset.expression) == 10 for preset in PRESETS.values())


def test_who_stands_blinks_and_begins_and_ends_with_open_eyes():
    clip = builtin("idle", seconds=8.0, fps=50.0)
    shown = blinking(clip, faced())
    shut = shown.body.expression[:, 2] / PRESETS["blink"].expression[2]
    assert shown.loops and shut[0] == shut[-1] == 0 and shut.max() > 0.99 and shut.min() >= 0
    starts = ((shut[:-1] < 0.5) & (shut[1:] >= 0.5)).sum()
    assert starts == 3 and 0.02 < float((shut > 0.5).float().mean()) < 0.1
    assert blinking(clip, toy_avatar.avatar()) is clip, "a face that is not known stays still"
    assert blinking(shown, faced()) is shown, "one that moves already is left alone"


def area(avatar: Avatar) -> float:
    a, b, c = avatar.mesh.vertices[avatar.mesh.faces].double().unbind(1)
    return float(torch.linalg.cross(b - a, c - a).norm(dim=-1).sum() / 2)


def rims(avatar: Avatar) -> float:
    """Metres of edges of one face alone: about the eyes, in the mouth."""
    edges, own = edges_of(avatar.mesh.faces.numpy())
    ends = avatar.mesh.vertices.numpy()[edges[np.bincount(own.ravel()) == 1]]
    return float(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).sum())


def test_a_finer_face_is_the_same_surface():
    avatar = faced()
    fine = with_fine_face(avatar)
    count = len(avatar.mesh.vertices)
    assert len(fine.mesh.vertices) > count + 200
    for name in ("vertices", "colors", "uv"):
        assert torch.equal(getattr(fine.mesh, name)[:count], getattr(avatar.mesh, name))
    assert area(fine) == pytest.approx(area(avatar), rel=1e-3)
    assert rims(fine) == pytest.approx(rims(avatar), rel=0.02), "no gaps"
    assert torch.allclose(fine.rig.mesh.weights.sum(1), torch.ones(len(fine.rig.mesh)), atol=1e-5)
    assert fine.face is not None
    eyes = fine.face.on(fine.mesh.vertices)[EYES]
    edges, _ = edges_of(fine.mesh.faces.numpy())
    ends = fine.mesh.vertices.numpy()[edges]
    near = np.linalg.norm(ends.mean(1)[:, None] - eyes, axis=-1).min(1) < 0.006
    assert np.linalg.norm(ends[near, 0] - ends[near, 1], axis=1).max() <= SHORT
    assert with_fine_face(toy_avatar.avatar()) is toy_avatar.avatar(), "no face, no change"


def test_faces_are_cut_without_gaps_or_overlaps():
    """Whatever edges are cut: the same area, and an edge within still has two faces."""
    rng = np.random.default_rng(1)
    side = 6
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2).astype(float)
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + side], 1),
            np.stack([corner + 1, corner + side + 1, corner + side], 1),
        ]
    )
    edges, own = edges_of(faces)
    for share in (0.2, 0.5, 0.9):
        cut = rng.random(len(edges)) < share
        number = np.full(len(edges), -1)
        number[cut] = len(place) + np.arange(cut.sum())
        points = np.concatenate([place, place[edges[cut]].mean(1)])
        made = halved(faces, number[own])
        a, b, c = points[made].transpose(1, 0, 2)
        areas = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
        assert (areas > 0).all() and areas.sum() == pytest.approx((side - 1) ** 2)
        once, of_faces = edges_of(made)
        lonely = once[np.bincount(of_faces.ravel()) == 1]
        on_rim = ((points[lonely] == 0).all(1) | (points[lonely] == side - 1).all(1)).any(1)
        assert on_rim.all()
