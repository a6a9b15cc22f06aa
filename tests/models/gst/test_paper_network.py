"""The paper's body network: HMR 2.0's numbers from its names, its sizes, its camera, and what is refused."""

from __future__ import annotations

import math
import os
import re
import sys
import types
from pathlib import Path

import pytest
import torch
from toy_hmr2 import TINY, checkpoint_shapes, random_state, slow_hmr2
from toy_people import write_views

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.crop import PLANE, project_plane, to_window
from turnaround.models.estimator.kinematics import Skeleton, to_local
from turnaround.models.estimator.predict import body_of
from turnaround.models.gst import train
from turnaround.models.gst.config import ConvolutionalSize, GSTConfig, ViTSize
from turnaround.models.gst.landmark_tokens import CHANNELS, COUNT
from turnaround.models.gst.model import GST
from turnaround.models.gst.paper.hmr2 import begin_with_hmr2, read_checkpoint, renamed
from turnaround.models.gst.paper.paper_network import PaperNetwork, body_network
from turnaround.models.gst.paper.vit import attend, grid_of
from turnaround.models.gst.person import seen_by
from turnaround.models.gst.weights import begin, read_gst, save_gst
from turnaround.models.splat import rasterize
from turnaround.models.zoo import MissingWeight
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.camera import DISTANCE, canonical_camera
from turnaround.pipeline.values.types import View

CENTRED = torch.tensor([[0.0, 0.0, 0.7], [0.0, 0.0, 0.5]])
LEFT = {"smpl_head.decshape.weight", "smpl_head.decshape.bias", "smpl_head.init_betas"} | {
    "smpl_head.transformer.to_token_embedding.weight",
    "initialized",
    "discriminator.fc.weight",
    "smpl.J_regressor",
    "smpl.v_template",
}
SMALL = GSTConfig.of("tiny").but(network=TINY)


@pytest.fixture(scope="module")
def skeleton():
    body = BodyModel.shared()
    return Skeleton(body.joint_template, body.joint_shapedirs)


@pytest.fixture
def network(skeleton):
    torch.manual_seed(0)
    return PaperNetwork(skeleton, TINY).eval()


@pytest.fixture
def state():
    return random_state(TINY)


@pytest.fixture
def file(state, tmp_path):
    torch.save({"state_dict": state, "epoch": 35}, tmp_path / "hmr2.ckpt")
    return tmp_path / "hmr2.ckpt"


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GST(BodyModel.shared(), SMALL)


def test_the_network_says_what_hmr2_says(network, state, file):
    """Against a slow twin that reads HMR 2.0's own names: rotations, and the pelvis through its camera."""
    begin_with_hmr2(network, file)
    pixels = torch.rand(2, 4, 64, 64)
    pose, camera = slow_hmr2(state, pixels[:, :3], TINY)
    with torch.no_grad():
        found = network(pixels, CENTRED)
    torch.testing.assert_close(to_local(found.rotations), pose[:, :22], atol=2e-5, rtol=0)
    assert (pose[:, 1:] - torch.eye(3)).abs().max() > 0.1 and (found.betas == 0).all()
    scale, moved = camera.split((1, 2), -1)
    focal = 32 * PLANE / CENTRED[:, 2]  # of the window of 64 pixels, in these
    torch.testing.assert_close(found.pelvis[:, 2] + DISTANCE, 2 * focal / (64 * scale[:, 0]))
    rest = (state["smpl.J_regressor"][0] @ state["smpl.v_template"])[:2]
    torch.testing.assert_close(found.keypoints[:, 0], scale * (moved + rest), atol=1e-5, rtol=1e-5)
    # in the middle of a canonical window metres stay metres
    torch.testing.assert_close(found.pelvis[:, :2], moved + rest, atol=1e-5, rtol=1e-5)


def test_every_tensor_of_a_checkpoint_is_taken_or_named(network, state, file):
    found, left = renamed(state, file)
    assert set(left) == LEFT
    for name in set(state) - LEFT:
        changed, _ = renamed({**state, name: state[name] + 1}, file)
        assert [key for key in found if not torch.equal(found[key], changed[key])], name
    assert begin_with_hmr2(network, file) == left
    taken = {
        name for name in network.state_dict() if name not in ("hands", "shape_head.weight", "shape_head.bias")
    }
    assert taken == set(found)


def test_a_file_without_smpl_has_a_pelvis_too(network, state, tmp_path, caplog):
    kept = {name: value for name, value in state.items() if not name.startswith("smpl.")}
    torch.save(kept, tmp_path / "alone.ckpt")
    with caplog.at_level("INFO"):
        begin_with_hmr2(network, tmp_path / "alone.ckpt")
    assert network.origin.tolist() == pytest.approx([0, -0.23])
    assert "no SMPL beside the weights" in caplog.text and "shape head starts at zero" in caplog.text


def test_the_papers_size_is_vit_h_and_fits_hmr2(skeleton):
    """Without memory: 630.9 million parameters, and every shape as HMR 2.0's."""
    size = GSTConfig.of("paper").network
    assert size == ViTSize() and grid_of(size) == (16, 12)
    with torch.device("meta"):
        network = body_network(skeleton, size)
        state = {name: torch.empty(shape) for name, shape in checkpoint_shapes(size).items()}
    assert isinstance(network, PaperNetwork) and network.size == 256
    assert sum(p.numel() for p in network.vit.parameters()) == 630_912_000
    found, _ = renamed(state, Path("hmr2.ckpt"))
    ours = {name: value.shape for name, value in network.state_dict().items()}
    for name in ("hands", "shape_head.weight", "shape_head.bias"):
        del ours[name]
    assert {name: value.shape for name, value in found.items()} == ours


def test_attention_is_the_slow_sum_and_keeps_apart_what_is_apart():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, n, 12) for n in (4, 5, 5))
    apart = torch.rand(4, 5) < 0.4
    heads = [x.reshape(2, -1, 3, 4) for x in (q, k, v)]
    scores = torch.einsum("bqhd,bmhd->bhqm", *heads[:2]) / math.sqrt(4)
    share = scores.masked_fill(apart, -math.inf).softmax(-1)
    slow = torch.einsum("bhqm,bmhd->bqhd", share, heads[2]).reshape(2, 4, 12)
    torch.testing.assert_close(attend(q, k, v, 3, apart), slow)


def test_the_mask_and_the_sides_of_the_window_are_not_looked_at(network):
    torch.nn.init.normal_(network.pose_head.weight, std=0.1)
    pixels = torch.rand(1, 4, 64, 64)
    other = pixels.clone()
    other[:, 3], other[..., :8], other[..., -8:] = 0, 0, 1
    inside = pixels.clone()
    inside[..., 8] = 0
    with torch.no_grad():
        a, b, c = (network(x, CENTRED[:1]).rotations for x in (pixels, other, inside))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_a_body_of_a_window_aside_turns_with_its_ray(network):
    """In the window it is seen from the same side: what pointed into the picture points along its ray."""
    torch.nn.init.normal_(network.camera_head.weight, std=0.02)
    torch.nn.init.normal_(network.pose_head.weight, std=0.02)
    pixels, aside = torch.rand(1, 4, 64, 64), torch.tensor([[0.4, -0.2, 0.6]])
    with torch.no_grad():
        middle, found = network(pixels, torch.tensor([[0.0, 0.0, 0.6]])), network(pixels, aside)
    turn = found.rotations @ middle.rotations.mT
    torch.testing.assert_close(turn, turn[:, :1].expand_as(turn), atol=1e-5, rtol=0)
    into = turn[0, 0] @ torch.tensor([0.0, 0, 1])
    eye = torch.tensor([0.0, 0, DISTANCE])
    there = to_window(project_plane((into * torch.tensor([[1.0], [3.0]]) - eye)[None]), aside)
    torch.testing.assert_close(there, torch.zeros(1, 2, 2), atol=1e-5, rtol=0)
    # no more than that: about its ray it stands as before, and it is in the same place of the window
    assert (turn[0, 0, 0, 1] - turn[0, 0, 1, 0]).abs() < 1e-5
    torch.testing.assert_close(found.keypoints[:, 0], middle.keypoints[:, 0], atol=1e-5, rtol=0)
    assert (found.keypoints - middle.keypoints).abs().max() < 0.15


def test_before_training_the_body_is_the_networks_and_gaussians_come_with_it(model):
    torch.nn.init.normal_(model.network.pose_head.weight, std=0.1)
    pixels = torch.rand(2, 4, 64, 64)
    with torch.no_grad():
        out, alone = model.eval()(pixels, CENTRED), model.network(pixels, CENTRED)
    torch.testing.assert_close(out.body.joints, alone.joints, atol=1e-5, rtol=0)
    assert len(out.people) == 2 and len(out.people[0]) == 600


def test_landmarks_are_tokens_beside_those_of_the_image(model):
    torch.nn.init.normal_(model.network.pose_head.weight, std=0.1)
    pixels = torch.rand(1, 4, 64, 64)
    with torch.no_grad():
        bodies = [
            model(pixels, CENTRED[:1], x, gaussians=False).body.joints
            for x in (torch.zeros(1, COUNT, CHANNELS), torch.rand(1, COUNT, CHANNELS))
        ]
    assert not torch.equal(*bodies)


def test_pictures_teach_the_decoder_and_leave_a_frozen_encoder(model):
    model.network.freeze_encoder()
    torch.nn.init.normal_(model.network.pose_head.weight, std=0.02)
    out = model.train()(torch.rand(1, 4, 64, 64), CENTRED[:1])
    drawn = rasterize(out.people[0], canonical_camera(48), outputs=("rgb", "alpha"))
    (drawn.rgb.square().mean() + out.offsets.square().mean()).backward()
    for part in (
        model.network.decoder,
        model.network.tokens,
        model.network.pose_head,
        model.network.camera_head,
    ):
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in part.parameters())
    assert all(p.grad is None for part in model.network.encoder().values() for p in part.parameters())


def test_an_encoder_that_is_not_frozen_learns(model):
    torch.nn.init.normal_(model.network.pose_head.weight, std=0.02)
    model(torch.rand(1, 4, 64, 64), CENTRED[:1], gaussians=False).body.joints.square().sum().backward()
    assert all(p.grad is not None for p in model.network.vit.parameters())


def test_weights_begin_with_the_users_file_and_come_back(model, file, tmp_path):
    begin(model, file)
    written = save_gst(model, tmp_path / "gst.safetensors")
    again = read_gst(written)
    assert again.config == model.config and again.config.network == TINY
    for name, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=2e-3, rtol=2e-3)  # float16


def test_a_photo_of_any_size_is_cut_at_the_networks_own(model):
    image, mask = torch.ones(96, 96, 3), torch.zeros(96, 96)
    mask[12:-12, 32:-32] = 1
    seen = []
    model.network.vit.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    view = View(image, mask, canonical_camera(96))
    body, keypoints = body_of(seen_by(model.eval(), view, None), view, BodyModel.shared())
    assert seen == [(1, 3, 64, 64)] and torch.isfinite(body.transl).all() and "pelvis" in keypoints


def test_settings_without_a_kind_are_the_convolutional_ones():
    """Weights from before there were two."""
    old = GSTConfig.model_validate({"network": {"width": 96, "heads": 4}})
    assert old.network == ConvolutionalSize(width=96, heads=4)
    with pytest.raises(ValueError, match="patch"):
        GSTConfig.model_validate({"network": {"patch": 16}})


def settings_of(monkeypatch, module: str, name: str) -> object:
    """An object of a class that the reader does not have: a dict that holds itself an object, and members."""
    made = type(name, (dict,), {"__module__": module, "__qualname__": name})
    parts = module.split(".")
    for k in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:k]), types.ModuleType(parts[k - 1]))
    setattr(sys.modules[module], name, made)
    value = made(lr=0.1, inner=made(steps=3))
    value.__dict__["frozen"] = True
    return value


def test_settings_beside_the_weights_are_read_as_nothing(monkeypatch, state, tmp_path):
    file = tmp_path / "hmr2.ckpt"
    with monkeypatch.context() as patch:
        cfg = settings_of(patch, "yacs.config", "CfgNode")
        other = settings_of(patch, "omegaconf.dictconfig", "DictConfig")
        torch.save({"state_dict": state, "hyper_parameters": {"cfg": cfg, "other": other}}, file)
    found = read_checkpoint(file)
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


class Calls:
    """What runs a function when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("made-by-a-checkpoint",)


def test_a_file_that_would_run_code_is_refused_and_does_not(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": state, "cfg": Calls()}, "bad.ckpt")
    with pytest.raises(MissingWeight, match=r"asks for \w+\.mkdir"):
        read_checkpoint(tmp_path / "bad.ckpt")
    assert not (tmp_path / "made-by-a-checkpoint").exists()


@pytest.mark.parametrize("data", [b"", b"no zip file", b"PK\x03\x04" + b"\0" * 64])
def test_a_damaged_file_is_named(tmp_path, data):
    (tmp_path / "x.ckpt").write_bytes(data)
    with pytest.raises(MissingWeight, match=r"x\.ckpt is no checkpoint"):
        read_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(MissingWeight, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "y.ckpt")


def test_other_contents_are_named(network, state, tmp_path):
    def refused(contents, words: str, kind: type[Exception] = CallError) -> None:
        torch.save(contents, tmp_path / "x.ckpt")
        with pytest.raises(kind, match=words):
            begin_with_hmr2(network, tmp_path / "x.ckpt")

    before = {name: value.clone() for name, value in network.state_dict().items()}
    refused({"state_dict": [1, 2]}, "has no `state_dict` of tensors", MissingWeight)
    refused({**state, "backbone.cls_token": torch.zeros(1)}, "has backbone.cls_token")
    refused({k: v for k, v in state.items() if k != "backbone.pos_embed"}, "lacks backbone.pos_embed")
    refused(random_state(TINY.but(hidden=32)), re.escape("decoder.layers.0.mlp.0.bias, (32,) in the file"))
    refused(random_state(TINY.but(layers=1)), re.escape("decoder.layers.1.image.weight, nothing in the file"))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_each_network_begins_with_its_own_kind_of_file(model, file):
    with pytest.raises(
        CallError, match=r"begins with HMR 2.0, not with estimator: --estimator path/to/hmr2\.ckpt"
    ):
        begin(model, "estimator")
    with pytest.raises(CallError, match="fits the paper's network alone: --size paper"):
        begin(GST(BodyModel.shared(), GSTConfig.of("tiny")), file)


def test_a_run_begins_with_the_users_file_and_leaves_its_encoder(state, file, tmp_path):
    data = write_views(tmp_path / "moments")
    network = "{" + ", ".join(f"{name}: {value}" for name, value in TINY.model_dump().items()) + "}"
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"network: gst\nmodel: {{points: 300, groups: 3, network: {network}}}\n")
    written = tmp_path / "gst.safetensors"
    command = ["--config", str(settings), "--data", str(data), "--out", str(tmp_path / "run"), "--batch", "2"]
    command += [
        "--views",
        "2",
        "--pixels",
        "32",
        "--steps",
        "3",
        "--hold",
        "0",
        "--warmup",
        "0",
        "--ema",
        "0",
    ]
    train.main(
        [*command, "--lr", "0.01", "--pose-rate", "1", "--estimator", str(file), "--save", str(written)]
    )
    after = read_gst(written)
    assert after.config.network == TINY and isinstance(after.network, PaperNetwork)
    found, _ = renamed(state, file)
    for name, value in after.network.state_dict().items():
        if name.startswith("vit."):
            torch.testing.assert_close(value, found[name], atol=1e-3, rtol=1e-3)
    assert (after.network.pose_head.weight - found["pose_head.weight"]).abs().max() > 1e-3
