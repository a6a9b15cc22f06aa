"""Bad motion files: what is wrong and what to do is said, with the file's name."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from turnaround.models.body.model import BodyModel
from turnaround.models.motion.builtin import builtin
from turnaround.models.motion.reader import read_motion
from turnaround.models.motion.to_bvh import motion_to_bvh
from turnaround.pipeline.errors import CallError, FormatError, MissingFile

FRAMES = 6
POSES = np.zeros((FRAMES, 165), np.float32)


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def with_nan():
    poses = POSES.copy()
    poses[3, 7] = np.nan
    return npz(poses=poses, trans=np.zeros((FRAMES, 3)))


def a_zip(name, data=b"HIERARCHY"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"", "x.bvh", "empty"),
        (b"", "x.npz", "empty"),
        (a_zip("walk.bvh"), "walk.zip", r"zip archive with walk\.bvh inside: unpack it"),
        (a_zip("walk.bvh"), "walk.bvh", "zip archive"),
        (a_zip("readme.txt"), "x.zip", "damaged|PyTorch|fields|without"),
        (b"PK\x03\x04rubbish", "x.npz", "damaged"),
        (with_nan(), "x.npz", "NaN or infinity in 1 of 6 frames, the first is frame 3"),
        (npz(poses=POSES, trans=np.full((FRAMES, 3), np.inf)), "x.npz", "NaN or infinity"),
        (
            npz(poses=np.zeros((FRAMES, 90))),
            "x.npz",
            r"'poses' of shape \(6, 90\).*22, 24, 52, 53 or 55 joints",
        ),
        (npz(global_orient=np.zeros((6, 3)), body_pose=np.zeros((5, 63))), "x.npz", "5 frames|6 frames"),
        (npz(poses=POSES, trans=np.zeros((4, 3))), "x.npz", "'transl' has 4 frames, the pose 6"),
        (npz(poses=POSES[:0], trans=np.zeros((0, 3))), "x.npz", "0 frames"),
        (npz(betas=np.zeros(10)), "x.npz", "no global_orient"),
        (npz(poses=POSES, mocap_framerate=0.0), "x.npz", "expected frames a second"),
        (npz(poses=np.full((FRAMES, 165), 1e6)), "x.npz", "no angle"),
        (npz(poses=POSES, trans=np.full((FRAMES, 3), 1e9)), "x.npz", "no place"),
        (pickle.dumps(io.BytesIO), "x.pkl", "not a numpy array"),
        (b"[1, 2, 3]", "x.json", "named fields"),
        (b"[", "x.json", "x.json: "),
    ],
)
def test_files_that_cannot_be_read(data, name, said):
    with pytest.raises(FormatError, match=said) as told:
        read_motion(data, name)
    assert str(told.value).startswith(f"{name}: ")


def test_a_motion_that_is_too_long_is_told_with_the_ways_out():
    """10^5 frames are not refused as such: what is read of them must be few enough."""
    data = npz(poses=np.zeros((100_000, 66), np.float32), trans=np.zeros((100_000, 3)), mocap_frame_rate=120)
    with pytest.raises(
        FormatError, match=r"100000 frames \(833 s at 120 a second\); at most 30000.*start and an end"
    ):
        read_motion(data, "long.npz")
    assert len(read_motion(data, "long.npz", fps=2)[0]) == 1667
    assert len(read_motion(data, "long.npz", start=100, end=101)[0]) == 121


def test_a_span_outside_of_the_motion_is_told():
    with pytest.raises(FormatError, match=r"between 9 s and 10 s: it lasts 0\.17 s"):
        read_motion(npz(poses=POSES), "x.npz", start=9, end=10)


def test_a_frame_that_differs_and_a_person_too_many_are_named(tmp_path):
    for k in range(3):
        pose = {"global_orient": np.zeros(3), "body_pose": np.zeros((21 - (k == 2), 3))}
        (tmp_path / f"{k}.pkl").write_bytes(pickle.dumps([pose]))
    with pytest.raises(FormatError, match=r"2\.pkl: 'body_pose' is \(20, 3\), but \(21, 3\) in 0\.pkl"):
        read_motion(tmp_path, "frames")
    with pytest.raises(FormatError, match=r"0\.pkl: person 1 was asked for, the file holds 1"):
        read_motion(tmp_path, "frames", person=1)


def test_a_folder_without_frames_and_no_file_at_all(tmp_path):
    with pytest.raises(FormatError, match="expected one file a frame"):
        read_motion(tmp_path, "frames")
    with pytest.raises(MissingFile, match="there is no file"):
        read_motion(Path("nowhere.bvh"), "nowhere.bvh")
    with pytest.raises(CallError, match="more than 0"):
        read_motion(b"", "x", fps=0.0)


def test_a_damaged_bvh_is_told_with_its_name():
    data = motion_to_bvh(builtin("t_pose"), BodyModel.shared())
    with pytest.raises(FormatError, match=r"t\.bvh: line \d+: expected 168 numbers"):
        read_motion(data[:-200] + b"\n", "t.bvh")
    assert len(read_motion(data, "without a suffix")[0]) == 1
