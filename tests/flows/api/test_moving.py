"""A person in motion and in poses, from Python."""

from pathlib import Path

import pytest
import torch
import toy_avatar
import toy_person

import turnaround as ta
from turnaround.models.motion.builtin import builtin
from turnaround.pipeline.formats import ply


@pytest.fixture(scope="module")
def person(tmp_path_factory) -> ta.Person:
    return ta.load(toy_avatar.make(tmp_path_factory.mktemp("work"), every=8), "toy")


def test_a_person_walks_into_a_file_of_any_kind(person, tmp_path, capsys):
    film = person.animate("walk", tmp_path / "x.mp4", seconds=0.4, fps=10, size=32, progress=True)
    assert film == tmp_path / "x.mp4" and film.read_bytes()[4:8] == b"ftyp"
    assert "toy: walk, 5 frames" in capsys.readouterr().err
    frames = person.animate(builtin("wave", seconds=1.0), str(tmp_path), fps=3)
    assert frames == tmp_path / "toy-motion" and len(list(frames.glob("*.ply"))) == 4
    one = person.animate("wave", tmp_path / "one.ply", frame=1, colors={"torso": "red"}, betas={0: 1.0})
    assert len(ply.load(one)) == len(person.avatar.gaussians)


def test_a_pose_is_values_and_files(person, tmp_path):
    made = person.pose(left_elbow=60, right_shoulder=(0, 0, 20), start="t")
    assert made.picture(size=24, azimuth=0.0).shape == (24, 24, 3)
    assert made.save(tmp_path / "x.ply") == tmp_path / "x.ply"
    still = person.pose({}, start="t")
    assert not torch.equal(made.gaussians.means, still.gaussians.means)
    away = still.gaussians.means - person.avatar.gaussians.means  # the pelvis is not the body's origin
    assert (away - away[0]).abs().max() < 1e-5


def test_persons_appear_in_one_film(person, tmp_path):
    path = ta.animate([person, person], "idle", tmp_path / "both.mp4", seconds=0.3, fps=10, size=32)
    assert path.stat().st_size > 500
    with pytest.raises(ta.TurnaroundError, match="at least one person"):
        ta.animate([], "idle", tmp_path / "none.mp4")


def test_a_person_without_a_rig_says_what_to_do(tmp_path: Path):
    person = ta.load(toy_person.make(tmp_path), "toy")
    with pytest.raises(ta.TurnaroundError, match="rerun rig"):
        person.avatar  # noqa: B018


def test_a_joint_that_does_not_exist_is_told_with_the_nearest(person):
    with pytest.raises(ta.TurnaroundError, match="did you mean 'left_elbow'"):
        person.pose(left_elbo=3)
