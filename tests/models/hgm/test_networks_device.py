"""Networks on another device than the CPU: the whole chain on a pretended one, each network and the chain on
CUDA where there is one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from pretend_device import PretendMode, install

from benchmarks import network_cases
from turnaround.models import precision
from turnaround.models.normals.network import load_normals

ALONE = "TURNAROUND_TEST_ALONE"  # torch takes a new kind of device only once a process


def apart(a: network_cases.Person, b: network_cases.Person) -> dict[str, float]:
    """How far two people are from each other."""
    return {
        "mask": (a.view.mask - b.view.mask).abs().mean().item(),
        "pose": (a.body.body_pose - b.body.body_pose).abs().max().item(),
        "normals": (a.normals - b.normals).abs().mean().item(),
        "back": (a.back.image - b.back.image).abs().mean().item(),
        "count": abs(len(a.fused.means) - len(b.fused.means)),
        "colors": (a.fused.colors.mean(0) - b.fused.colors.mean(0)).abs().max().item(),
        "place": (a.fused.means.mean(0) - b.fused.means.mean(0)).abs().max().item(),
    }


def test_the_chain_on_a_pretended_device_in_a_fresh_process():
    command = [sys.executable, "-m", "pytest", "-x", __file__, "-k", "gives_what_the_cpu_gives"]
    done = subprocess.run(
        command, env={**os.environ, ALONE: "1"}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-3000:]


@pytest.mark.skipif(ALONE not in os.environ, reason="run by the test of a fresh process")
def test_the_pretended_device_gives_what_the_cpu_gives():
    install()
    with PretendMode():
        there = network_cases.person(device="pretend")
    assert next(load_normals(device="pretend").parameters()).device.type == "pretend"  # the one that just ran
    found = apart(there, network_cases.person())
    # the same kernels underneath; only what is rounded to a picture in between may flip by a level
    assert found["count"] == 0 and all(value < 1e-4 for value in found.values()), found


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["fp32", "auto"])
def test_the_chain_on_cuda_gives_what_the_cpu_gives(monkeypatch, kind):
    here = network_cases.person()
    monkeypatch.setenv(precision.VARIABLE, kind)
    found = apart(network_cases.person(device="cuda"), here)
    assert found.pop("count") < 0.01 * len(here.fused.means)
    assert all(value < 0.02 for value in found.values()), found  # bfloat16, and TF32 in convolutions


@pytest.mark.gpu
def test_networks_run_in_bfloat16_on_cuda(monkeypatch):
    monkeypatch.delenv(precision.VARIABLE)
    seen = []
    with torch.no_grad():
        precision.run("n", lambda x: seen.append((x @ x).dtype), torch.ones(4, 4, device="cuda"))
    assert seen == [torch.bfloat16]
