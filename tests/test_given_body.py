"""SMPL-X files of other estimators: every way of writing gives the same body; what is not understood is named."""

import dataclasses
import io
import json
import pickle

import numpy as np
import pytest
import torch

from models.body import BodyModel
from models.estimator.given import UnknownBody, read_body, transl_to_weak_perspective, upright, weak_perspective_to_transl
from models.estimator.given_pickle import UnsafePickle, load_pickle
from models.estimator.placing import box_overlap, mask_box, place_body, projected_box, turn_upright
from pipeline.camera import canonical_camera
from pipeline.rotation import axis_angle_to_matrix, matrix_to_rot6d
from pipeline.types import Body, View

CAMERA_T = torch.tensor([0.05, -0.1, 2.3])


@pytest.fixture
def body() -> Body:
    g = torch.Generator().manual_seed(1)
    return dataclasses.replace(
        Body.neutral(), betas=torch.randn(10, generator=g), body_pose=0.4 * torch.randn(21, 3, generator=g),
        left_hand_pose=0.2 * torch.randn(15, 3, generator=g), right_hand_pose=0.2 * torch.randn(15, 3, generator=g),
        jaw_pose=torch.tensor([0.1, 0.0, 0.0]), transl=CAMERA_T - torch.tensor([0, 0, 2.0]),
    )  # fmt: skip


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def matrices(rotvec):
    return axis_angle_to_matrix(rotvec.reshape(-1, 3)).numpy()


def as_smplerx(b: Body) -> bytes:
    names = {"betas": b.betas, "global_orient": b.global_orient, "body_pose": b.body_pose, "left_hand_pose": b.left_hand_pose,
             "right_hand_pose": b.right_hand_pose, "jaw_pose": b.jaw_pose, "expression": b.expression, "transl": CAMERA_T}  # fmt: skip
    return npz(**{k: v.numpy().reshape(1, -1) for k, v in names.items()}, bbox=np.zeros(4))


def as_pixie(b: Body) -> bytes:
    content = {
        "shape": np.concatenate([b.betas.numpy(), np.zeros(190)])[None],
        "exp": np.zeros((1, 50)), "global_pose": matrices(b.global_orient)[None],
        "body_pose": matrices(b.body_pose)[None], "left_hand_pose": matrices(b.left_hand_pose)[None],
        "right_hand_pose": matrices(b.right_hand_pose)[None], "jaw_pose": matrices(b.jaw_pose)[None], "transl": CAMERA_T.numpy()[None],
    }  # fmt: skip
    return pickle.dumps(content)


def as_pymafx(b: Body) -> bytes:
    pose = torch.cat([b.global_orient[None], b.body_pose, b.jaw_pose[None], torch.zeros(2, 3), b.left_hand_pose, b.right_hand_pose])
    return npz(pred_shape=b.betas.numpy()[None], rotmat=matrices(pose)[None], cam_t=CAMERA_T.numpy()[None])


def as_multihmr(b: Body) -> bytes:
    pose = torch.cat([b.global_orient[None], b.body_pose, b.left_hand_pose, b.right_hand_pose, b.jaw_pose[None]])
    human = {"rotvec": pose.tolist(), "shape": b.betas.tolist(), "expression": [0.0] * 10, "transl": CAMERA_T.tolist(), "name": "x"}
    return json.dumps({"humans": [human]}).encode()


def as_6d(b: Body) -> bytes:
    root, pose = (matrix_to_rot6d(axis_angle_to_matrix(value)) for value in (b.global_orient, b.body_pose))
    content = {"smplx_root_pose": root, "smplx_body_pose": pose,
               "smplx_lhand_pose": b.left_hand_pose, "smplx_rhand_pose": b.right_hand_pose, "smplx_jaw_pose": b.jaw_pose,
               "smplx_shape": b.betas, "cam_trans": CAMERA_T}  # fmt: skip
    return npz(**{k: v.numpy()[None] for k, v in content.items()})


@pytest.mark.parametrize("write", [as_smplerx, as_pixie, as_pymafx, as_multihmr, as_6d])
def test_all_ways_of_writing_read_the_same(write, body):
    found, placed = read_body(write(body))
    assert placed
    for field in ("betas", "expression", "transl"):
        torch.testing.assert_close(getattr(found, field), getattr(body, field), atol=1e-5, rtol=0)
    for field in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose"):
        got, true = (axis_angle_to_matrix(getattr(value, field)) for value in (found, body))
        torch.testing.assert_close(got, true, atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [22, 52, 53, 55])
def test_whole_poses(count, body):
    found, placed = read_body(npz(pose=np.concatenate([[np.pi, 0, 0], np.full(3 * count - 3, 0.1)])[None]))
    assert not placed and torch.allclose(found.body_pose, torch.full((21, 3), 0.1))


def test_several_people(body):
    second = dataclasses.replace(body, betas=body.betas + 1)
    stack = {f: np.stack([getattr(b, f).numpy() for b in (body, second)]) for f in ("betas", "global_orient", "body_pose", "transl")}
    assert torch.allclose(read_body(npz(**stack), person=1)[0].betas, second.betas)
    assert torch.allclose(read_body(npz(**stack))[0].betas, body.betas)


def test_weak_perspective_is_invertible_and_projects_alike():
    camera = torch.tensor([0.8, 0.1, -0.2])
    transl = weak_perspective_to_transl(camera)
    torch.testing.assert_close(transl_to_weak_perspective(transl), camera)
    from pipeline.camera import project

    pixels, _ = project(transl[None], canonical_camera(200))
    torch.testing.assert_close((pixels[0] - 100) / 100, camera[0] * camera[1:], atol=1e-4, rtol=0)
    assert read_body(npz(global_orient=np.ones(3), body_pose=np.zeros(63), pred_cam=camera.numpy()))[0].transl.allclose(transl)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (npz(betas=np.zeros(10)), "no global_orient"),
        (npz(global_orient=np.ones(3), body_pose=np.zeros(60)), "body_pose.*expected 21 rotations"),
        (npz(global_orient=np.ones(3), body_pose=np.zeros(63), left_hand_pose=np.zeros(12)), "PCA"),
        (npz(global_orient=np.full((3, 3), 2.0), body_pose=np.zeros(63)), "no rotations"),
        (npz(pose=np.zeros(30)), "22, 52, 53 or 55"),
        (b"{broken", "cannot be read"),
        (b"hello", "cannot be read"),
        (json.dumps([1, 2]).encode(), "dictionary"),
        (b"", "cannot be read"),
        (b"PK\x03\x04broken", "cannot be read"),
    ],
)
def test_unknown_content_is_named(data, words):
    with pytest.raises(UnknownBody, match=words):
        read_body(data)


class Evil:
    def __reduce__(self):
        return (print, ("owned",))


def test_pickles_run_no_code(capsys):
    with pytest.raises(UnsafePickle, match="print"):
        load_pickle(pickle.dumps({"betas": Evil()}))
    assert capsys.readouterr().out == ""
    value = {"a": np.arange(6.0).reshape(2, 3), "b": [1, "x", None], "c": np.float32(2)}
    assert np.array_equal(load_pickle(pickle.dumps(value))["a"], value["a"])


def test_torch_files_are_refused_with_the_remedy(tmp_path):
    for new in (True, False):
        torch.save({"betas": torch.zeros(10)}, tmp_path / "x.pkl", _use_new_zipfile_serialization=new)
        with pytest.raises(UnknownBody, match="npz"):
            read_body((tmp_path / "x.pkl").read_bytes())
    with pytest.raises(UnknownBody, match="PyTorch"):
        read_body(pickle.dumps({"betas": torch.zeros(10)}))


def test_axes_and_placement(body):
    assert upright(body) and not upright(turn_upright(body))
    torch.testing.assert_close(
        axis_angle_to_matrix(turn_upright(turn_upright(body)).global_orient), axis_angle_to_matrix(body.global_orient), atol=1e-5, rtol=0
    )
    model = BodyModel.load()
    view = View(torch.ones(128, 128, 3), torch.zeros(128, 128), canonical_camera(128))
    left, top, right, bottom = projected_box(model, body, view).round().int().tolist()
    view.mask[max(top, 0) : bottom, max(left, 0) : right] = 1
    lost = dataclasses.replace(body, transl=torch.zeros(3))
    placed = place_body(model, lost, view)
    assert box_overlap(projected_box(model, placed, view), mask_box(view)) > 0.95
    torch.testing.assert_close(placed.transl, body.transl, atol=0.03, rtol=0)
