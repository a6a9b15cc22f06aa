"""The page in which a person moves, in a browser: opened, at rest, and its camera as ours."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from chromium import Browser

from turnaround.flows.viewer import html_page
from turnaround.flows.viewer.animated_page import animated_page
from turnaround.models.avatar.avatar import Avatar
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.types import Camera

SIZE = 256  # pixels of the window's sides


def written(folder: Path, avatar: Avatar, clips: Sequence[tuple[str, Motion]], **named: str) -> Path:
    """The page as a file in a folder; the test is skipped where the page's programs cannot be had."""
    try:
        html_page.programs()
    except ValueError as error:
        pytest.skip(f"the page's programs cannot be fetched: {error}")
    file = folder / "toy.html"
    file.write_bytes(animated_page(avatar, clips, **named))
    return file


def camera_of(browser: Browser, azimuth: float) -> Camera:
    """The page's camera as ours; it says its own frame."""
    person = browser.run("JSON.parse(document.getElementById('person').textContent)")
    x, z = (float(v) for v in browser.run("document.body.dataset.centre").split())
    camera = orbit_cameras([azimuth], SIZE)
    K, T = camera.K.clone(), camera.T_camera_world.clone()
    K[:, [0, 1], [0, 1]] = SIZE / 2 / max(person["tangent"], person["wide"])
    away = torch.tensor([0.0, 0.0, person["distance"]])
    T[:, :3, 3] = away - T[:, :3, :3] @ torch.tensor([x, person["middle"], z])
    return dataclasses.replace(camera, K=K, T_camera_world=T)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """dB between pictures of bytes."""
    return float(-10 * np.log10(max(np.mean((a / 255.0 - b / 255.0) ** 2), 1e-9)))


def settled(browser: Browser) -> np.ndarray:
    """The picture once it stays for half a second: sorting takes some frames, and a busy machine time."""
    last, since = browser.picture(), time.monotonic()
    for _ in range(60):
        time.sleep(0.25)
        seen, now = browser.picture(), time.monotonic()
        if not np.array_equal(seen, last):
            last, since = seen, now
        elif now - since >= 0.5:
            return seen
    pytest.fail("the page does not come to rest")


ONLY_PERSON = """const style = document.createElement("style");
    style.textContent = "nav, header {display: none}";
    document.head.append(style);
    window.dispatchEvent(new Event("resize"))"""


def opened(browser: Browser, file: Path, asked: str) -> None:
    """Open the page with this behind its #, without an error."""
    browser.open(f"{file.as_uri()}#{asked}")
    browser.wait("document.body?.dataset.ready || document.body?.dataset.failed")
    assert browser.errors == [], browser.errors
