"""`animate` and `pose` as commands: exit codes, messages, --json, Ctrl-C, and their page in docs/."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_avatar
from typer.testing import CliRunner

from turnaround.flows.cli.app import app, guarded
from turnaround.models.avatar.editing.joints import FLEXIONS
from turnaround.models.avatar.editing.recolor import GROUPS
from turnaround.models.motion.builtin import NAMES

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "animation.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return toy_avatar.make(tmp_path_factory.mktemp("work"), every=8)


def _call(capsys, *arguments: str) -> tuple[int, str, str]:
    code = guarded(lambda: app(list(arguments), standalone_mode=False))
    out, err = capsys.readouterr()
    return code, out, err


def test_a_film_is_written_and_told(work, tmp_path, capsys):
    out = tmp_path / "films"
    arguments = ("toy", "walk", "--seconds", "0.4", "--fps", "10", "--size", "32", "--work", str(work))
    code, told, err = _call(capsys, "animate", *arguments, "--out", str(out), "--json")
    (file,) = json.loads(told)["files"]
    assert code == 0 and "toy: walk, 5 frames" in err
    assert (
        file["path"] == str(out / "toy-walk.mp4") and file["bytes"] == (out / "toy-walk.mp4").stat().st_size
    )
    assert set(file) == set(json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.S)[0])["files"][0])


def test_the_ending_of_out_says_the_format(work, tmp_path, capsys):
    there = ("--work", str(work), "--out")
    code, _, _ = _call(capsys, "animate", "toy", "wave", "--fps", "2", *there, str(tmp_path / "x.npz"))
    assert code == 0 and (tmp_path / "x.npz").read_bytes()[:2] == b"PK"
    code, _, _ = _call(capsys, "pose", "toy", *there, str(tmp_path / "x.ply"))
    assert code == 0 and (tmp_path / "x.ply").read_bytes()[:3] == b"ply"


def test_a_pose_is_written_and_told(work, tmp_path, capsys):
    arguments = ("--set", "left_elbow=60", "--azimuth", "0", "--size", "32", "--out", str(tmp_path / "x.png"))
    code, out, _ = _call(capsys, "pose", "toy", *arguments, "--work", str(work))
    assert code == 0 and out.startswith(str(tmp_path / "x.png"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("animate", "toy"), "and then a motion"),
        (("animate", "nobody", "walk"), "knows no subject 'nobody'"),
        (("animate", "toy", "wlak"), "did you mean 'walk'"),
        (("animate", "toy", "walk", "--to", "gif"), "expected one of mp4"),
        (("animate", "toy", "walk", "--color", "torsoo=red"), "did you mean 'torso'"),
        (("pose", "nobody"), "knows no subject 'nobody'"),
        (("pose", "toy", "--set", "left_elbw=60"), "did you mean 'left_elbow'"),
        (("pose", "toy", "--to", "stl"), "expected one of png"),
        (("pose", "toy", "--out", "x.jpg"), "expected one of png"),
    ],
)
def test_wrong_calls_end_with_2_and_a_remedy(work, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = _call(capsys, *arguments, "--work", str(work))
    assert code == 2 and said in err and out == "" and not list(tmp_path.iterdir())


def test_a_file_that_is_no_motion_is_named(work, tmp_path, capsys):
    file = tmp_path / "dance.bvh"
    file.write_bytes(b"PK\x03\x04")
    code, _, err = _call(capsys, "animate", "toy", str(file), "--work", str(work), "--out", str(tmp_path))
    assert code == 2 and "dance.bvh" in err and list(tmp_path.iterdir()) == [file]


@pytest.mark.heavy
def test_ctrl_c_leaves_nothing_half_written(work, tmp_path):
    command = (sys.executable, "-m", "turnaround.flows.cli.app", "animate", "toy", "walk", "--seconds", "600",
               "--work", str(work), "--out", str(tmp_path / "x.mp4"))  # fmt: skip
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    # a shell that starts the suite in the background leaves SIGINT ignored, and children inherit that
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(temporary.glob("turnaround-*/*")) and time.monotonic() < deadline:
        time.sleep(0.05)  # until the encoder has begun
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in err
    assert not list(temporary.iterdir()) and not (tmp_path / "x.mp4").exists()


def test_help_names_the_motions_and_the_page_names_motions_joints_and_parts():
    shown = CliRunner().invoke(app, ["animate", "--help"], env={"COLUMNS": "200"}).output
    assert all(name in shown and f"`{name}`" in PAGE for name in NAMES)
    assert not [
        word for word in GROUPS if f"`{word.removeprefix('left_').removeprefix('right_')}`" not in PAGE
    ]
    rows = {
        match[0]: (match[1], match[2])
        for line in PAGE.split("<!-- joints -->")[1].split("<!-- /joints -->")[0].splitlines()[3:]
        for cells in [line.strip("| ").split(" | ")]
        for name in cells[0].replace("` to `3`", "`").split(", ")
        for match in [(name.strip("`").removeprefix("left_"), cells[1], cells[2])]
    }
    for name, (axis, said) in FLEXIONS.items():
        bare = name.removeprefix("left_")
        bare = bare[:-1] + "1" if re.fullmatch(r"(index|middle|pinky|ring|thumb)\d", bare) else bare
        if not name.startswith("right_"):
            letter = "".join(f"{'-' if v < 0 else '+'}{c}" for v, c in zip(axis, "xyz", strict=True) if v)
            assert rows[bare] == (said, letter)
