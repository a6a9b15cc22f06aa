"""The landmark networks: out of their package into the cache, their pins, what is said where one is
missing."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from turnaround.flows.cli.app import app, guarded
from turnaround.flows.show import doctor
from turnaround.models import zoo
from turnaround.models.landmarks import files
from turnaround.models.landmarks.files import NetworkFile
from turnaround.pipeline.packages.registry import VARIABLE, RegistryError

ROOT = Path(__file__).resolve().parents[3]
PACKED = b"face" + b"..." + b"hand"
WHOLE = b"a whole member"
CONTENTS = {"face_detection": b"face", "hand_landmark": b"hand", "pose_landmark_lite": WHOLE}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def turn(*words: str) -> int:
    return guarded(lambda: app(list(words), standalone_mode=False))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in a folder that stands for the network, with the pins of its three networks."""
    members = {"package/packed.data": PACKED, "package/lite.tflite": WHOLE, "package/other.wasm": b"no"}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(stream.getvalue()).digest()).decode()
    networks = {
        "face_detection": NetworkFile("where faces are", sha256(b"face"), "packed.data", (0, 4)),
        "hand_landmark": NetworkFile("landmarks of a hand", sha256(b"hand"), "packed.data", (7, 11)),
        "pose_landmark_lite": NetworkFile("landmarks of the body", sha256(WHOLE), "lite.tflite"),
    }
    monkeypatch.setattr(files, "NETWORKS", networks)
    monkeypatch.setattr(files, "PACKAGE", dataclasses.replace(files.PACKAGE, digest=integrity))
    monkeypatch.setenv("TURNAROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    file = tmp_path / files.PACKAGE.file
    file.write_bytes(stream.getvalue())
    return file


def found(tmp_path: Path) -> dict[str, bytes]:
    return {file.stem: file.read_bytes() for file in (tmp_path / "cache").rglob("*") if file.is_file()}


def test_every_network_is_taken_out_of_the_package(package, tmp_path):
    assert not files.available(CONTENTS)
    assert files.fetch_networks() == tmp_path / "cache/landmarks"
    assert files.available(CONTENTS) and found(tmp_path) == CONTENTS, "and nothing else, no lock either"
    package.unlink()
    files.fetch_networks()  # nothing to do


def test_only_what_is_wrong_is_written_again(package, tmp_path):
    files.fetch_networks()
    before = {name: files.path(name).stat().st_ino for name in CONTENTS}
    files.path("hand_landmark").write_bytes(b"????")
    files.path("face_detection").unlink()
    assert not files.available(CONTENTS) and files.available(["hand_landmark", "pose_landmark_lite"])
    files.fetch_networks()
    assert found(tmp_path) == CONTENTS
    assert files.path("pose_landmark_lite").stat().st_ino == before["pose_landmark_lite"]


def test_a_network_of_another_digest_is_not_written(package, tmp_path, monkeypatch):
    shifted = dataclasses.replace(files.NETWORKS["hand_landmark"], span=(6, 10))
    monkeypatch.setitem(files.NETWORKS, "hand_landmark", shifted)
    pinned, got = sha256(b"hand"), sha256(b".han")
    with pytest.raises(RegistryError, match=f"hand_landmark: expected sha256 {pinned}, got {got}"):
        files.fetch_networks()
    assert "hand_landmark" not in found(tmp_path)


def test_the_zoo_names_what_is_missing_and_the_command(package):
    with pytest.raises(zoo.MissingWeight) as caught:
        zoo.path("pose_landmark_heavy")
    for said in (
        "'pose_landmark_heavy' is missing",
        str(files.path("pose_landmark_heavy")),
        "Apache-2.0 (Google MediaPipe)",
        "`turnaround fetch`",
        "the project's own estimator and matting, which have never seen a photograph",
    ):
        assert said in str(caught.value)
    with pytest.raises(zoo.MissingWeight, match="turnaround fetch"):
        zoo.digest("pose_landmark_heavy")
    with pytest.raises(zoo.MissingWeight, match="no embedded or fetched weight is called 'smplx'"):
        zoo.path("smplx")


def test_the_zoo_checks_the_pin(package):
    files.fetch_networks()
    assert zoo.path("hand_landmark") == files.path("hand_landmark")
    assert zoo.digest("hand_landmark") == sha256(b"hand")
    files.path("hand_landmark").write_bytes(b"????")
    with pytest.raises(zoo.MissingWeight, match=r"has sha256 .*get the right one with `turnaround fetch`"):
        zoo.digest("hand_landmark")


def test_pins_are_of_embedded_weights_only(package, tmp_path, monkeypatch):
    files.fetch_networks()
    monkeypatch.setattr(zoo, "INDEX", tmp_path / "index.json")
    assert not set(zoo.pin()) & set(zoo.landmark_files.NETWORKS)


def test_the_command_says_what_it_fetches_and_where(package, tmp_path, capsys):
    assert turn("fetch") == 0
    said = capsys.readouterr().out
    where = str(tmp_path / "cache/landmarks")
    for part in ("@mediapipe/holistic 0.5.1675471629", "Apache-2.0", "52.6 MB", where):
        assert part in said
    assert found(tmp_path) == CONTENTS


def test_the_command_fails_with_the_remedy_in_one_line(package, tmp_path, capsys, monkeypatch):
    package.unlink()
    assert turn("fetch") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"no such file in {tmp_path}" in said and "put the file at" in said
    assert found(tmp_path) == {}
    monkeypatch.setenv("TURNAROUND_CACHE", str(package.with_name("file")))
    package.with_name("file").write_bytes(b"in the way")
    assert turn("fetch") == 1


def test_doctor_lists_them_and_misses_none(package, tmp_path, capsys):
    states = ("present", "missing", "missing")
    files.fetch_networks()
    files.path("hand_landmark").unlink()
    files.path("pose_landmark_lite").unlink()
    seen = doctor.examine(tmp_path / "work")
    weights = {weight["name"]: weight for weight in seen["weights"]}
    assert tuple(weights[name]["state"] for name in CONTENTS) == states and seen["ok"]
    assert {weights[name]["kind"] for name in CONTENTS} == {"fetched"}
    assert "turnaround fetch" in weights["hand_landmark"]["remedy"] and weights["hand_landmark"]["licence"]
    said = doctor.render(seen, as_json=False)
    assert said.count("`turnaround fetch`; without it: the project's own") == 1, "told once for all of them"
    files.path("face_detection").write_bytes(b"????")
    seen = doctor.examine(tmp_path / "work")
    assert not seen["ok"] and "turnaround fetch" in seen["problems"][0], "a changed one stops a run"


def test_the_real_pins_are_eight_and_whole():
    assert {*files.NETWORKS, "vgg16"} == {
        name for name, weight in zoo.WEIGHTS.items() if weight.kind == "fetched"
    }
    assert len(files.NETWORKS) == 8 and all(len(known.sha256) == 64 for known in files.NETWORKS.values())
    for name in filter(lambda name: files.available([name]), files.NETWORKS):
        assert zoo.digest(name) == files.NETWORKS[name].sha256


def test_neither_torch_nor_the_network_is_imported_to_know_them():
    code = "import json, sys; from turnaround.models import zoo; json.dump(sorted(sys.modules), sys.stdout)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "ssl", "urllib.request", "http.client", "tarfile"} & set(json.loads(done.stdout))
