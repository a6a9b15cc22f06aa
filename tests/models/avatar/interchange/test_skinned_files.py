"""Rigged people in other programs' hands: the validator, three.js and three-vrm against our own skinning."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import three_page
import torch
import toy_avatar
from chromium import Browser, needs_chromium

from turnaround.models.avatar.bones import BONE_NAMES
from turnaround.models.avatar.editing.reshape import expressive
from turnaround.models.avatar.face.presets import PRESETS
from turnaround.models.avatar.interchange import skinned as interchange
from turnaround.models.avatar.interchange.expression import JAW_OPEN, moving_faces, presets_of
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.mesh.view import textured_pictures
from turnaround.models.motion.builtin import builtin
from turnaround.models.motion.retarget import retarget
from turnaround.pipeline.formats.rigged import group, skinned_glb, vrm
from turnaround.pipeline.formats.rigged.reading import decode
from turnaround.pipeline.values.close_orbit import close_orbit
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.rotation import quat_to_matrix
from turnaround.pipeline.values.types import Body

TURN = np.array([1, -1, -1])


@pytest.fixture(scope="module")
def made():
    avatar = toy_avatar.avatar()
    betas = avatar.rig.rest.betas
    motions = [(name, retarget(builtin(name, fps=10), betas, avatar.model)) for name in ("walk", "t_pose")]
    person, clips = interchange.skinned(avatar), interchange.clips(avatar, motions)
    return avatar, person, clips, interchange.morphs(avatar)


def bent(**degrees: tuple[float, float, float]) -> Body:
    """The toy's body, its pelvis where the file has it at rest, some joints turned."""
    avatar = toy_avatar.avatar()
    pose = torch.zeros(21, 3)
    for name, angles in degrees.items():
        pose[JOINT_INDEX[name] - 1] = torch.deg2rad(torch.tensor(angles))
    body = dataclasses.replace(avatar.rig.rest, body_pose=pose)
    there = torch.tensor([0.0, -interchange.lowest(avatar), 0.0])
    return dataclasses.replace(body, transl=there - avatar.model.joints(body)[0])


def test_a_clip_moves_the_mesh_as_we_do(made):
    """Bones down the tree from the file's rotations, against `posed_mesh` of the retargeted frames."""
    avatar, person, clips, _ = made
    back = decode(skinned_glb.encode(person, clips)).clips[0]
    fitted = retarget(builtin("walk", fps=10), avatar.rig.rest.betas, avatar.model)
    joints = torch.from_numpy(person.skeleton.joints)
    for frame in (0, 7):
        local = quat_to_matrix(torch.from_numpy(back.rotations[frame]))
        world, places = [local[0]], [torch.from_numpy(back.root[frame])]
        for bone in range(1, len(BONE_NAMES)):
            parent = person.skeleton.parents[bone]
            world.append(world[parent] @ local[bone])
            places.append(places[parent] + world[parent] @ (joints[bone] - joints[parent]))
        shifts = torch.stack(places) - (torch.stack(world) @ joints[..., None])[..., 0]
        own = (torch.stack(world)[person.skin.bones] * person.skin.weights[..., None, None]).sum(1)
        moved = (own @ person.mesh.vertices.double()[..., None])[..., 0]
        moved += (shifts[person.skin.bones] * person.skin.weights[..., None]).sum(1)
        expected = avatar.posed_mesh(fitted.body[frame]).vertices
        assert (moved - expected).abs().max() < 2e-5, "the toy wears no shoes: the same ground"


def test_the_validator_has_nothing_to_say(made, tmp_path):
    _, person, clips, morphs = made
    issues = three_page.validated(skinned_glb.encode(person, clips, morphs), tmp_path / "glb")
    assert issues["messages"] == []
    told = three_page.validated(
        vrm.encode(person, morphs, vrm.meta_of("x", {}), presets=presets_of(morphs)), tmp_path / "vrm"
    )
    assert {(message["code"], message["severity"]) for message in told["messages"]} == {
        ("UNSUPPORTED_EXTENSION", 2)
    }, "the validator knows no VRM, and says so as information"


def smiling() -> Motion:
    """The toy's idle clip, whose face goes from still to a smile."""
    clip = retarget(builtin("idle", fps=10), toy_avatar.avatar().rig.rest.betas, toy_avatar.MODEL)
    face = torch.linspace(0, 1, len(clip))[:, None] * torch.tensor(PRESETS["happy"].expression)
    return dataclasses.replace(clip, body=dataclasses.replace(clip.body, expression=face))


def test_a_clip_carries_the_face(made, tmp_path):
    avatar, person, still, morphs = made
    clips, shapes = interchange.animated(avatar, [("still", builtin("t_pose")), ("smile", smiling())])
    data = skinned_glb.encode(person, clips, shapes)
    assert three_page.validated(data, tmp_path / "glb")["messages"] == []
    back = decode(data)
    assert [morph.name for morph in shapes[len(morphs) :]] == ["moving_0"], "one face is enough"
    np.testing.assert_allclose(back.clips[1].shapes[:, -1], np.linspace(0, 1, 41), atol=1e-6)
    assert not back.clips[1].shapes[:, :-1].any()
    assert not back.clips[0].shapes.any(), "programs that come from the smile go back to a still face"
    assert all(clip.shapes is None for clip in decode(skinned_glb.encode(person, still, morphs)).clips)
    with pytest.raises(ValueError, match=r"'still': \(1, 12\) of morphs for 1 frames of 11"):
        skinned_glb.encode(person, clips, morphs)


@pytest.mark.parametrize("rank", [0, 1, 3, 10])
def test_faces_of_clips_are_mixtures_of_few_with_shares_from_0_to_1(rank):
    rng = np.random.default_rng(rank)
    axes = rng.normal(size=(rank, 10))
    clips = [rng.normal(size=(count, rank)) @ axes for count in (7, 30)]
    faces, shares = moving_faces(clips)
    assert len(faces) <= 2 * rank
    for clip, share in zip(clips, shares, strict=True):
        np.testing.assert_allclose(share @ faces, clip, atol=1e-9)
        assert share.shape == (len(clip), len(faces)) and share.min(initial=0) >= 0
    assert np.concatenate(shares).max(initial=0) <= 1
    blinks, _ = moving_faces([np.abs(clips[1][:, :1]) * np.ones(10)])
    assert len(blinks) == (1 if rank else 0), "what goes one way is one face"


@needs_chromium
def test_three_js_plays_the_face(made, tmp_path):
    avatar, person, *_ = made
    smile = smiling()
    data = skinned_glb.encode(person, *interchange.animated(avatar, [("smile", smile)]))
    with three_page.served({"x.glb": data}) as address:
        browser = Browser(tmp_path / "profile", (64, 64))
        try:
            browser.open(address)
            browser.wait("document.body?.dataset.ready")
            browser.run("load('x.glb')")
            browser.run(
                "window.mixer = new THREE.AnimationMixer(gltf.scene);"
                "mixer.clipAction(gltf.animations[0]).play(); mixer.setTime(3); 0"
            )
            face = expressive(avatar, smile.body.expression[30])
            expected = face.posed_mesh(smile.body[30]).vertices.numpy()
            found = places(browser, len(person.mesh.vertices))
            # what moves less than a tenth of a millimetre stays, in each of ten shapes
            assert np.abs(found - expected).max() < 1e-3
            assert np.abs(found - avatar.posed_mesh(smile.body[30]).vertices.numpy()).max() > 5e-3
        finally:
            browser.close()


@needs_chromium
def test_two_persons_move_in_one_scene(made, tmp_path):
    avatar, person, *_ = made
    smile, still = smiling(), retarget(builtin("idle", fps=10), avatar.rig.rest.betas, avatar.model)
    files = [
        skinned_glb.encode(person, *interchange.animated(avatar, [("x", motion)]))
        for motion in (still, smile)
    ]
    data = group.encode([group.Member("Ann", files[0], -0.6), group.Member("Ben", files[1], 0.6)], {"a": 1})
    assert three_page.validated(data, tmp_path / "glb")["messages"] == []
    with three_page.served({"x.glb": data}) as address:
        browser = Browser(tmp_path / "profile", (64, 64))
        try:
            browser.open(address)
            browser.wait("document.body?.dataset.ready")
            browser.run("load('x.glb')")
            assert browser.run("gltf.animations.map((clip) => clip.name)") == ["x"]
            browser.run(
                "window.mixer = new THREE.AnimationMixer(gltf.scene); window.all = [];"
                "gltf.scene.traverse((node) => { if (node.isSkinnedMesh) all.push(node); });"
                "mixer.clipAction(gltf.animations[0]).play(); mixer.setTime(3); 0"
            )
            for number, (motion, x) in enumerate(((still, -0.6), (smile, 0.6))):
                browser.run(f"window.mesh = all[{number}]; 0")
                body = motion.body[30]
                shown = expressive(avatar, body.expression).posed_mesh(body).vertices.numpy()
                found = places(browser, len(person.mesh.vertices))
                assert np.abs(found - shown - [x, 0, 0]).max() < 1e-3
            assert browser.run("['Ann', 'Ben'].map((name) => bone(name).position.x)") == [-0.6, 0.6]
            assert browser.errors == []
        finally:
            browser.close()


def places(browser: Browser, count: int) -> np.ndarray:
    return np.array(browser.run("places()")).reshape(count, 3) * TURN


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


@needs_chromium
def test_three_js_moves_and_shows_what_we_do(made, tmp_path):
    avatar, person, clips, morphs = made
    count, size = len(person.mesh.vertices), 384
    with three_page.served({"x.glb": skinned_glb.encode(person, clips, morphs)}) as address:
        browser = Browser(tmp_path / "profile", (size, size))
        try:
            browser.open(address)
            browser.wait("document.body?.dataset.ready")
            browser.run("load('x.glb')")
            assert np.abs(places(browser, count) - person.mesh.vertices.numpy()).max() < 1e-5
            assert browser.run("gltf.animations.map((clip) => clip.name)") == ["walk", "t_pose"]
            for bone, sign in (("left_elbow", 1), ("right_shoulder", -1)):
                angle = sign * math.pi / 3
                browser.run(f"bone('{bone}').rotation.set(0, {angle}, 0)")
                expected = avatar.posed_mesh(bent(**{bone: (0.0, sign * 60.0, 0.0)}))
                off = np.abs(places(browser, count) - expected.vertices.numpy()).max(1)
                moved = np.abs(expected.vertices.numpy() - person.mesh.vertices.numpy()).max()
                # the twist of an upper arm is in the clips: who turns a shoulder by hand has none
                assert np.quantile(off, 0.9) < 1e-5 and off.max() < (1e-4 if sign > 0 else 0.02)
                assert moved > 0.2
                camera = close_orbit(expected.vertices, (20.0,), size)
                picture = textured_pictures(expected, camera, supersample=4)[0].numpy()
                seen = drawn(browser, camera)
                assert psnr(seen, picture) > 42, bone
                assert psnr(seen[:, ::-1], picture) < 25
                browser.run(f"bone('{bone}').rotation.set(0, 0, 0)")
            browser.run("mesh.morphTargetInfluences[mesh.morphTargetDictionary.jawOpen] = 1")
            deltas = np.zeros((count, 3))
            deltas[morphs[-1].indices] = morphs[-1].deltas
            assert np.abs(places(browser, count) - person.mesh.vertices.numpy() - deltas).max() < 1e-5
            browser.run("mesh.morphTargetInfluences.fill(0)")
            browser.run(
                "window.mixer = new THREE.AnimationMixer(gltf.scene);"
                "mixer.clipAction(gltf.animations[0]).play(); mixer.setTime(0.7); 0"
            )
            fitted = retarget(builtin("walk", fps=10), avatar.rig.rest.betas, avatar.model)
            frame = avatar.posed_mesh(fitted.body[7]).vertices.numpy()
            assert np.abs(places(browser, count) - frame).max() < 1e-4
            assert browser.errors == []
        finally:
            browser.close()


def drawn(browser: Browser, camera) -> np.ndarray:
    """The browser's picture from our camera, in [0, 1]."""
    turn = np.diag([1.0, -1, -1, 1])
    pose = turn @ np.linalg.inv(camera.T_camera_world[0].double().numpy()) @ turn
    K = camera.K[0].double().numpy()
    size = camera.width
    shift = (size / 2 - K[:2, 2]).tolist()
    fov = math.degrees(2 * math.atan(size / 2 / K[1, 1]))
    browser.run(f"draw({size}, {pose.ravel().tolist()}, {fov}, {shift})")
    return browser.picture()[:size, :size] / 255


@needs_chromium
def test_three_vrm_finds_a_human(made, tmp_path):
    avatar, person, _, morphs = made
    morphs = interchange.morphs(avatar, presets=True)
    data = vrm.encode(person, morphs, vrm.meta_of("Toy", {"authors": "A; B"}), presets=presets_of(morphs))
    with three_page.served({"x.vrm": data}) as address:
        browser = Browser(tmp_path / "profile", (64, 64))
        try:
            browser.open(address)
            browser.wait("document.body?.dataset.ready")
            browser.run("load('x.vrm').then(() => { window.vrm = gltf.userData.vrm; })")
            assert browser.run("vrm.meta.name + vrm.meta.authors.join() + vrm.meta.avatarPermission") == (
                "ToyA,BonlyAuthor"
            )
            bones = browser.run(
                "Object.fromEntries(Object.keys(vrm.humanoid.humanBones)"
                ".map((name) => [name, vrm.humanoid.getRawBoneNode(name)?.name]))"
            )
            assert bones == vrm.HUMAN_BONES and len(bones) == 55
            assert sorted(
                browser.run("vrm.expressionManager.expressions.map((e) => e.expressionName)")
            ) == sorted([*PRESETS, *(f"expression_{k}" for k in range(10))])
            browser.run(
                "vrm.humanoid.getNormalizedBoneNode('rightLowerArm').rotation.set(0, -1, 0);"
                "vrm.humanoid.getNormalizedBoneNode('leftHand').rotation.set(1, 0, 0);"
                "vrm.expressionManager.setValue('aa', 0.5); vrm.update(0.1)"
            )
            influence = "mesh.morphTargetInfluences[mesh.morphTargetDictionary.%s]"
            assert browser.run(influence % "jawOpen") == 0.5
            browser.run("vrm.expressionManager.setValue('blinkLeft', 1); vrm.update(0.1)")
            assert browser.run(influence % "blinkLeft") == 1
            browser.run("vrm.expressionManager.setValue('happy', 0.5); vrm.update(0.1)")
            assert browser.run(influence % "jawOpen") < 0.5, "a smile leaves less of speech"
            degrees = math.degrees(1)
            body = bent(right_elbow=(0.0, -degrees, 0.0), left_wrist=(degrees, 0.0, 0.0))
            expected = avatar.posed_mesh(body).vertices.numpy()
            browser.run("mesh.morphTargetInfluences.fill(0)")
            off = np.abs(places(browser, len(person.mesh.vertices)) - expected).max(1)
            # forearms turn about x instead of themselves
            assert np.quantile(off, 0.9) < 1e-5 and off.max() < 1e-3
            assert browser.errors == []
        finally:
            browser.close()


def test_vrm_says_what_was_given_and_else_the_strictest():
    meta = vrm.meta_of("Ann", {})
    assert meta["name"] == "Ann" and meta["authors"] == ["not stated"]
    assert meta["avatarPermission"] == "onlyAuthor" and meta["allowRedistribution"] is False
    given = {
        "name": "B",
        "authors": "C; D",
        "allowRedistribution": "true",
        "modification": "allowModification",
    }
    meta = vrm.meta_of("Ann", given)
    assert (meta["name"], meta["authors"], meta["allowRedistribution"]) == ("B", ["C", "D"], True)
    with pytest.raises(ValueError, match="--meta avatarPermission=all: expected one of onlyAuthor"):
        vrm.meta_of("Ann", {"avatarPermission": "all"})
    with pytest.raises(ValueError, match="--meta colour=red: expected FIELD=VALUE"):
        vrm.meta_of("Ann", {"colour": "red"})
    with pytest.raises(ValueError, match="skeleton lacks: left_wrist"):
        vrm.human_bones([name for name in BONE_NAMES if name != "left_wrist"])


def test_face_shapes_move_the_face_alone(made):
    _, person, _, morphs = made
    assert [morph.name for morph in morphs] == [*(f"expression_{k}" for k in range(10)), JAW_OPEN]
    head = person.skeleton.joints[JOINT_INDEX["head"]]
    for morph in morphs:
        where = person.mesh.vertices.numpy()[morph.indices]
        assert len(where) > 50 and np.linalg.norm(where - head, axis=1).max() < 0.3, morph.name
    jaw = morphs[-1]
    assert 0.01 < jaw.deltas[:, 1].max() < 0.05, "downwards, y down"
