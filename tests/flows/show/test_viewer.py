"""The interactive viewer: what it shows of finished and unfinished subjects, and its page in a real
browser."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_person
from chromium import Browser, needs_chromium

from turnaround.flows.viewer.scene import (
    Choice,
    first_choice,
    gaussians_step,
    mesh_step,
    moved,
    open_scene,
    quality_lines,
)
from turnaround.flows.viewer.serve import serve, start
from turnaround.flows.viewer.start import FOV, start_camera

LATER = ("refine", "fuse", "mesh", "detail", "texture")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return toy_person.make(tmp_path_factory.mktemp("work"))


def test_a_finished_subject_has_every_stop_and_every_iteration(work):
    scene = open_scene(work, "toy")
    assert [step.stage for step in scene.steps] == ["coarse", "refine", "fuse", "mesh", "detail", "texture"]
    assert not any(step.missing for step in scene.steps)
    assert len(scene.bodies) == toy_person.ITERATIONS + 1 and scene.kept == 2
    assert torch.equal(scene.bodies[3].transl, toy_person.path().transl[3])
    assert list(scene.losses) == ["total", "front", "sides"] and scene.losses["front"] == [0.5, 0.25, 0.5 / 3]
    assert set(scene.states.values()) == {"made"}
    assert quality_lines(scene) == [
        "IoU with the photo's mask: 0.8 → **0.9**",
        "joints to keypoints, px: 1.5 → **1.5**",
    ]


def test_the_stage_slider_brings_its_gaussians_its_body_and_the_mesh(work):
    scene = open_scene(work, "toy")
    choice = first_choice(scene)
    assert (choice.step, choice.iteration, choice.mesh) == (4, 2, False) and gaussians_step(
        scene, choice
    ) == 4
    coarse = moved(scene, choice, 0)
    assert coarse.iteration == 0 and gaussians_step(scene, coarse) == 0
    mesh = moved(scene, coarse, 3)
    assert mesh.mesh and not mesh.gaussians and gaussians_step(scene, mesh) is None
    assert moved(scene, mesh, 1).gaussians and not moved(scene, mesh, 1).mesh


def test_a_mesh_is_its_own_steps_else_the_last_there_is(work, tmp_path):
    scene = open_scene(work, "toy")
    assert mesh_step(scene, Choice(0)) is None
    assert [mesh_step(scene, Choice(k, mesh=True)) for k in range(6)] == [5, 5, 5, 3, 4, 5]
    assert [gaussians_step(scene, Choice(k)) for k in range(6)] == [0, 1, 2, 2, 4, 4]
    bare = open_scene(toy_person.make(tmp_path, without=("mesh",)), "toy")
    assert [mesh_step(bare, Choice(k, mesh=True)) for k in range(6)] == [5, 5, 5, None, 4, 5]


def test_missing_and_failed_stages_are_told(tmp_path):
    scene = open_scene(
        toy_person.make(tmp_path, without=LATER, failures={"refine": "no body in sight"}), "toy"
    )
    assert [bool(step.missing) for step in scene.steps] == [False, True, True, True, True, True]
    assert "failed: no body in sight" in scene.steps[1].missing and "not made yet" in scene.steps[2].missing
    assert len(scene.bodies) == 1 and scene.losses == {} and first_choice(scene).step == 0
    assert gaussians_step(scene, moved(scene, first_choice(scene), 3)) is None


def test_nothing_but_the_photo_is_a_scene_too(tmp_path):
    scene = open_scene(toy_person.make(tmp_path, without=tuple(toy_person.outputs())), "toy")
    assert (
        scene.bodies == ()
        and scene.view is None
        and first_choice(scene).step == 0
        and all(step.missing for step in scene.steps)
    )


def test_a_refinement_of_an_older_version_shows_estimate_and_result(tmp_path, monkeypatch):
    made = toy_person.outputs()
    del made["refine"]["path"]
    monkeypatch.setattr(toy_person, "outputs", lambda: made)
    scene = open_scene(toy_person.make(tmp_path), "toy")
    assert len(scene.bodies) == 2 and scene.kept == 1


def test_a_damaged_file_is_told_and_the_rest_is_shown(tmp_path):
    toy_person.make(tmp_path)
    file = next((tmp_path / "cache" / "fuse").glob("*/gaussians.ply"))
    file.write_bytes(b"x" * file.stat().st_size)
    scene = open_scene(tmp_path, "toy")
    assert "gaussians.ply" in scene.steps[2].missing and scene.steps[1].gaussians is not None


def test_errors_name_what_to_do(work, monkeypatch):
    with pytest.raises(ValueError, match="knows no subject 'nobody'"):
        serve(work, "nobody", host="127.0.0.1", port=8080, open_browser=False, say=print)
    scene = open_scene(work, "toy")
    with pytest.raises(ValueError, match=r"203\.0\.113\.7:8080 cannot be listened on .* --host"):
        start(scene, "203.0.113.7")
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(ValueError, match=r"pip install 'turnaround\[view\]'"):
        start(scene)


def test_the_command_tells_its_address_warns_of_others_and_ends_with_ctrl_c(
    work, monkeypatch, caplog, capsys
):
    from turnaround.flows.viewer.window import Window

    def interrupted(window):
        raise KeyboardInterrupt

    monkeypatch.setattr(Window, "wait", interrupted)
    said: list[str] = []
    serve(work, "toy", host="127.0.0.1", port=8951, open_browser=False, say=said.append)
    assert re.fullmatch(r"toy: http://localhost:89\d\d \(Ctrl-C ends it\)", said[0]) and not caplog.text
    serve(work, "toy", host="0.0.0.0", port=8951, open_browser=False, say=said.append)
    assert "everybody who reaches 0.0.0.0:89" in caplog.text and capsys.readouterr().out == ""


@pytest.mark.parametrize("narrowest", [0.5, 1.0])
def test_the_start_shows_all_of_the_person_with_room_about(work, tmp_path, narrowest):
    bare = toy_person.make(tmp_path, without=tuple(toy_person.outputs()))
    for folder in (work, bare):
        scene = open_scene(folder, "toy")
        place, target = (np.array(v) for v in start_camera(scene, narrowest))
        meshes = [step.mesh for step in scene.steps if step.mesh is not None]
        corners = [[x, y, z] for x in (-0.4, 0.4) for y in (-0.9, 0.9) for z in (-0.2, 0.2)]
        points = np.array(corners) if not meshes else meshes[-1].vertices.double().numpy()
        forward = (target - place) / np.linalg.norm(target - place)
        right = np.cross([0, 1, 0], forward)
        right /= np.linalg.norm(right)
        depth = (points - place) @ forward
        seen = np.stack([(points - place) @ right / narrowest, (points - place) @ np.cross(forward, right)])
        share = np.abs(seen / depth / np.tan(FOV / 2)).max()
        assert 0.6 < share < 0.95 and place[2] < -1, "before the person, who fills most of the window"


def test_viser_gets_our_covariances():
    from turnaround.flows.viewer.splats import splat_arrays

    arrays = splat_arrays(toy_person.gaussians(count=5))
    g = toy_person.gaussians(count=5)
    variances = np.linalg.eigvalsh(arrays["covariances"])
    np.testing.assert_allclose(variances, np.sort((100 * g.scales.numpy().clip(2.5e-3)) ** 2, 1), rtol=1e-3)
    tiny = splat_arrays(dataclasses.replace(g, scales=g.scales * 1e-3))
    np.testing.assert_allclose(tiny["covariances"], np.eye(3)[None].repeat(20, 0) * 0.25**2, atol=1e-5)
    assert arrays["centers"].shape == (20, 3) and arrays["opacities"].shape == (20, 1)


def test_another_sites_page_is_refused(work):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    window = start(open_scene(work, "toy"), port=8931)
    try:
        address, protocols = f"ws://127.0.0.1:{window.port}", ["viser-v1.1.1"]
        with pytest.raises(InvalidStatus, match="403"):
            connect(address, origin="http://evil.example", subprotocols=protocols)  # type: ignore[arg-type]
        connect(address, origin=f"http://localhost:{window.port}", subprotocols=protocols).close()  # type: ignore[arg-type]
        assert window.server.request_share_url() is None
    finally:
        window.close()


def share(picture: np.ndarray, color: tuple[int, int, int]) -> tuple[float, float, float]:
    """Pixels near a colour, and their mean x and y."""
    rows, columns = np.nonzero(np.abs(picture.astype(int) - color).max(-1) < 60)
    return len(rows), columns.mean() if len(rows) else np.nan, rows.mean() if len(rows) else np.nan


def tinted(picture: np.ndarray, channel: int) -> tuple[float, float, float]:
    """Pixels of strong red (0), green (1) or blue (2) in any light, and their mean x and y."""
    others = np.delete(picture, channel, -1).max(-1).astype(int)
    rows, columns = np.nonzero(picture[..., channel] > 2 * others + 10)
    return len(rows), columns.mean() if len(rows) else np.nan, rows.mean() if len(rows) else np.nan


@needs_chromium
def test_the_page_shows_the_person_upright_and_not_mirrored(work, tmp_path):
    window = start(open_scene(work, "toy"), port=8941)
    browser = Browser(tmp_path / "profile", (900, 600))
    try:
        browser.open(f"http://127.0.0.1:{window.port}")
        browser.wait(
            "document.querySelector('canvas') !== null && document.body.innerText.includes('Refinement')"
        )
        assert window.frustum is not None and not window.frustum.visible, "no photo before the result"
        beside = np.s_[:, :500]  # of the panel, which has a red line
        near, _, _ = share(until(browser, lambda p: share(p[beside], (51, 178, 51))[0] > 8000), (51, 178, 51))
        assert not [text for text in browser.console if "NaN" in text]
        window.toggles["camera"].value = True
        window.show_from_input()
        assert not window.choice.camera
        seen = until(browser, lambda p: 200 < share(p[beside], (51, 178, 51))[0] < near / 2)[beside]
        greens, _, head = share(seen, (51, 178, 51))
        reds, left, _ = share(seen, (230, 25, 25))
        _, middle, trunk = share(seen, (204, 204, 51))
        assert head < trunk and reds > 50 and left < middle, (
            "head above the trunk, the red blob at the left as in the photo"
        )
        text = browser.run("document.body.innerText")
        assert "toy" in text and "coarse" in text and "fused" in text and "IoU" in text and not browser.errors
        assert all(url.startswith(f"http://127.0.0.1:{window.port}") for url in browser.requests)
        window.stage.value = 5
        # the light of the page shades meshes
        until(browser, lambda p: share(p[beside], (51, 178, 51))[0] < greens / 4)
        mesh = until(browser, lambda p: tinted(p[beside], 1)[0] > 200)[beside]
        assert abs(tinted(mesh, 1)[2] - head) < 20 and tinted(mesh, 0)[1] < tinted(mesh, 1)[1], (
            "the texture stands where the Gaussians do"
        )
        window.stage.value = 0
        assert window.choice.step == 0 and window.choice.iteration == 0
    finally:
        browser.close()
        window.close()


@needs_chromium
def test_names_and_messages_stay_text(tmp_path):
    name, evil = (
        "a <img src=x onerror=document.body.dataset.evil=1> {1+1} *b*",
        "<b>no</b>\n- [link](http://evil.example)\n```js",
    )
    toy_person.make(tmp_path / "work", name, without=LATER, failures={"refine": evil})
    window = start(open_scene(tmp_path / "work", name), port=8961)
    browser = Browser(tmp_path / "profile", (900, 900))
    try:
        window.stage.value = 1
        browser.open(f"http://127.0.0.1:{window.port}")
        browser.wait("document.body?.innerText.includes('Missing')")
        text = browser.run("document.body.innerText")
        assert name in text and "<b>no</b> - [link](http://evil.example) ```js" in text
        assert browser.run(
            "document.body.dataset.evil === undefined && !document.querySelector('img[src=x]')"
        )
        assert browser.run("[...document.querySelectorAll('a')].every(a => a.textContent !== 'link')")
    finally:
        browser.close()
        window.close()


def until(browser: Browser, good, tries: int = 60) -> np.ndarray:
    import time

    for _ in range(tries):
        seen = browser.picture()
        if good(seen):
            return seen
        time.sleep(0.3)
    pytest.fail("what was waited for did not appear on the page")
