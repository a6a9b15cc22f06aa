"""The stage `refine` from values to values, with small untrained networks: every output is there and can be
kept."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from turnaround.data.sets.perturbed import disturbed, posed_person
from turnaround.models.body.model import JOINT_NAMES, BodyModel
from turnaround.models.hgm.config import hgm_config
from turnaround.models.hgm.create import create_hgm
from turnaround.models.hgm.weights import save_hgm
from turnaround.models.mesh.silhouette import body_masks
from turnaround.models.normals.network import NormalNetwork
from turnaround.models.refinement.config import RefinementConfig
from turnaround.models.refinement.person import OWN_KEYPOINTS
from turnaround.models.zoo import save_state
from turnaround.pipeline.errors import MissingFile
from turnaround.pipeline.formats.codecs import codec_for
from turnaround.pipeline.formats.normal_image import decode_normals
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.camera import canonical_camera, project
from turnaround.pipeline.values.types import View
from turnaround.stages.refine import Refine, RefineConfig

SIZE = 128


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_hgm(create_hgm(hgm_config("tiny")), folder / "hgm.safetensors")
    save_state(folder / "normals.safetensors", NormalNetwork().state_dict(), {})
    return {"hgm": str(folder / "hgm.safetensors"), "normal_maps": str(folder / "normals.safetensors")}


@pytest.fixture(scope="module")
def inputs():
    model = BodyModel.load()
    person = posed_person(model, 5)
    camera = canonical_camera(SIZE)
    mask = body_masks(person.surface, model.skin_faces.numpy().astype(np.int32), camera[None], samples=4)[0]
    view = View(torch.ones(SIZE, SIZE, 3) - 0.5 * mask[..., None], mask, camera)
    pixels, _ = project(person.joints[:22], camera)
    keypoints = {name: [*xy, 0.9] for name, xy in zip(JOINT_NAMES, pixels.tolist(), strict=False)}
    none = {"source": "none", "reason": "not asked"}
    return {"view": view, "landmarks": none, "body": disturbed(model, person, 5), "keypoints": keypoints}


def run(networks, inputs, enabled=True, **fit):
    config = RefineConfig(**networks, enabled=enabled, fit=RefinementConfig(**fit))
    return Refine(config).run(device=torch.device("cpu"), **inputs)


def test_every_output_can_be_kept_and_read_back(networks, inputs, tmp_path):
    made = run(networks, inputs, iterations=4, model_every=2, feed_body_from=2, size=SIZE)
    for name, kind in Refine.makes.items():
        codec = codec_for(kind)
        codec.save(getattr(made, name), tmp_path / f"{name}{codec.suffix}")
        assert codec.load(tmp_path / f"{name}{codec.suffix}") is not None
    assert sorted(made.masks) == ["030", "090", "180", "270"]
    path, kept = made.path, int(made.trace["kept"].split()[1])
    assert path.transl.shape == (5, 3) and torch.equal(path[0].body_pose, inputs["body"].body_pose)
    assert all(torch.equal(getattr(path[kept], name), value) for name, value in vars(made.body).items())
    records = made.trace["iterations"]
    assert len(records) == 4 and all({"front", "sides", "joints", "normals"} <= set(r) for r in records)
    normals, alpha = decode_normals(made.normals_front, canonical_camera(made.normals_front.shape[0]))
    assert (alpha > 0).float().mean() > 0.03
    assert normals[alpha > 0][:, 2].mean() < 0  # the front faces the camera
    normals, alpha = decode_normals(made.normals_back, canonical_camera(made.normals_back.shape[0]))
    assert len(made.gaussians) > 0


def test_switches_turn_terms_off(networks, inputs):
    bare = {"iterations": 1, "size": SIZE, "side_weight": 0, "normal_weight": 0, "joint_weight": 0}
    record = run(networks, inputs, **bare).trace["iterations"][0]
    assert record["sides"] == 0 and "joints" not in record and "normals" not in record
    off = run(networks, inputs, enabled=False)
    assert all(
        torch.equal(x, y) for x, y in zip(vars(off.body).values(), vars(inputs["body"]).values(), strict=True)
    )
    assert off.trace["iterations"] == []
    assert off.path.transl.shape == (1, 3)


def test_keypoints_pull_harder_where_they_are_landmarks(networks, inputs):
    settings = {"iterations": 1, "size": SIZE, "normal_weight": 0}
    found = {"source": "blazepose"}
    told = {name: row for name, row in inputs["keypoints"].items() if name != "pelvis"}
    cases = ({"keypoints": told}, {"keypoints": told, "landmarks": found}, {"landmarks": found})
    none, seen, embedded = (run(networks, inputs | case, **settings) for case in cases)
    own, pulled = (made.trace["iterations"][0]["joints"] for made in (none, seen))
    assert pulled > 0 and own == pytest.approx(OWN_KEYPOINTS * pulled, rel=1e-5)
    # landmarks were found, and the picture's network was asked for all the same
    assert embedded.trace["iterations"][0]["joints"] < 0.2 * pulled


def test_faults_of_photo_and_folder_are_told(networks, inputs, tmp_path):
    empty = dataclasses.replace(inputs["view"], mask=torch.zeros(SIZE, SIZE), image=torch.ones(SIZE, SIZE, 3))
    with pytest.raises(StageError, match="mask is empty"):
        run(networks, {**inputs, "view": empty}, iterations=1, size=SIZE)
    with pytest.raises(MissingFile, match=r"normals_front\.png"):
        run({**networks, "normal_maps": str(tmp_path)}, inputs)
