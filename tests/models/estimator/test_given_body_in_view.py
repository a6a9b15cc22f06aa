"""Given bodies against what the view shows: mended where written otherwise, refused where of others."""

import dataclasses
import io
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.estimator.config import GivenConfig
from turnaround.models.estimator.given.agreement import outline_overlap, shown
from turnaround.models.estimator.given.conventions import in_radians, mirrored, turned
from turnaround.models.estimator.given.hands import relative_to_mean, with_mean_hands
from turnaround.models.estimator.given.reader import Mismatch, given_body
from turnaround.models.estimator.person import NoBody, body_of_file
from turnaround.models.landmarks.names import LIMBS, POSE_INDEX
from turnaround.models.mesh.silhouette import body_masks
from turnaround.pipeline.values.camera import canonical_camera, project
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body, Camera, View

SIZE = 128
PI = np.pi
NONE = {"source": "none", "reason": "no landmark networks"}


def somebody(seed: int) -> Body:
    """A person who faces the camera, arms and legs in a pose that no mirror image equals."""
    g = torch.Generator().manual_seed(seed)
    pose = 0.1 * torch.randn(21, 3, generator=g)
    for joint in (15, 16, 17, 18):  # shoulders and elbows
        pose[joint] += 0.9 * torch.randn(3, generator=g)
    pose[0, 0], pose[1, 0], pose[3, 0] = -0.9, 0.1, 0.8  # one knee raised
    orient = torch.tensor([PI, 0.0, 0.0]) + 0.1 * torch.randn(3, generator=g)
    transl = torch.tensor([0.03, 0.25, 0.1])
    neutral = Body.neutral()
    return dataclasses.replace(neutral, global_orient=orient, body_pose=pose, transl=transl)


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.shared()


def view_of(model: BodyModel, body: Body) -> View:
    camera = canonical_camera(SIZE)
    one = Camera(camera.K[None], camera.T_camera_world[None], SIZE, SIZE)
    mask = body_masks(model(body).vertices, model.skin_faces.numpy().astype(np.int32), one)[0]
    return View(torch.ones(SIZE, SIZE, 3), mask, camera)


def landmarks_of(model: BodyModel, body: Body) -> dict:
    """What exact landmark networks would say of the limbs; everything else lies at the nose."""
    joints = model.joints(body)
    pixels, _ = project(joints, canonical_camera(SIZE))
    pose, world = np.ones((33, 5)), np.zeros((33, 3))
    for name in LIMBS:
        pose[POSE_INDEX[name], :2] = pixels[JOINT_INDEX[name]]
        world[POSE_INDEX[name]] = joints[JOINT_INDEX[name]]
    return {"source": "blazepose", "pose": pose.tolist(), "world": world.tolist()}


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def plain(body: Body, **other) -> bytes:
    """Numbers of a body; `other` in the place of some."""
    names = ("betas", "global_orient", "body_pose", "transl")
    values = {name: getattr(body, name).numpy() for name in names}
    values["transl"] = values["transl"] + np.array([0, 0, 2], np.float32)
    return npz(**values | other)


def matrices(body: Body) -> tuple[np.ndarray, np.ndarray]:
    return tuple(axis_angle_to_matrix(v).numpy() for v in (body.global_orient[None], body.body_pose))


def in_degrees(body: Body) -> bytes:
    return plain(
        body,
        global_orient=np.rad2deg(body.global_orient.numpy()),
        body_pose=np.rad2deg(body.body_pose.numpy()),
    )


def six(body: Body, write) -> bytes:
    root, pose = (write(m) for m in matrices(body))
    return plain(body, global_orient=root, body_pose=pose)


def columns(m):
    return np.concatenate([m[..., 0], m[..., 1]], -1)


def rows(m):
    return np.concatenate([m[..., 0, :], m[..., 1, :]], -1)


def pairs(m):
    return m[..., :2].reshape(-1, 6)


def transposed(m):
    return m.swapaxes(-1, -2)


def about(body: Body, *turn: float) -> bytes:
    return plain(turned(body, torch.tensor(turn, dtype=torch.float32)))


def same_pose(found: Body, true: Body) -> bool:
    pairs = ((found.global_orient, true.global_orient), (found.body_pose, true.body_pose))
    return all(torch.allclose(axis_angle_to_matrix(a), axis_angle_to_matrix(b), atol=1e-3) for a, b in pairs)


WRITTEN = {
    "as it is": (plain, ""),
    "columns": (lambda b: six(b, columns), ""),
    "degrees": (in_degrees, "degrees"),
    "rows": (lambda b: six(b, rows), "rows"),
    "pairs": (lambda b: six(b, pairs), "pairs"),
    "transposed matrices": (lambda b: six(b, transposed), "rows"),
    "y up": (lambda b: about(b, PI, 0, 0), "y up"),
    "z up": (lambda b: about(b, PI / 2, 0, 0), "z up"),
    "z down": (lambda b: about(b, -PI / 2, 0, 0), "z up"),
    "from behind": (lambda b: about(b, 0, PI, 0), "away"),
    "upside down": (lambda b: about(b, 0, 0, PI), "180 degrees"),
    "sideways": (lambda b: about(b, 0, 0, PI / 2), "90 degrees"),
    "degrees, z up": (lambda b: in_degrees(turned(b, torch.tensor([PI / 2, 0, 0]))), "degrees, .*z up"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_certain_is_mended(name, model, caplog):
    write, said = WRITTEN[name]
    for seed in (1, 2):
        caplog.clear()
        body = somebody(seed)
        view = view_of(model, body)
        found = given_body(write(body), model, view, landmarks_of(model, body), GivenConfig())
        assert same_pose(found, body), name
        assert outline_overlap(model, found, view) > 0.7
        pixels, _ = project(model(found).vertices, view.camera)
        true, _ = project(model(body).vertices, view.camera)
        # a position that covers the mask is kept, and that of `about` is the origin
        assert (pixels - true).norm(dim=-1).mean() < (14 if name == "y up" else 4)
        told = " ".join(record.getMessage() for record in caplog.records)
        assert bool(told) == bool(said)
        assert re.search(said, told)


@pytest.mark.parametrize("name", ["as it is", "degrees", "rows", "z up", "sideways"])
def test_without_landmarks_the_outline_tells(name, model):
    body = somebody(1)
    found = given_body(WRITTEN[name][0](body), model, view_of(model, body), NONE, GivenConfig())
    assert same_pose(found, body)


def test_what_contradicts_is_refused_with_figure_and_remedy(model):
    body, other = somebody(1), somebody(5)
    view, seen = view_of(model, body), landmarks_of(model, body)
    with pytest.raises(Mismatch, match=r"\d+ % of their spread .*estimate.given.trust=true"):
        given_body(plain(other), model, view, seen, GivenConfig())
    found = given_body(plain(other), model, view, seen, GivenConfig(trust=True))
    assert same_pose(found, other)
    with pytest.raises(Mismatch, match="mirror image fits"):
        given_body(plain(mirrored(body)), model, view, seen, GivenConfig())
    both = {
        k: np.stack([getattr(b, k).numpy() for b in (other, body)]) for k in ("global_orient", "body_pose")
    }
    with pytest.raises(Mismatch, match=r"person 1 of the file fits: --set stages\.estimate\.given\.person=1"):
        given_body(npz(**both), model, view, seen, GivenConfig())
    assert same_pose(given_body(npz(**both), model, view, seen, GivenConfig(person=1)), body)


def test_a_body_of_nowhere_is_refused_by_the_outline(model):
    body = somebody(1)
    view = view_of(model, body)
    view.mask[:] = 0
    view.mask[60:64, 5:120] = 1
    with pytest.raises(Mismatch, match=r"overlaps the mask by \d+ %"):
        given_body(plain(body), model, view, NONE, GivenConfig())


def test_axes_that_the_settings_name_are_kept(model):
    body = somebody(1)
    view, seen = view_of(model, body), landmarks_of(model, body)
    data = about(body, PI, 0, 0)
    assert same_pose(given_body(data, model, view, seen, GivenConfig(axes="opengl")), body)
    with pytest.raises(Mismatch):
        given_body(data, model, view, seen, GivenConfig(axes="opencv"))
    rows_up = six(turned(body, torch.tensor([PI, 0.0, 0.0])), rows)
    assert same_pose(given_body(rows_up, model, view, seen, GivenConfig(axes="opengl")), body)


def test_a_body_of_somebody_else_is_told_with_the_setting(model):
    body, other = somebody(1), somebody(5)
    view, seen = view_of(model, body), landmarks_of(model, body)
    with pytest.raises(NoBody, match="trust=true"):
        body_of_file(plain(other), model, view, seen, GivenConfig())
    assert same_pose(body_of_file(plain(other), model, view, seen, GivenConfig(trust=True)), other)


def test_few_landmarks_say_nothing(model):
    body = somebody(1)
    record = landmarks_of(model, body)
    for row in record["pose"]:
        row[3] = 0.2
    assert shown(view_of(model, body), record).points is None


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.floats(0.3, 3), st.floats(-40, 40), st.floats(-40, 40))
def test_place_and_size_are_no_distance(seed, scale, x, y):
    model = BodyModel.shared()
    body = somebody(seed % 7)
    record = landmarks_of(model, body)
    for row in record["pose"]:
        row[0], row[1] = row[0] * scale + x, row[1] * scale + y
    found = shown(View(torch.ones(8, 8, 3), torch.ones(8, 8), canonical_camera(8)), record).distance(
        model, body
    )
    assert found.apart < 0.06 and found.turned < 0.1 and found.fits and not found.contradicts


def test_joints_are_those_of_the_surface_model(model):
    body = somebody(3)
    torch.testing.assert_close(model.joints(body), model(body).joints)
    torch.testing.assert_close(mirrored(mirrored(body)).body_pose, body.body_pose)
    degrees = dataclasses.replace(body, body_pose=torch.rad2deg(body.body_pose))
    torch.testing.assert_close(in_radians(degrees).body_pose, body.body_pose)


# ------------------------------------------------------------------------------------------ mean hands


def smplerx(body: Body, **other) -> bytes:
    """As SMPLer-X writes it."""
    shapes = {"global_orient": (1, 3), "body_pose": (21, 3), "left_hand_pose": (15, 3), "betas": (1, 10)}
    shapes |= {"right_hand_pose": (15, 3), "jaw_pose": (1, 3), "expression": (1, 10)}
    values = {name: getattr(body, name).numpy().reshape(shape) for name, shape in shapes.items()}
    transl = body.transl.numpy().reshape(1, 3) + np.array([[0, 0, 2]], np.float32)
    eyes = np.zeros((1, 3))
    return npz(**values | {"transl": transl, "leye_pose": eyes, "reye_pose": eyes} | other)


def with_gaze(body: Body) -> bytes:
    return smplerx(body, leye_pose=np.ones((1, 3)))


def osx(body: Body) -> bytes:
    names = {"root_pose": "global_orient", "body_pose": "body_pose", "lhand_pose": "left_hand_pose"}
    names |= {"rhand_pose": "right_hand_pose", "jaw_pose": "jaw_pose", "shape": "betas", "expr": "expression"}
    return json.dumps({name: getattr(body, ours).tolist() for name, ours in names.items()}).encode()


def raw(body: Body) -> bytes:
    names = {"smplx_root_pose": "global_orient", "smplx_body_pose": "body_pose"}
    names |= {"smplx_lhand_pose": "left_hand_pose", "smplx_rhand_pose": "right_hand_pose"}
    return npz(**{name: getattr(body, ours).numpy().reshape(1, -1) for name, ours in names.items()})


def own(body: Body) -> bytes:
    return npz(**{field.name: getattr(body, field.name).numpy() for field in dataclasses.fields(Body)})


@pytest.mark.parametrize(
    ("write", "mean"),
    [
        (smplerx, True),
        (osx, True),
        (raw, True),
        (own, False),
        (lambda b: smplerx(b, leye_pose=np.ones((1, 3))), False),
    ],
)
def test_hands_of_smplerx_and_kin_are_relative_to_the_mean_hand(write, mean, model):
    body = dataclasses.replace(somebody(1), left_hand_pose=0.1 * torch.ones(15, 3))
    view, seen, data = view_of(model, body), landmarks_of(model, body), write(body)
    left, right = model.mean_hands
    assert left.abs().max() > 0.2 and torch.allclose(left * torch.tensor([1.0, -1, -1]), right, atol=0.01)
    flat = given_body(data, model, view, seen, GivenConfig(hands="flat"))
    torch.testing.assert_close(flat.left_hand_pose, body.left_hand_pose)
    relative = given_body(data, model, view, seen, GivenConfig(hands="mean"))
    torch.testing.assert_close(relative.left_hand_pose, body.left_hand_pose + left)
    torch.testing.assert_close(relative.right_hand_pose, body.right_hand_pose + right)
    auto = given_body(data, model, view, seen, GivenConfig())
    torch.testing.assert_close(auto.left_hand_pose, (relative if mean else flat).left_hand_pose)


def test_zeros_become_the_mean_hand(model):
    zeros = somebody(1)
    assert torch.equal(with_mean_hands(zeros, model).left_hand_pose, model.mean_hands[0])
    assert not relative_to_mean({"body_pose": np.zeros((21, 3))})
