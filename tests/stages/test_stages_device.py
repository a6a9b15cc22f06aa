"""All stages on another device than the CPU: a pretended one, whose tensors refuse to meet those of the
CPU."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from pretend_device import PretendMode, install

from turnaround import stages
from turnaround.models import zoo
from turnaround.models.splat.cpu import render as cpu
from turnaround.pipeline.graph import Subject, ordered, run_stage
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.settings import load_settings
from turnaround.pipeline.store.store import Store

ALONE = "TURNAROUND_TEST_ALONE"  # torch takes a new kind of device only once a process
PHOTO = Path(__file__).resolve().parents[2] / "docs" / "demo" / "person_40004.jpg"


def test_the_stages_on_a_pretended_device_in_a_fresh_process():
    command = [sys.executable, "-m", "pytest", "-x", __file__, "-k", "every_stage"]
    done = subprocess.run(
        command, env={**os.environ, ALONE: "1"}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-3000:]


@pytest.mark.skipif(ALONE not in os.environ, reason="run by the test of a fresh process")
def test_every_stage_moves_what_it_must(tmp_path, monkeypatch):
    there = install()
    renderer = importlib.import_module("turnaround.models.splat.rasterize")

    def elsewhere(gaussians, cameras, geometry):  # in gsplat's place
        return tuple(x.to(there) for x in cpu.render(gaussians.to("cpu"), cameras.to("cpu"), geometry))

    monkeypatch.setattr(renderer, "_backend", lambda device: elsewhere if device == there else cpu.render)
    store = Store(tmp_path)
    store.prepare()
    subject = Subject.open(Photo("person", PHOTO), store, zoo.digest)
    settings = load_settings(
        "tiny", stages.classes(), ("stages.refine.fit.side_weight=1", "stages.refine.fit.normal_weight=0.5")
    )
    for stage in ordered(settings.build(stages.classes())):
        device = there if stage.device == "gpu" else torch.device("cpu")
        with PretendMode():
            run_stage(stage, subject, lambda _, device=device: nullcontext(device))
    assert set(subject.done) == {stage.name for stage in stages.classes()}
