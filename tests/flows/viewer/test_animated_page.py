"""The page in which a person moves: what it keeps of clips and weights, and its pictures in a browser."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_avatar
from chromium import Browser, needs_chromium
from moving_page import ONLY_PERSON, SIZE, camera_of, opened, psnr, settled, written

from turnaround.flows.viewer.animated_page import animated_page
from turnaround.flows.viewer.packing import pack_skinned, unpack_gaussians
from turnaround.flows.viewer.tracks import (
    FPS,
    Track,
    chained,
    in_255ths,
    pack_skin,
    pack_tracks,
    track,
)
from turnaround.models.avatar.avatar import Avatar
from turnaround.models.mesh.view import textured_pictures
from turnaround.models.motion.builtin import builtin
from turnaround.models.splat import rasterize
from turnaround.pipeline.formats import splat
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.rotation import quat_to_matrix
from turnaround.pipeline.values.types import Camera

CLIPS = ("dance", "walk_forward", "t_pose")


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return toy_avatar.avatar(1)


@pytest.fixture(scope="module")
def clips() -> list[tuple[str, Motion]]:
    return [(name, builtin(name)) for name in CLIPS]


def test_chained_bones_lie_where_the_body_model_has_them(avatar, clips):
    for name, motion in clips:
        each = track(avatar, name, motion)
        bones = avatar.bones(motion.body)
        for frame in (0, len(motion) // 2, len(motion) - 1):
            local = quat_to_matrix(each.turns[frame])
            places = chained(local, each.places[frame], avatar.rig.joints)
            assert (places - bones.positions[frame]).abs().max() < 1e-5
        assert ((each.turns[1:] * each.turns[:-1]).sum(-1) > 0).all(), "neighbours in one half"


def test_packed_tracks_are_the_clips_within_their_bits(avatar, clips):
    tracks = [track(avatar, name, motion) for name, motion in clips]
    facts, data = pack_tracks(tracks)
    at = 0
    for each in tracks:
        f = len(each.places)
        ways = np.frombuffer(data, "<f4", 5 * f, at)
        np.testing.assert_array_equal(ways[: 3 * f].reshape(f, 3), each.places.numpy())
        np.testing.assert_array_equal(ways[3 * f :].reshape(f, 2), each.path.numpy())
        at += ways.nbytes
    for about, each in zip(facts, tracks, strict=True):
        f, bones = about["frames"], about["bones"]
        turns = np.frombuffer(data, "<i2", 4 * f * len(bones), at).reshape(-1, f).T.reshape(f, -1, 4) / 32767
        at += 2 * turns.size
        np.testing.assert_allclose(turns[..., [3, 0, 1, 2]], each.turns[:, bones].numpy(), atol=2e-5)
        still = torch.tensor([k not in bones for k in range(each.turns.shape[1])])
        assert (each.turns[:, still].abs() - torch.tensor([1.0, 0, 0, 0])).abs().max() <= 1e-4
    assert at == len(data)


def test_a_fast_clip_is_thinned_and_a_slow_one_stays(avatar):
    fast, slow = builtin("wave", fps=60.0), builtin("wave", fps=24.0)
    assert track(avatar, "a", fast).fps == FPS and len(track(avatar, "a", fast).places) == len(fast) // 2 + 1
    assert track(avatar, "b", slow).fps == 24.0 and len(track(avatar, "b", slow).places) == len(slow)


def test_the_camera_stays_for_a_dance_and_goes_along_with_a_walk(avatar, clips):
    dance, walk, _ = (track(avatar, name, motion) for name, motion in clips)
    assert (dance.path == dance.path[0]).all()
    assert float((walk.path[-1] - walk.path[0]).norm()) > 0.8
    assert float((walk.path - walk.places[:, [0, 2]]).norm(dim=-1).max()) < 0.4


def test_weights_in_255ths_add_up_and_are_near():
    weights = torch.rand(500, 4, generator=torch.Generator().manual_seed(0)) ** 3
    weights = (weights / weights.sum(1, keepdim=True)).sort(1, descending=True).values
    weights[0] = torch.tensor([1.0, 0, 0, 0])
    whole = in_255ths(weights)
    assert (whole.astype(int).sum(1) == 255).all() and (whole[0] == [255, 0, 0, 0]).all()
    assert np.abs(whole / 255 - weights.numpy()).max() < 1 / 255


def test_the_skin_lies_in_the_order_of_its_gaussians(avatar):
    g = avatar.gaussians
    g = dataclasses.replace(
        g, scales=g.scales * torch.linspace(0.5, 2, len(g))[torch.randperm(len(g))][:, None]
    )
    tag = torch.arange(len(g)) % 61
    skin = SkinWeights(
        tag[:, None] * torch.tensor([1, 0, 0, 0]), torch.tensor([1.0, 0, 0, 0]).repeat(len(g), 1)
    )
    records, skins = pack_skinned(g, skin)
    back = splat.decode(unpack_gaussians(records))
    bones = np.frombuffer(skins, np.uint8).reshape(8, -1)[0]
    nearest = (back.means[::40, None] - g.means[None]).norm(dim=-1).argmin(1)
    assert (tag[nearest].numpy() == bones[::40]).mean() > 0.99
    assert pack_skin(skin)[: len(g)] == tag.numpy().astype(np.uint8).tobytes()


def test_errors_name_the_clip_and_the_remedy(avatar):
    walk = builtin("walk")
    tall = dataclasses.replace(walk, body=dataclasses.replace(walk.body, betas=walk.body.betas + 2))
    with pytest.raises(ValueError, match=r"'walk' is of a body of another shape .*retarget"):
        track(avatar, "walk", tall)
    with pytest.raises(ValueError, match="clips, each with a title of its own; got \\['a', 'a'\\]"):
        animated_page(avatar, [("a", walk), ("a", walk)])
    with pytest.raises(ValueError, match="needs clips"):
        animated_page(avatar, [])
    long = Track(
        "long",
        30.0,
        torch.zeros(1, 61, 4).expand(20_001, 61, 4),
        torch.zeros(20_001, 3),
        torch.zeros(20_001, 2),
        torch.zeros(20_001, 10),
    )
    with pytest.raises(ValueError, match="20001 frames are too many"):
        pack_tracks([long])


# in the browser


@pytest.fixture(scope="module")
def file(avatar, clips, tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("page"), avatar, clips, name="<b>Toy</b>")


def test_pages_of_one_person_are_equal(avatar, clips, file):
    text = file.read_bytes()
    assert text == animated_page(avatar, clips, name="<b>Toy</b>") and b"<b>Toy" not in text
    assert len(text) < 4e6


@pytest.fixture
def browser(tmp_path):
    made = Browser(tmp_path / "profile", (SIZE, SIZE))
    yield made
    made.close()


@needs_chromium
def test_frames_are_what_our_renderer_shows(avatar, clips, file, browser):
    for name, frame, azimuth in (("dance", 40, 90), ("walk_forward", 70, 200), ("t_pose", 0, 30)):
        motion = dict(clips)[name]
        opened(browser, file, f"clip={name}&time={frame / motion.fps}&azimuth={azimuth}&ground=no")
        browser.run(ONLY_PERSON)
        seen, camera = settled(browser), camera_of(browser, azimuth)

        def drawn(frame: int, motion: Motion = motion, camera: Camera = camera) -> np.ndarray:
            posed = avatar.posed_gaussians(motion.body[frame])
            return rasterize(posed, camera, outputs=("rgb",)).rgb[0].clamp(0, 1).numpy() * 255

        assert psnr(seen, drawn(frame)) > 40, (name, "45 to 46 dB were measured")
        assert not frame or psnr(seen, drawn(frame - 12)) < psnr(seen, drawn(frame)) - 5, "another frame"
        assert browser.requests == [file.as_uri()], "no request but the page's own"
    browser.run("document.querySelector('[data-name=Mesh]').click()")
    opened(browser, file, f"clip=dance&time={40 / 30}&azimuth=90&ground=no&show=Mesh")
    browser.run(ONLY_PERSON)
    mesh = textured_pictures(avatar.posed_mesh(clips[0][1].body[40]), camera_of(browser, 90))[0].numpy() * 255
    assert psnr(settled(browser), mesh) > 30, "without smoothing of edges"


PRESS = "document.querySelector('%s').click()"
KEY = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: '%s', bubbles: true}))"
SHOWN = "document.body.dataset.shown"


@needs_chromium
def test_controls_scrub_play_and_choose_clips(file, browser):
    opened(browser, file, "clip=walk_forward&play=no&ground=no")
    assert browser.run(SHOWN) == "walk_forward 0.0000"
    browser.run("document.getElementById('frame').value = 24")
    browser.run("document.getElementById('frame').dispatchEvent(new Event('input'))")
    assert browser.run(SHOWN) == "walk_forward 0.8000"
    label = "document.getElementById('frame').getAttribute('aria-valuetext')"
    assert browser.run(label) == "0.80 s of 3.17 s"
    scrubbed = settled(browser)
    opened(browser, file, "clip=walk_forward&time=0.8&ground=no")
    assert psnr(settled(browser), scrubbed) > 50, "to the frame, wherever one comes from"
    browser.run(KEY % ".")
    assert browser.run(SHOWN) == "walk_forward 0.8333"
    browser.run(KEY % "," + ";" + KEY % ",")
    assert browser.run(SHOWN) == "walk_forward 0.7667"
    browser.run("document.getElementById('speed').value = '2'")
    browser.run(KEY % " ")
    browser.wait(f"Number({SHOWN}.split(' ')[1]) > 0.9 || Number({SHOWN}.split(' ')[1]) < 0.7")
    assert browser.run("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    browser.run(PRESS % "#play")
    paused = browser.run(SHOWN)
    time.sleep(0.5)
    assert browser.run(SHOWN) == paused
    browser.run(KEY % "]")
    assert browser.run(SHOWN) == "t_pose 0.0000" and browser.run("document.getElementById('frame').disabled")
    browser.run(PRESS % "[data-name=dance]")
    assert browser.run("document.querySelector('[data-name=dance]').getAttribute('aria-pressed')") == "true"
    browser.wait(f"Number({SHOWN}.split(' ')[1]) > 0.1")
    turned = "document.body.className"
    browser.run(KEY % "b" + ";" + KEY % "2" + ";" + KEY % "ArrowUp" + ";" + KEY % "+" + ";" + KEY % "g")
    assert browser.run(turned) == "dark" and not browser.errors
    assert browser.run("document.getElementById('ground').getAttribute('aria-pressed')") == "true"


@needs_chromium
@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_every_control_is_in_sight_and_named(file, browser, size):
    width, height = size
    browser.send(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True
    )
    opened(browser, file, "play=no")
    boxes = browser.run(
        "[...document.querySelectorAll('nav button, nav input, nav select')]"
        ".map(e => [e.getBoundingClientRect(), e.ariaLabel || e.textContent])"
        ".map(([b, n]) => [b.left, b.right, b.top, b.bottom, n])"
    )
    assert all(left >= -1 and right <= width + 1 for left, right, *_ in boxes), boxes
    assert all(bottom <= height and bottom - top >= 24 for _, _, top, bottom, _ in boxes), boxes
    assert all(name.strip() for *_, name in boxes) and min(top for _, _, top, _, _ in boxes) > 0.75 * height
    assert browser.run("document.querySelector('h1').textContent") == "<b>Toy</b>"
