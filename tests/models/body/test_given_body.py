"""SMPL-X files of other estimators: every way of writing gives the same body; what is not understood is
named."""

import dataclasses
import io
import json
import pickle

import numpy as np
import pytest
import torch

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.given.body_file import (
    UnknownBody,
    read_body,
    transl_to_weak_perspective,
    upright,
    weak_perspective_to_transl,
)
from turnaround.models.estimator.given.pickles import UnsafePickle, load_pickle
from turnaround.models.estimator.given.placing import (
    box_overlap,
    mask_box,
    place_body,
    projected_box,
    turn_upright,
)
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_rot6d
from turnaround.pipeline.values.types import Body, View

CAMERA_T = torch.tensor([0.05, -0.1, 2.3])


@pytest.fixture
def body() -> Body:
    g = torch.Generator().manual_seed(1)
    return dataclasses.replace(
        Body.neutral(),
        betas=torch.randn(10, generator=g),
        body_pose=0.4 * torch.randn(21, 3, generator=g),
        left_hand_pose=0.2 * torch.randn(15, 3, generator=g),
        right_hand_pose=0.2 * torch.randn(15, 3, generator=g),
        jaw_pose=torch.tensor([0.1, 0.0, 0.0]),
        transl=CAMERA_T - torch.tensor([0, 0, 2.0]),
    )


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def matrices(rotvec):
    return axis_angle_to_matrix(rotvec.reshape(-1, 3)).numpy()


def as_smplerx(b: Body) -> bytes:
    names = {
        "betas": b.betas,
        "global_orient": b.global_orient,
        "body_pose": b.body_pose,
        "left_hand_pose": b.left_hand_pose,
        "right_hand_pose": b.right_hand_pose,
        "jaw_pose": b.jaw_pose,
        "expression": b.expression,
        "transl": CAMERA_T,
    }
    return npz(**{k: v.numpy().reshape(1, -1) for k, v in names.items()}, bbox=np.zeros(4))


def as_pixie(b: Body) -> bytes:
    content = {
        "shape": np.concatenate([b.betas.numpy(), np.zeros(190)])[None],
        "exp": np.zeros((1, 50)),
        "global_pose": matrices(b.global_orient)[None],
        "body_pose": matrices(b.body_pose)[None],
        "left_hand_pose": matrices(b.left_hand_pose)[None],
        "right_hand_pose": matrices(b.right_hand_pose)[None],
        "jaw_pose": matrices(b.jaw_pose)[None],
        "transl": CAMERA_T.numpy()[None],
    }
    return pickle.dumps(content)


def as_pymafx(b: Body) -> bytes:
    pose = torch.cat(
        [
            b.global_orient[None],
            b.body_pose,
            b.jaw_pose[None],
            torch.zeros(2, 3),
            b.left_hand_pose,
            b.right_hand_pose,
        ]
    )
    return npz(pred_shape=b.betas.numpy()[None], rotmat=matrices(pose)[None], cam_t=CAMERA_T.numpy()[None])


def as_multihmr(b: Body) -> bytes:
    pose = torch.cat(
        [b.global_orient[None], b.body_pose, b.left_hand_pose, b.right_hand_pose, b.jaw_pose[None]]
    )
    human = {
        "rotvec": pose.tolist(),
        "shape": b.betas.tolist(),
        "expression": [0.0] * 10,
        "transl": CAMERA_T.tolist(),
        "name": "x",
    }
    return json.dumps({"humans": [human]}).encode()


def as_6d(b: Body) -> bytes:
    root, pose = (matrix_to_rot6d(axis_angle_to_matrix(value)) for value in (b.global_orient, b.body_pose))
    content = {
        "smplx_root_pose": root,
        "smplx_body_pose": pose,
        "smplx_lhand_pose": b.left_hand_pose,
        "smplx_rhand_pose": b.right_hand_pose,
        "smplx_jaw_pose": b.jaw_pose,
        "smplx_shape": b.betas,
        "cam_trans": CAMERA_T,
    }
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


JOINT_NAMES = {  # the order of SMPL-X's 55 joints, of SMPL-H's 52, of Multi-HMR's 53
    55: [
        "global_orient",
        "body_pose",
        "jaw_pose",
        "leye_pose",
        "reye_pose",
        "left_hand_pose",
        "right_hand_pose",
    ],
    52: ["global_orient", "body_pose", "left_hand_pose", "right_hand_pose"],
    53: ["global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose"],
    22: ["global_orient", "body_pose"],
}


def turned(seed: int, *fields: str) -> Body:
    """A body of which these fields turn, each joint otherwise."""
    g = torch.Generator().manual_seed(seed)
    neutral = Body.neutral()
    return dataclasses.replace(
        neutral, **{name: 0.3 * torch.randn(getattr(neutral, name).shape, generator=g) for name in fields}
    )


def whole(b: Body, count: int) -> np.ndarray:
    return torch.cat([getattr(b, name).reshape(-1, 3) for name in JOINT_NAMES[count]]).numpy()


def alike(found: Body, true: Body, fields) -> None:
    for name in fields:
        torch.testing.assert_close(
            *(axis_angle_to_matrix(getattr(b, name)) for b in (found, true)), atol=1e-4, rtol=0, msg=name
        )


@pytest.mark.parametrize("count", JOINT_NAMES)
@pytest.mark.parametrize("key", ["fullpose", "poses", "pose", "rotvec"])
@pytest.mark.parametrize("width", [3, 6, 9])
def test_a_whole_pose_keeps_every_joint(count, key, width):
    true = turned(count, *JOINT_NAMES[count])
    rows = axis_angle_to_matrix(torch.from_numpy(whole(true, count)))
    written = {3: whole(true, count), 6: matrix_to_rot6d(rows).numpy(), 9: rows.numpy()}[width]
    for array in (written, written[None], written.reshape(1, -1), written.reshape(-1)):
        found, placed = read_body(npz(**{key: array}))
        assert not placed
        alike(found, true, JOINT_NAMES[55])


def test_smpl_hands_are_left_out_of_a_pose_of_24_joints():
    true = turned(3, "global_orient", "body_pose")
    found, _ = read_body(npz(poses=np.concatenate([whole(true, 22), np.ones((2, 3))]).reshape(1, 72)))
    alike(found, true, JOINT_NAMES[55])


@pytest.mark.parametrize("frames", [2, 3, 52, 55, 90])
@pytest.mark.parametrize("count", [52, 55])
def test_a_film_of_amass_gives_one_frame_and_no_place(frames, count, caplog):
    """Its translation is one above a floor: it says nothing of a camera."""
    bodies = [turned(k, *JOINT_NAMES[count]) for k in range(frames)]
    poses = np.stack([whole(b, count).reshape(-1) for b in bodies])
    common = {
        "trans": np.ones((frames, 3)),
        "betas": np.arange(16.0) / 16,
        "mocap_framerate": np.array(120.0),
        "gender": np.array("male"),
    }
    parted = {"root_orient": poses[:, :3], "pose_body": poses[:, 3:66], "pose_hand": poses[:, -90:]}
    if count == 55:
        parted |= {"pose_jaw": poses[:, 66:69], "pose_eye": poses[:, 69:75]}
    for fields in ({"poses": poses}, parted, {"poses": poses, **parted}):
        for frame in (0, frames - 1):
            found, placed = read_body(npz(**common, **fields), frame)
            alike(found, bodies[frame], JOINT_NAMES[55])
            assert not placed and found.transl.abs().max() == 0
            np.testing.assert_allclose(found.betas, np.arange(10) / 16)
    assert "motion capture" in caplog.text


@pytest.mark.parametrize("count", [2, 3, 6])
def test_several_people(count):
    """Two people's numbers are as many as one's in 6D, three people's as one's in matrices."""
    bodies = [turned(k, *JOINT_NAMES[55], "betas", "transl") for k in range(count)]
    stack = {
        f: np.stack([getattr(b, f).numpy() for b in bodies]) for f in (*JOINT_NAMES[55], "betas", "transl")
    }
    flat = {f: array.reshape(count, -1) for f, array in stack.items()}
    single = {
        "pose": np.stack([whole(b, 55) for b in bodies]),
        "betas": stack["betas"],
        "transl": stack["transl"],
    }
    for fields in (stack, flat, single):
        for person, true in enumerate(bodies):
            found, _ = read_body(npz(**fields), person)
            alike(found, true, JOINT_NAMES[55])
            assert torch.allclose(found.betas, true.betas)
        with pytest.raises(UnknownBody, match=f"person {count} was asked for, the file holds {count}"):
            read_body(npz(**fields), count)


def test_weak_perspective_is_invertible_and_projects_alike():
    camera = torch.tensor([0.8, 0.1, -0.2])
    transl = weak_perspective_to_transl(camera)
    torch.testing.assert_close(transl_to_weak_perspective(transl), camera)
    from turnaround.pipeline.values.camera import project

    pixels, _ = project(transl[None], canonical_camera(200))
    torch.testing.assert_close((pixels[0] - 100) / 100, camera[0] * camera[1:], atol=1e-4, rtol=0)
    assert read_body(npz(global_orient=np.ones(3), body_pose=np.zeros(63), pred_cam=camera.numpy()))[
        0
    ].transl.allclose(transl)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (npz(betas=np.zeros(10)), "no global_orient"),
        (npz(global_orient=np.ones(3), body_pose=np.zeros(60)), "body_pose.*expected 21 rotations"),
        (npz(global_orient=np.ones(3), body_pose=np.zeros(63), left_hand_pose=np.zeros(12)), "PCA"),
        (npz(global_orient=np.full((3, 3), 2.0), body_pose=np.zeros(63)), "no rotations"),
        (npz(pose=np.zeros(30)), "22, 24, 52, 53 or 55"),
        (npz(), "without a single array"),
        (
            npz(pose_hand=np.zeros(45), root_orient=np.ones(3), pose_body=np.zeros(63)),
            "pose_hand.*30 rotations",
        ),
        (b"{broken", "cannot be read"),
        (b"hello", "cannot be read"),
        (json.dumps([1, 2]).encode(), "dictionary"),
        (b"", "cannot be read: it is empty"),
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
        axis_angle_to_matrix(turn_upright(turn_upright(body)).global_orient),
        axis_angle_to_matrix(body.global_orient),
        atol=1e-5,
        rtol=0,
    )
    model = BodyModel.load()
    view = View(torch.ones(128, 128, 3), torch.zeros(128, 128), canonical_camera(128))
    left, top, right, bottom = projected_box(model, body, view).round().int().tolist()
    view.mask[max(top, 0) : bottom, max(left, 0) : right] = 1
    lost = dataclasses.replace(body, transl=torch.zeros(3))
    placed = place_body(model, lost, view)
    assert box_overlap(projected_box(model, placed, view), mask_box(view)) > 0.95
    torch.testing.assert_close(placed.transl, body.transl, atol=0.03, rtol=0)
