"""`export` of what a skeleton moves: GLB, VRM, FBX, BVH, the T pose, and subjects that have no rig yet."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_avatar
import toy_person

import turnaround as ta
from tests.pipeline.formats.test_glb import chunks
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.exports import blender
from turnaround.flows.exports.export import Changes, export_file, sources_of
from turnaround.models.motion.builtin import builtin
from turnaround.pipeline.formats import bvh, ply
from turnaround.pipeline.formats.rigged.reading import decode


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return toy_avatar.make(tmp_path_factory.mktemp("work"))


def turn(*words: str) -> int:
    return guarded(lambda: app(["export", *words], standalone_mode=False))


def test_the_command_writes_a_rigged_glb_with_clips(work, tmp_path, capsys):
    options = ["--work", str(work), "--out", str(tmp_path), "--json"]
    assert turn("toy", "--to", "glb", "--rig", "--clips", "idle, t_pose", *options) == 0
    (row,) = json.loads(capsys.readouterr().out)["files"]
    assert row["stages"] == ["rig"] and row["path"].endswith("toy.glb")
    data = Path(row["path"]).read_bytes()
    person, clips, morphs = decode(data)
    assert [clip.name for clip in clips] == ["idle", "t_pose"] and len(morphs) == 11
    assert len(person.skeleton.names) == 61 and float(person.mesh.vertices[:, 1].max()) == pytest.approx(
        0, abs=1e-6
    )
    said = chunks(data)[0]["asset"]["extras"]
    assert said["program"].startswith("turnaround ") and said["clips"] == {"idle": "idle", "t_pose": "t_pose"}
    assert list(said["rigs"]) == ["toy"]
    again = export_file(work, "toy", "glb", tmp_path / "again.glb", Changes(clips=("idle", "t_pose")))
    assert again.path.read_bytes() == data, "clips bring the rig, and the same wish gives the same bytes"


def test_height_scales_all_of_it(work, tmp_path):
    plain, tall = (
        decode(export_file(work, "toy", "glb", tmp_path / name, changes).path.read_bytes())
        for name, changes in (
            ("a.glb", Changes(rig=True, clips=("walk_forward",))),
            ("b.glb", Changes(rig=True, clips=("walk_forward",), height=3.4)),
        )
    )
    scale = float(tall.person.mesh.vertices[:, 1].min() / plain.person.mesh.vertices[:, 1].min())
    assert scale > 1.5
    np.testing.assert_allclose(tall.person.skeleton.joints, plain.person.skeleton.joints * scale, atol=1e-5)
    np.testing.assert_allclose(tall.clips[0].root, plain.clips[0].root * scale, atol=1e-5)
    np.testing.assert_allclose(tall.morphs[0].deltas, plain.morphs[0].deltas * scale, atol=1e-5)
    np.testing.assert_allclose(tall.clips[0].rotations, plain.clips[0].rotations, atol=1e-6)


def test_a_vrm_tells_its_licence(work, tmp_path):
    assert (
        turn("toy", "--to", "vrm", "--work", str(work), "--out", str(tmp_path), "--meta", "authors=Ann") == 0
    )
    document, _ = chunks((tmp_path / "toy.vrm").read_bytes())
    told = document["extensions"]["VRMC_vrm"]
    assert (
        told["specVersion"] == "1.0" and told["meta"]["authors"] == ["Ann"] and told["meta"]["name"] == "toy"
    )
    assert told["expressions"]["preset"]["aa"]["morphTargetBinds"][0]["index"] == 10
    assert "animations" not in document


def test_a_bvh_is_the_skeleton_or_one_clip(work, tmp_path, capsys):
    rest = bvh.decode(export_file(work, "toy", "bvh", tmp_path).path.read_bytes())
    assert len(rest) == 1 and len(rest.names) == 55
    moving = export_file(work, "toy", "bvh", tmp_path, Changes(clips=("wave",)))
    assert len(bvh.decode(moving.path.read_bytes())) == len(builtin("wave"))
    assert (
        turn("toy", "--to", "bvh", "--clips", "idle,walk", "--work", str(work), "--out", str(tmp_path)) == 2
    )
    assert "a bvh holds one clip, and --clips names 2" in capsys.readouterr().err


def test_the_t_pose_goes_into_formats_without_bones(work, tmp_path):
    avatar = toy_avatar.avatar()
    found = ply.decode(export_file(work, "toy", "ply", tmp_path, Changes(rig=True)).path.read_bytes())
    assert torch.equal(found.means, avatar.gaussians.means)
    few = ply.decode(
        export_file(work, "toy", "ply", tmp_path, Changes(rig=True, gaussians=50)).path.read_bytes()
    )
    assert len(few) == 50
    path = export_file(work, "toy", "obj", tmp_path, Changes(rig=True)).path
    rows = [line.split() for line in path.read_text().splitlines() if line.startswith("v ")]
    assert len(rows) == len(avatar.mesh.vertices)
    wide = np.ptp(np.array(rows)[:, 1].astype(float))
    assert wide == pytest.approx(float(np.ptp(avatar.mesh.vertices[:, 0].numpy())), abs=1e-4)


def test_a_person_is_saved_with_clips_of_all_kinds(work, tmp_path):
    person = ta.load(work, "toy")
    (tmp_path / "mine.bvh").write_bytes(
        export_file(work, "toy", "bvh", tmp_path, Changes(clips=("squat",))).path.read_bytes()
    )
    path = person.save(tmp_path / "x.glb", rig=True, clips=["wave", tmp_path / "mine.bvh", builtin("t_pose")])
    assert [clip.name for clip in decode(path.read_bytes()).clips] == ["wave", "mine", "motion"]
    with pytest.raises(ta.TurnaroundError, match="two clips are called 'wave'"):
        person.save(tmp_path / "x.glb", clips=["wave", "wave"])
    with pytest.raises(ta.TurnaroundError, match="no motion is called 'wvae', did you mean 'wave'"):
        person.save(tmp_path / "x.glb", clips="wvae")
    assert person.save(tmp_path / "x.vrm", meta={"authors": "Ann"}).is_file()


def test_textures_of_a_rig_are_halved_and_not_baked(work, tmp_path):
    own = toy_avatar.avatar().mesh.texture.shape[0]
    small = export_file(work, "toy", "glb", tmp_path, Changes(rig=True, texture=own // 2))
    assert decode(small.path.read_bytes()).person.mesh.texture.shape[0] == own // 2
    with pytest.raises(
        ValueError, match=r"of which a half.*rerun texture -s toy --set stages.texture.size=1000"
    ):
        export_file(work, "toy", "glb", tmp_path, Changes(rig=True, texture=1000))


def test_without_a_rig_the_next_command_is_told(tmp_path, capsys):
    toy_person.make(tmp_path)
    for words in (["vrm"], ["glb", "--rig"], ["glb", "--clips", "walk"], ["bvh"]):
        assert turn("toy", "--work", str(tmp_path), "--out", str(tmp_path), "--to", *words) == 2
        assert "toy has no rig yet: `turnaround rerun rig -s toy` makes it" in capsys.readouterr().err
    assert sources_of(tmp_path, "toy", "vrm") == () and sources_of(tmp_path, "toy", "glb") == ("texture",)


def test_options_go_with_their_formats(work, capsys):
    for words, said in {
        ("mp4", "--rig"): "--rig goes with --to glb, obj, ply, splat, spz; --to mp4 does not know it",
        (
            "vrm",
            "--clips",
            "walk",
        ): "--clips goes with --to glb, fbx, usdz, bvh, html; --to vrm does not know it",
        ("glb", "--meta", "authors=A"): "--meta goes with --to vrm",
        ("vrm", "--meta", "authors"): "--meta authors: expected FIELD=VALUE",
        ("bvh", "--height", "1.8"): "--height goes with --to glb",
    }.items():
        assert turn("toy", "--work", str(work), "--to", *words) == 2
        assert said in capsys.readouterr().err


# by Blender

FAKE = """
import json, sys, types
calls = []
class Ops:
    def __init__(self, name): self.name = name
    def __getattr__(self, name): return Ops(self.name + "." + name)
    def __call__(self, **given):
        calls.append([self.name, {k: sorted(v) if isinstance(v, set) else v for k, v in given.items()}])
        if "export" in self.name:
            open(given["filepath"], "w").write(json.dumps(calls))
ops = Ops("ops")
context = types.SimpleNamespace(scene=types.SimpleNamespace(render=types.SimpleNamespace()))
data = types.SimpleNamespace(actions=[types.SimpleNamespace(frame_range=(0.0, 95.0))])
"""


def test_fbx_says_what_to_install(work, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(blender.importlib.util, "find_spec", lambda name: None)
    assert turn("toy", "--to", "fbx", "--work", str(work), "--out", str(tmp_path)) == 2
    said = capsys.readouterr().err
    assert "needs Blender as the package bpy" in said and "--to glb --rig" in said
    own = sys.version_info[:2] == blender.PYTHON
    assert (f"`pip install bpy=={blender.BPY}`" if own else "is for Python 3.11, this is") in said
    monkeypatch.setattr(blender, "PYTHON", (3, 1))
    with pytest.raises(ValueError, match=r"bpy .* is for Python 3\.1, this is"):
        blender.by_blender(b"", "usdz", 30)


def test_fbx_is_written_by_bpy_out_of_the_glb(work, tmp_path, monkeypatch):
    (tmp_path / "bpy.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = export_file(work, "toy", "fbx", tmp_path / "x.fbx", Changes(clips=("walk",)))
    (reset, _), (read, of), (write, wish) = json.loads(made.path.read_text())
    assert (reset, read, write) == (
        "ops.wm.read_factory_settings",
        "ops.import_scene.gltf",
        "ops.export_scene.fbx",
    )
    assert of["filepath"].endswith("person.glb") and wish["object_types"] == ["ARMATURE", "MESH"]
    assert wish["embed_textures"] and wish["bake_anim_use_all_actions"]
    usdz = export_file(work, "toy", "usdz", tmp_path / "x.usdz", Changes(clips=("walk",)))
    *_, (write, wish) = json.loads(usdz.path.read_text())
    assert write == "ops.wm.usd_export" and wish["export_animation"] and wish["export_armatures"]
    (tmp_path / "bpy.py").write_text("raise ImportError('libXi.so.6 is missing')")
    with pytest.raises(ValueError, match=r"bpy could not write the fbx \(ImportError: libXi"):
        export_file(work, "toy", "fbx", tmp_path / "x.fbx")


@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="no Blender: pip install bpy")
@pytest.mark.parametrize(("to", "head"), [("fbx", b"Kaydara FBX Binary"), ("usdz", b"PK")])
def test_blender_itself_writes_it(work, tmp_path, to, head):
    made = export_file(work, "toy", to, tmp_path, Changes(clips=("walk",)))
    content = made.path.read_bytes()
    assert content.startswith(head) and len(content) > 500_000
