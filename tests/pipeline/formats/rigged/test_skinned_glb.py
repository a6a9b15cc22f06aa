"""Rigged people as GLB: round trip, exact weights, tracks of what moves, damage."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch
import toy_skinned

from tests.pipeline.formats.test_glb import chunks
from tests.pipeline.formats.test_glb import with_document as changed_document
from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.rigged import reading, skinned_glb
from turnaround.pipeline.formats.rigged.skinned import Clip
from turnaround.pipeline.values.rig import SkinWeights

PERSON, CLIPS, MORPHS = toy_skinned.person(), toy_skinned.clips(), toy_skinned.morphs()
GOOD = skinned_glb.encode(PERSON, CLIPS, MORPHS, extras={"subject": "toy"})


def test_everything_comes_back():
    person, clips, morphs = reading.decode(GOOD)
    assert torch.equal(person.mesh.vertices, PERSON.mesh.vertices)
    assert torch.equal(person.mesh.faces, PERSON.mesh.faces) and torch.equal(person.mesh.uv, PERSON.mesh.uv)
    assert torch.equal(person.skin.bones, PERSON.skin.bones)
    assert (person.skin.weights - PERSON.skin.weights).abs().max() < 1 / skinned_glb.STEPS
    assert person.skeleton[:2] == PERSON.skeleton[:2]
    np.testing.assert_allclose(person.skeleton.joints, PERSON.skeleton.joints, atol=1e-7)
    for found, given in zip(clips, CLIPS, strict=True):
        assert (found.name, found.fps) == (given.name, given.fps)
        np.testing.assert_allclose(found.root, given.root, atol=1e-6)
        same = np.abs((found.rotations * given.rotations).sum(-1))
        np.testing.assert_allclose(same, 1, atol=1e-6)
    for found, given in zip(morphs, MORPHS, strict=True):
        assert found.name == given.name and (found.indices == given.indices).all()
        np.testing.assert_allclose(found.deltas, given.deltas, atol=1e-7)


def test_the_same_person_gives_the_same_bytes_and_says_where_it_is_from():
    assert skinned_glb.encode(PERSON, CLIPS, MORPHS, extras={"subject": "toy"}) == GOOD
    assert chunks(GOOD)[0]["asset"]["extras"] == {"subject": "toy"}


def test_weights_are_one_in_float32_in_any_order():
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(500, 4, generator=generator) ** 6
    weights[::7, 1:] = 0
    skin = SkinWeights(torch.arange(4).expand(500, 4).clone(), weights / weights.sum(1, keepdim=True))
    bones, found = skinned_glb.quantised(skin)
    assert bones.dtype == np.uint8 and found.dtype == np.float32 and (found >= 0).all()
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        total = np.float32(0)
        for k in order:
            total = total + found[:, k]
        assert (total == 1).all()
    assert (bones[found == 0] == 0).all() and np.abs(
        found - skin.weights.numpy()
    ).max() < 2 / skinned_glb.STEPS
    with pytest.raises(FormatError, match="one bone twice"):
        skinned_glb.quantised(SkinWeights(torch.ones(1, 4, dtype=torch.long), torch.full((1, 4), 0.25)))


def test_bones_that_rest_in_all_clips_have_no_track_and_those_that_keep_still_one_key():
    document, _ = chunks(GOOD)
    move, pose = document["animations"]

    def keys(clip):
        count = lambda channel: document["accessors"][clip["samplers"][channel["sampler"]]["output"]]["count"]  # noqa: E731
        return [(c["target"]["node"], c["target"]["path"], count(c)) for c in clip["channels"]]

    assert keys(move) == [(0, "translation", 5), (1, "rotation", 5), (2, "rotation", 1)]
    assert keys(pose) == [(0, "translation", 1), (1, "rotation", 1), (2, "rotation", 1)]
    assert move["extras"] == {"fps": 25.0}


def test_signs_of_a_track_do_not_jump():
    angles = np.linspace(0, 4 * np.pi, 60)
    quats = np.stack([np.cos(angles / 2), np.sin(angles / 2), 0 * angles, 0 * angles], -1)[:, None]
    jumping = quats * np.where(np.arange(60) % 3 == 0, -1, 1)[:, None, None]
    smooth = skinned_glb.smooth_signs(jumping)
    assert ((smooth[1:] * smooth[:-1]).sum(-1) > 0).all() and smooth[0, 0, 0] > 0
    np.testing.assert_allclose(smooth, quats, atol=1e-12)


def test_bones_take_the_vertices_where_glTF_says():
    """The mesh at rest: every bone's node times its inverse bind matrix is the identity."""
    document, binary = chunks(GOOD)
    nodes = document["nodes"]
    entry = document["bufferViews"][
        document["accessors"][document["skins"][0]["inverseBindMatrices"]]["bufferView"]
    ]
    inverse = np.frombuffer(binary, "<f4", entry["byteLength"] // 4, entry["byteOffset"]).reshape(-1, 4, 4)
    places = {0: np.array(nodes[0]["translation"])}
    for k in range(3):
        for child in nodes[k].get("children", []):
            places[child] = places[k] + nodes[child]["translation"]
    for bone, place in places.items():
        np.testing.assert_allclose(inverse[bone, 3, :3], -place, atol=1e-6)


with_document = functools.partial(changed_document, good=GOOD)

MALFORMED = {
    "empty": b"",
    "cut short": GOOD[:-4],
    "another program": with_document(lambda d: d["asset"].update(generator="Blender")),
    "no skin": with_document(lambda d: d.pop("skins")),
    "bones elsewhere": with_document(lambda d: d["skins"][0].update(joints=[1, 2, 0])),
    "view outside": with_document(lambda d: d["bufferViews"][0].update(byteOffset=10**8)),
    "view before": with_document(lambda d: d["bufferViews"][0].update(byteOffset=-8)),
    "more than there is": with_document(lambda d: d["accessors"][0].update(count=10**6)),
    "fewer weights": with_document(lambda d: d["accessors"][4].update(count=1)),
    "track of another bone": with_document(
        lambda d: d["animations"][0]["channels"][1]["target"].update(node=99)
    ),
    "names of no targets": with_document(lambda d: d["meshes"][0]["extras"].update(targetNames=["x"])),
    "no speed": with_document(lambda d: d["animations"][0]["extras"].update(fps=0)),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_refused_by_name(tmp_path, case):
    (tmp_path / "bad.glb").write_bytes(MALFORMED[case])
    with pytest.raises(FormatError, match=r"bad\.glb: "):
        reading.load(tmp_path / "bad.glb")


def test_what_does_not_fit_is_not_written():
    skeleton = PERSON.skeleton
    with pytest.raises(FormatError, match="do not follow their parents"):
        skinned_glb.encode(PERSON._replace(skeleton=skeleton._replace(parents=(-1, 2, 0))))
    with pytest.raises(FormatError, match="weights of 2 points"):
        skinned_glb.encode(PERSON._replace(skin=PERSON.skin[:2]))
    with pytest.raises(FormatError, match="clip 'x': rotations"):
        skinned_glb.encode(PERSON, [Clip("x", 30.0, np.ones((2, 3, 4)), np.zeros((1, 3)))])
    with pytest.raises(FormatError, match="clip 'x' has values that are not finite"):
        skinned_glb.encode(PERSON, [Clip("x", 30.0, np.full((1, 3, 4), np.nan), np.zeros((1, 3)))])
    with pytest.raises(FormatError, match="morph 'smile' names vertices"):
        skinned_glb.encode(PERSON, morphs=[MORPHS[0]._replace(indices=np.array([1, 9]))])
    with pytest.raises(FormatError, match="not finite"):
        nan = dataclasses.replace(PERSON.mesh, vertices=PERSON.mesh.vertices * torch.nan)
        skinned_glb.encode(PERSON._replace(mesh=nan))
