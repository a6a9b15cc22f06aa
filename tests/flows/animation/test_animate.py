"""`animate` and `pose` on a toy person: every format, what files say of themselves, what is refused."""

import io
import json
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
import toy_avatar
import toy_person
from PIL import Image

from turnaround.flows.animation.animate import animate
from turnaround.flows.animation.edits import Edits
from turnaround.flows.animation.motions import choose
from turnaround.flows.animation.order import Order
from turnaround.flows.animation.pose import Pose, posed, read_joints, read_pose
from turnaround.flows.animation.rigged import rigged_person
from turnaround.models.motion.builtin import builtin
from turnaround.models.motion.reader import read_motion
from turnaround.models.motion.to_amass import motion_to_amass
from turnaround.pipeline.errors import CallError, FormatError, MissingFile
from turnaround.pipeline.formats import ply, textured_glb
from turnaround.pipeline.formats.glb import from_chunks
from turnaround.pipeline.store.store import Store

SHORT = {"seconds": 0.5, "fps": 10.0}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return toy_avatar.make(tmp_path_factory.mktemp("work"), every=8)


def _order(motion="dance", **values) -> Order:
    small = {"size": 64} if values.get("to", "mp4") == "mp4" else {}
    return Order(motion, **{**SHORT, **small, **values})


def _film(path: Path) -> tuple[dict, list[np.ndarray]]:
    frames = imageio_ffmpeg.read_frames(str(path))
    meta = next(frames)
    width, height = meta["size"]
    return meta, [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in frames]


def test_a_film_has_the_size_rate_and_frames_that_were_asked_for(work, tmp_path):
    steps = []
    done = animate(
        [(Store(work), "toy")], _order(out=tmp_path / "x.mp4"), step=lambda k, n: steps.append((k, n))
    )
    meta, frames = _film(tmp_path / "x.mp4")
    assert meta["size"] == (64, 64) and meta["fps"] == 10
    assert len(frames) == done[0].frames == len(steps) and steps[-1][0] == steps[-1][1]
    assert frames[0].std() > 5  # somebody is seen
    assert frames[0][0, 0].min() > 240  # over white
    assert list(tmp_path.iterdir()) == [tmp_path / "x.mp4"]  # nothing half-written lies beside it


def test_the_same_order_gives_the_same_bytes(work, tmp_path):
    for name in ("a", "b"):
        animate([(Store(work), "toy")], _order(out=tmp_path / f"{name}.mp4"))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_two_persons_together_are_one_wide_film(work, tmp_path):
    both = [(Store(work), "toy"), (Store(work), "toy")]
    done = animate(both, _order(out=tmp_path, together=True))
    assert [each.path.name for each in done] == ["toy+toy-dance.mp4"]
    width, height = _film(done[0].path)[0]["size"]
    assert height == 64 and width > 64


def test_two_persons_together_are_one_scene_of_a_glb(work, tmp_path):
    both = [(Store(work), "toy"), (Store(work), "toy")]
    (done,) = animate(both, _order(out=tmp_path, together=True, to="glb"))
    document, _ = from_chunks(done.path.read_bytes())
    assert done.path.name == "toy+toy-dance.glb" and len(document["skins"]) == 2
    first, second = (node["translation"][0] for node in document["nodes"] if node["name"] == "toy")
    assert second - first > 0.5 and len(document["animations"]) == 1
    assert document["asset"]["extras"]["motion"] == "dance"
    with pytest.raises(CallError, match="--together goes with --to mp4 or glb; --to html holds one person"):
        _order(together=True, to="html")


def test_a_film_says_what_it_was_made_from(work, tmp_path):
    edits = Edits(betas={0: 1.0}, colors={"torso": "navy"})
    done = animate([(Store(work), "toy")], _order(out=tmp_path, edits=edits))
    assert b'"motion":"dance"' in done[0].path.read_bytes()
    assert b'"changed":{"betas":{"0":1.0},"colors":{"torso":"navy"}}' in done[0].path.read_bytes()


def test_a_pose_can_be_filmed_from_around(work, tmp_path):
    done = animate([(Store(work), "toy")], Order("t_pose", camera="orbit", fps=2.0, size=32, out=tmp_path))
    assert done[0].frames == 16  # eight seconds


def test_frames_of_gaussians_are_numbered_files_of_the_motion(work, tmp_path):
    person = rigged_person(Store(work), "toy")
    order = _order(to="ply", out=tmp_path)
    for _ in range(2):  # the second takes the place of the first
        (done,) = animate([(Store(work), "toy")], order)
    names = sorted(file.name for file in done.path.iterdir())
    assert names == [*(f"{k:05d}.ply" for k in range(done.frames)), "about.json"]
    (one,) = animate([(Store(work), "toy")], replace(order, frame=2, out=tmp_path / "two.ply"))
    first, alone = (ply.load(path) for path in (done.path / "00002.ply", one.path))
    torch.testing.assert_close(first.means, alone.means)
    assert len(first) == len(person.avatar.gaussians)
    assert b"comment {" in one.path.read_bytes()[:400]


def test_a_folder_of_other_things_is_left_alone(work, tmp_path):
    (tmp_path / "toy-dance").mkdir()
    (tmp_path / "toy-dance" / "mine.txt").write_text("mine")
    with pytest.raises(CallError, match="other things"):
        animate([(Store(work), "toy")], _order(to="ply", out=tmp_path))
    assert [file.name for file in (tmp_path / "toy-dance").iterdir()] == ["mine.txt"]


def test_numbers_are_the_motion_that_is_read_back(work, tmp_path):
    (done,) = animate([(Store(work), "toy")], _order(to="npz", out=tmp_path))
    arrays = np.load(done.path)
    assert arrays["poses"].shape == (done.frames, 165) and arrays["mocap_frame_rate"] == 10
    assert json.loads(str(arrays["turnaround"]))["motion"] == "dance"
    back, _ = read_motion(done.path, "x")
    assert len(back) == done.frames


def test_a_rigged_mesh_has_the_motion_as_its_clip(work, tmp_path):
    (done,) = animate([(Store(work), "toy")], _order(to="glb", out=tmp_path))
    content = done.path.read_bytes()
    size = int.from_bytes(content[12:16], "little")
    document = json.loads(content[20 : 20 + size])
    assert [clip["name"] for clip in document["animations"]] == ["dance"]
    assert document["asset"]["extras"]["motion"] == "dance"


def test_a_file_of_motion_is_as_good_as_a_name(work, tmp_path):
    file = tmp_path / "mine.npz"
    file.write_bytes(motion_to_amass(builtin("dance", seconds=1, fps=10), toy_avatar.MODEL))
    (done,) = animate([(Store(work), "toy")], _order(str(file), out=tmp_path))
    assert done.path.name == "toy-mine.mp4" and b'"sha256"' in done.path.read_bytes()


def test_height_makes_everything_larger(work, tmp_path):
    means = []
    for height in (None, 3.0):
        order = _order(to="ply", frame=0, out=tmp_path / f"{height}.ply", edits=Edits(height=height))
        animate([(Store(work), "toy")], order)
        means.append(ply.load(tmp_path / f"{height}.ply").means)
    tall = [float(m[:, 1].max() - m[:, 1].min()) for m in means]
    assert 1.5 < tall[1] / tall[0] < 2.0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"to": "gif"}, "expected one of mp4"),
        ({"camera": "top"}, "expected one of front"),
        ({"size": 65}, "even number"),
        ({"fps": 0.0}, "--fps"),
        ({"seconds": -1.0}, "--seconds"),
        ({"background": "whit"}, "no colour"),
        ({"to": "npz", "camera": "orbit"}, "--camera goes with --to mp4"),
        ({"frame": 3}, "--frame goes with --to ply"),
        ({"to": "ply", "frame": 300}, "frames 0 to"),
        ({"to": "npz", "edits": Edits(height=1.8)}, "--height"),
        ({"out": Path("x.glb")}, "ends as glb"),
    ],
)
def test_orders_that_make_no_sense_are_refused_before_anything_is_written(work, tmp_path, values, said):
    values = values | {"out": tmp_path / values["out"]} if "out" in values else values
    with pytest.raises(CallError, match=said):
        animate([(Store(work), "toy")], _order(**values))
    assert not list(tmp_path.iterdir())


def test_a_motion_that_nobody_knows_is_told_with_the_nearest():
    with pytest.raises(CallError, match="did you mean 'dance'"):
        choose("dnace", 25.0, None)


def test_files_that_are_no_motion_are_told_by_their_name(tmp_path):
    file = tmp_path / "walk.bvh"
    file.write_bytes(b"PK\x03\x04 no bvh")
    with pytest.raises(FormatError, match=r"walk\.bvh"):
        choose(file, 25.0, None)
    broken = tmp_path / "nan.npz"
    arrays = dict(np.load(io.BytesIO(motion_to_amass(builtin("wave", fps=5), toy_avatar.MODEL))))
    arrays["pose_body"][3, 5] = np.nan
    np.savez(broken, **arrays)
    with pytest.raises(FormatError, match=r"nan\.npz"):
        choose(broken, 25.0, None)


def test_a_subject_without_a_rig_is_told_how_to_make_one(tmp_path):
    toy_person.make(tmp_path)
    with pytest.raises(CallError, match="turnaround rerun rig -s toy"):
        animate([(Store(tmp_path), "toy")], _order())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["0"], None, [], []), "NAME=VALUE"),
        ((["x=1"], None, [], []), "NUMBER=VALUE"),
        ((["10=1"], None, [], []), "0 to 9"),
        (([], None, ["0=nan"], []), "expected -10 to 10"),
        (([], -1.0, [], []), "height"),
        (([], None, [], ["torso=bluu"]), "no colour"),
    ],
)
def test_changes_that_make_no_sense_are_refused(arguments, said):
    with pytest.raises(CallError, match=said):
        Edits.read(*arguments)


def test_a_part_that_does_not_exist_is_told_with_the_nearest(work):
    with pytest.raises(CallError, match="did you mean 'torso'"):
        Edits(colors={"torsso": "red"}).applied(rigged_person(Store(work), "toy").avatar)


def test_a_pose_is_written_as_picture_gaussians_and_mesh(work, tmp_path):
    made = posed(rigged_person(Store(work), "toy"), Pose({"left_elbow": 60.0}, "t"))
    for name in ("x.png", "one.png", "x.ply", "x.glb"):
        made.save(tmp_path / name, size=48, azimuth=30.0 if name == "one.png" else None)
    with Image.open(tmp_path / "x.png") as sheet:
        assert sheet.size == (4 * 48, 2 * 48) and json.loads(sheet.text["Comment"])["joints"] == {
            "left_elbow": 60.0
        }
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (48, 48)
    torch.testing.assert_close(ply.load(tmp_path / "x.ply").means, made.gaussians.means)
    assert len(textured_glb.load(tmp_path / "x.glb").vertices) == len(made.mesh.vertices)
    with pytest.raises(CallError, match=r"ends as one of \.png"):
        made.save(tmp_path / "x.gif")


def test_a_joint_moves_what_hangs_on_it_alone(work):
    person = rigged_person(Store(work), "toy")
    bent, rest = (posed(person, Pose(joints, "t")).mesh.vertices for joints in ({"left_elbow": 60.0}, {}))
    moved = (bent - rest).norm(dim=1) > 1e-4
    assert moved.any() and rest[moved][:, 0].min() > 0.2  # x: the person's left arm, at the picture's right


def test_a_pose_of_a_file_is_the_pose_of_the_person(work, tmp_path):
    body = builtin("squat", fps=5).body[6]
    fields = {name: value.numpy() for name, value in vars(body).items()}
    np.savez(tmp_path / "squat.npz", **fields)
    read = read_pose(tmp_path / "squat.npz")
    torch.testing.assert_close(read.body_pose, body.body_pose, atol=1e-5, rtol=0)
    made = posed(rigged_person(Store(work), "toy"), Pose(body=read))
    assert float(made.mesh.vertices[:, 1].max() - made.mesh.vertices[:, 1].min()) < 1.6  # squatting
    with pytest.raises(MissingFile, match="no such file"):
        read_pose(tmp_path / "none.npz")
    (tmp_path / "junk.npz").write_bytes(b"junk")
    with pytest.raises(FormatError, match=r"junk\.npz"):
        read_pose(tmp_path / "junk.npz")


@pytest.mark.parametrize("text", ["left_elbow", "left_elbow=", "left_elbow=x", "left_elbow=1,2"])
def test_angles_that_cannot_be_read_are_refused(text):
    with pytest.raises(CallError, match="JOINT=DEGREES"):
        read_joints([text])


def test_angles_are_one_or_three():
    assert read_joints(["left_elbow=60", "head=1,-2,3"]) == {"left_elbow": 60.0, "head": (1.0, -2.0, 3.0)}
    with pytest.raises(CallError, match="did you mean 'left_elbow'"):
        Pose({"left_elbw": 3.0})
    with pytest.raises(CallError, match="in degrees"):
        Pose({"left_elbow": float("nan")})
    with pytest.raises(CallError, match="expected one of photo"):
        Pose(base="x")
