"""Every training on another device than the CPU: on a pretended one, and on CUDA where there is one."""

import importlib
import os
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
import torch
from pretend_device import Pretended, PretendMode, install
from toy_people import write_backgrounds, write_singles, write_views

from turnaround.models import convnet
from turnaround.models.back_view.diffusion import networks
from turnaround.models.training import loop


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A folder with every data set, and untrained back view networks."""
    folder = tmp_path_factory.mktemp("sets")
    write_singles(folder / "singles")
    write_backgrounds(folder / "backgrounds.npy")
    write_views(folder / "views")
    write_views(folder / "large", people=2, size=176)
    torch.manual_seed(0)
    networks.save(folder / "vae.safetensors", networks.build_vae())
    networks.save(folder / "unet.safetensors", networks.build_unet())
    (folder / "backs").mkdir()
    np.save(folder / "backs/0000000.npy", np.full((64, 64, 4), 255, np.uint8))
    return folder


def commands(sets) -> dict[str, tuple[str, list]]:
    """Network -> program and its arguments."""
    singles = ["--data", sets / "singles", "--backgrounds", sets / "backgrounds.npy", "--batch", 2]
    hgm = [
        "--data",
        sets / "views",
        "--size",
        "tiny",
        "--batch",
        1,
        "--validation-count",
        1,
        "--supervised",
        2,
    ]
    everything = [
        "--set",
        "loss.normal=0.1",
        "--set",
        "loss.view_depth=0.1",
        "--set",
        "loss.body_only=0.3",
        "--set",
        "back.stored=1",
    ]
    large = ["--data", sets / "large", "--batch", 2]
    latent = [*large, "--vae", sets / "vae.safetensors"]
    return {
        "matting": ("turnaround.models.matting.train", singles),
        "estimator": ("turnaround.models.estimator.train", singles),
        "hgm-coarse": ("turnaround.models.hgm.train", hgm),
        "hgm-fusion": (
            "turnaround.models.hgm.train",
            [*hgm, "--views", 2, "--backs", sets / "backs", *everything],
        ),
        "normals": ("turnaround.models.normals.train", large),
        "back-view-vae": ("turnaround.models.back_view.train", ["vae", *large]),
        "back-view-unet": ("turnaround.models.back_view.train", ["unet", *latent]),
        "back-view-controlnet": (
            "turnaround.models.back_view.train",
            ["controlnet", *latent, "--unet", sets / "unet.safetensors"],
        ),
    }


NAMES = list(commands(__import__("pathlib").Path()))


def train(sets, name, out, *more):
    program, arguments = commands(sets)[name]
    importlib.import_module(program).main(
        [str(a) for a in [*arguments, "--out", out, "--steps", 1, "--no-tensorboard", *more]]
    )


# torch takes a new kind of device only before its first backward pass: a fresh process
ALONE = "TURNAROUND_TEST_ALONE"


def test_trainings_on_a_pretended_device_in_a_fresh_process():
    command = [sys.executable, "-m", "pytest", "-x", __file__, "-k", "on_a_pretended_device and not fresh"]
    done = subprocess.run(command, env={**os.environ, ALONE: "1"}, capture_output=True, text=True)
    assert done.returncode == 0 and f"{len(NAMES)} passed" in done.stdout, done.stdout[-3000:]


@pytest.mark.skipif(ALONE not in os.environ, reason="run by the test of a fresh process")
@pytest.mark.parametrize("name", NAMES)
def test_a_step_a_validation_and_samples_on_a_pretended_device(sets, tmp_path, monkeypatch, name):
    install()
    written = {}
    monkeypatch.setattr(loop.checkpoints, "write", lambda state, file: written.update({file.name: state}))
    monkeypatch.setattr(loop.checkpoints, "write_last", lambda state, folder: written.update(last=state))
    # one batch of eight says as much of where tensors are
    few = lambda network, batches: convnet.recalibrate(network, islice(batches, 1))  # noqa: E731
    for room in ("matting", "estimator", "normals"):
        monkeypatch.setattr(f"turnaround.models.{room}.train.recalibrate", few)
    with PretendMode():
        train(sets, name, tmp_path, "--device", "pretend", "--no-bf16")
    assert written["last"]["step"] == 1 and written["last"]["skipped"] == 0
    assert all(isinstance(value, Pretended) for value in written["last"]["ema"].values())
    assert list((tmp_path / "samples").glob("*.jpg")) and "val_" in (tmp_path / "log.jsonl").read_text()


def test_the_pretended_device_refuses_what_cuda_refuses():
    install()
    with PretendMode():
        there = torch.ones(3).to("pretend")
        with pytest.raises(RuntimeError, match="meet"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError):
            there.numpy()
        assert (there * 2 + torch.tensor(1.0)).cpu().tolist() == [3, 3, 3] and there.cpu().numpy().shape == (
            3,
        )


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_step_on_cuda(sets, tmp_path, name):
    train(sets, name, tmp_path, "--device", "cuda", "--bf16")
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert (
        state["step"] == 1 and state["skipped"] == 0 and all(value.is_cuda for value in state["ema"].values())
    )


@pytest.mark.gpu
def test_compiled_steps_on_cuda(sets, tmp_path):
    train(sets, "matting", tmp_path, "--device", "cuda", "--bf16", "--compile", "--workers", "2")
