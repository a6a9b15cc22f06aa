"""Motion -> BVH or AMASS -> Motion, and the other ways in which files write poses."""

import dataclasses
import io
import json
import math
import pickle
import zipfile

import numpy as np
import pytest
import torch
from toy_motions import Z_UP, degrees_between, world_rotations

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_NAMES
from turnaround.models.motion.builtin import builtin
from turnaround.models.motion.kinematics import full_pose
from turnaround.models.motion.reader import read_motion
from turnaround.models.motion.to_amass import motion_to_amass
from turnaround.models.motion.to_bvh import mixamo_name, motion_to_bvh
from turnaround.pipeline.formats import bvh
from turnaround.pipeline.formats.untrusted import read_npz
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_rot6d


@pytest.fixture(scope="module")
def model():
    return BodyModel.shared()


@pytest.fixture(scope="module")
def walk():
    return builtin("walk_forward", seconds=2.1, fps=10)


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def same(found, wanted, model, metres=1e-4):
    assert len(found) == len(wanted)
    radians = torch.deg2rad(degrees_between(world_rotations(found), world_rotations(wanted)))
    assert radians.max() < 1e-4 or metres > 1e-4
    where = model.joints(found.body) - model.joints(wanted.body)
    if metres > 1e-4:  # it may have been moved along the ground
        where = where - where[:1, :1] * torch.tensor([1.0, 0, 1])
    assert where.norm(dim=-1).max() < metres


@pytest.mark.parametrize("names", ["smplx", "mixamo"])
@pytest.mark.parametrize("clip", ["walk_forward", "turn", "dance_wave", "squat", "t_pose"])
def test_bvh_round_trip(clip, names, model):
    motion = builtin(clip, fps=10)
    found, said = read_motion(motion_to_bvh(motion, model, names=names), "walk.bvh")
    same(found, motion, model)
    assert found.fps == 10 and said == ["units are centimetres: divided by 100"]


def test_bvh_keeps_the_shape_of_the_person(model, walk):
    betas = torch.linspace(-2, 2, 10)
    motion = dataclasses.replace(walk, body=dataclasses.replace(walk.body, betas=betas.repeat(len(walk), 1)))
    found, _ = read_motion(motion_to_bvh(motion, model), "walk.bvh", ground=False)
    assert torch.allclose(found.body.betas, motion.body.betas, atol=0.02)
    same(found, motion, model)


def test_bvh_is_in_centimetres_y_up_with_names_of_mixamo(model, walk):
    read = bvh.decode(motion_to_bvh(walk, model, names="mixamo"))
    assert read.names[0] == "mixamorig:Hips" and "mixamorig:LeftHandThumb2" in read.names
    assert 85 < read.values[0, 1] < 105 and read.values[-1, 2] > 200  # up, and forward along z
    assert len({mixamo_name(name) for name in JOINT_NAMES}) == 55
    assert motion_to_bvh(walk, model) == motion_to_bvh(walk, model)


def test_amass_round_trip(model, walk):
    data = motion_to_amass(walk, model)
    found, said = read_motion(data, "walk.npz")
    same(found, walk, model)
    assert found.fps == 10 and said == ["z is up"] and data == motion_to_amass(walk, model)
    arrays = read_npz(data)
    assert arrays["poses"].shape == (len(walk), 165) and str(arrays["surface_model_type"]) == "smplx"
    assert 0.8 < arrays["trans"][0, 2] < 1.1  # z up


@pytest.mark.parametrize("joints", [52, 55, 22])
def test_whole_poses_of_other_models(joints, model, walk):
    """AMASS of SMPL-H has 52 joints in its own order, and betas that are not SMPL-X's."""
    pose, arrays = full_pose(walk.body), read_npz(motion_to_amass(walk, model))
    order = {55: list(range(55)), 22: list(range(22)), 52: [*range(22), *range(25, 55)]}[joints]
    flat = arrays["poses"].reshape(len(pose), 55, 3)[:, order].reshape(len(pose), -1)
    data = npz(
        poses=flat,
        trans=arrays["trans"],
        betas=np.ones(16),
        mocap_framerate=120.0,
        dmpls=np.zeros((len(pose), 8)),
    )
    found, said = read_motion(data, "x.npz", ground=False)
    assert found.fps == 120 and (float(found.body.betas.abs().max()) == 0) == (joints == 52)
    assert any("betas" in guess for guess in said) == (joints == 52)
    assert torch.allclose(found.body.body_pose, walk.body.body_pose, atol=1e-5)


def parts(motion, how):
    """Arrays as estimators write them, our axes."""
    body = motion.body
    fields = {
        name: getattr(body, name)
        for name in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")
    }
    if how == "matrices":
        fields = {name: axis_angle_to_matrix(value) for name, value in fields.items()}
    elif how == "6d":
        fields = {name: matrix_to_rot6d(axis_angle_to_matrix(value)) for name, value in fields.items()}
    elif how == "flat":
        fields = {name: value.flatten(1) for name, value in fields.items()}
    elif how == "degrees":
        fields = {name: torch.rad2deg(value) for name, value in fields.items()}
    fields |= {"betas": body.betas, "transl": body.transl + torch.tensor([0.0, 0.9, 3.0])}
    return {name: value.numpy() for name, value in fields.items()}


@pytest.mark.parametrize("how", ["vectors", "matrices", "6d", "flat", "degrees"])
def test_poses_in_parts_however_rotations_are_written(how, model, walk):
    found, said = read_motion(npz(**parts(walk, how)), "clip.npz", rate=10)
    same(found, walk, model, metres=2e-3)
    assert ("angles are in degrees" in said) == (how == "degrees")
    assert any("moved there" in guess for guess in said)  # 3 m before a camera


@pytest.mark.parametrize("kind", ["folder", "zip", "json", "pkl", "people"])
def test_a_file_a_frame_and_a_list_of_frames(kind, model, walk, tmp_path):
    arrays = parts(walk, "vectors")
    frames = [{name: value[k] for name, value in arrays.items()} for k in range(len(walk))]
    files = {f"frame{k}.npz": npz(**frame) for k, frame in enumerate(frames)}  # frame10 after frame9
    source = tmp_path
    if kind == "folder":
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
    elif kind == "zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, data in files.items():
                archive.writestr(f"out/{name}", data)
        source = stream.getvalue()
    elif kind == "json":
        source = json.dumps([{n: v.tolist() for n, v in frame.items()} for frame in frames]).encode()
    elif kind == "pkl":
        source = pickle.dumps({f"{k:05d}.png": frame for k, frame in enumerate(frames)})
    else:
        other = {name: value * 0 for name, value in frames[0].items()}
        for k, frame in enumerate(frames):
            (tmp_path / f"{k}.pkl").write_bytes(pickle.dumps([other, frame]))
    found, said = read_motion(source, "clip", rate=10, person=1 if kind == "people" else 0)
    same(found, walk, model, metres=2e-3)
    assert not any("not told" in guess for guess in said)


def test_a_film_of_several_people_gives_the_one_that_is_asked_for(model, walk):
    arrays = {name: np.stack([value * 0, value], 1) for name, value in parts(walk, "matrices").items()}
    arrays["body_pose"][:, 0], arrays["global_orient"][:, 0] = np.eye(3), np.eye(3)
    arrays["left_hand_pose"][:, 0], arrays["right_hand_pose"][:, 0] = np.eye(3), np.eye(3)
    same(read_motion(npz(**arrays), "two.npz", rate=10, person=1)[0], walk, model, metres=2e-3)


@pytest.mark.parametrize(
    ("up", "turn"), [("y", np.diag([1.0, -1, -1])), ("z", Z_UP @ np.diag([1.0, -1, -1]))]
)
def test_other_axes_are_seen_and_said(up, turn, model, walk):
    arrays, rest = parts(walk, "vectors"), model.joint_template[0].numpy()
    orient = torch.from_numpy(turn) @ axis_angle_to_matrix(walk.body.global_orient.double())
    arrays["global_orient"] = orient.numpy()
    arrays["transl"] = (walk.body.transl.numpy() + rest) @ turn.T - rest
    found, said = read_motion(npz(**arrays), "clip.npz", rate=10)
    same(found, walk, model)
    assert said == [f"{up} is up"]


def test_centimetres_are_seen_and_said(model, walk):
    arrays = read_npz(motion_to_amass(walk, model))
    data = npz(poses=arrays["poses"], trans=100 * arrays["trans"], mocap_frame_rate=10)
    found, said = read_motion(data, "clip.npz")
    same(found, walk, model)
    assert "units are centimetres: divided by 100" in said


def test_who_has_no_place_stays_on_the_spot_with_the_feet_on_the_ground(model):
    squat = builtin("squat", fps=10)
    arrays = {name: value for name, value in parts(squat, "vectors").items() if name != "transl"}
    found, said = read_motion(npz(**arrays), "clip.npz")
    assert "frames a second are not told: taken as 30" in said and any(
        "on the spot" in guess for guess in said
    )
    lowest = model(found.body).vertices[..., 1].amax(1)
    assert lowest.abs().max() < 0.03 and found.body.transl[:, [0, 2]].abs().max() < 1e-6


def test_frames_are_cut_and_made_fewer(model):
    motion = builtin("walk_forward", seconds=4, fps=120)
    data = motion_to_bvh(motion, model)
    found, _ = read_motion(data, "walk.bvh", fps=25, start=1, end=3)
    assert found.fps == 25 and found.duration == pytest.approx(2, abs=0.05)
    wanted = motion.cut(1, 3).resampled(25)
    where = model.joints(found.body) - model.joints(wanted.body)[: len(found)]
    assert (where - where[:1, :1] * torch.tensor([1.0, 0, 1])).norm(dim=-1).max() < 0.012  # of 30 and of 120


def test_hands_of_smplerx_are_relative_to_the_mean_hand(model, walk):
    arrays = parts(walk, "vectors")
    zeros = {name: np.zeros((len(walk), 1, 3)) for name in ("jaw_pose", "leye_pose", "reye_pose")}
    arrays |= zeros | {"expression": np.zeros((len(walk), 1, 10)), "betas": arrays["betas"][:, None]}
    arrays["global_orient"] = arrays["global_orient"][:, None]
    frames = [{name: value[k] for name, value in arrays.items()} for k in range(len(walk))]
    data = pickle.dumps(frames)
    found, said = read_motion(data, "clip.pkl", rate=10)
    assert "hands are relative to the mean hand" in said
    assert torch.allclose(
        found.body.left_hand_pose, walk.body.left_hand_pose + model.mean_hands[0], atol=1e-5
    )


def test_degrees_are_not_taken_for_a_root_that_turns_on(model):
    turn = builtin("turn", fps=10)
    arrays = parts(turn, "vectors")
    arrays["global_orient"] = (
        arrays["global_orient"] * (1 + 2 * math.pi / np.linalg.norm(arrays["global_orient"], axis=1))[:, None]
    )
    found, said = read_motion(npz(**arrays), "clip.npz", rate=10)
    assert "angles are in degrees" not in said
    same(found, turn, model, metres=2e-3)
