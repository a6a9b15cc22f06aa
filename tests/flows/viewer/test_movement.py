"""The viewer of a rigged subject: a last stop at which the person moves as the controls say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import toy_avatar
import toy_person
from chromium import Browser, needs_chromium

from turnaround.flows.viewer.posing import PHOTO, Pose
from turnaround.flows.viewer.scene import first_choice, gaussians_step, mesh_step, moved, open_scene
from turnaround.flows.viewer.serve import start
from turnaround.flows.viewer.splats import splat_buffer
from turnaround.flows.viewer.window import Window


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return toy_avatar.make(tmp_path_factory.mktemp("work"))


@pytest.fixture
def window(work) -> Iterator[Window]:
    made = start(open_scene(work, "toy"), port=8981)
    yield made
    made.close()


def eventually(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.02)


def shown(window: Window) -> np.ndarray:
    return window.splats.buffer.copy()


def shows(window: Window, pose: Pose) -> bool:
    return np.array_equal(shown(window), window.movement.puppet.buffer(pose))  # type: ignore[union-attr]


def test_a_rigged_subject_has_one_more_stop_without_a_mesh(work, tmp_path):
    scene = open_scene(work, "toy")
    assert scene.steps[-1].stage == "rig" and scene.avatar is not None and scene.states["rig"] == "made"
    choice = first_choice(scene)
    assert scene.steps[choice.step].stage == "detail", "the start stays as it was"
    moving = moved(scene, choice, 6)
    assert gaussians_step(scene, moving) == 6 and moving.gaussians
    assert mesh_step(scene, moved(scene, moving, 6)) is None
    bare = open_scene(toy_person.make(tmp_path), "toy")
    assert bare.avatar is None and "rig" not in bare.states and len(bare.steps) == 6


def test_a_damaged_rig_is_told_and_the_rest_is_shown(tmp_path):
    toy_avatar.make(tmp_path)
    file = next((tmp_path / "cache" / "rig").glob("*/gaussians.ply"))
    file.write_bytes(b"x" * file.stat().st_size)
    scene = open_scene(tmp_path, "toy")
    assert scene.avatar is None and "gaussians.ply" in scene.steps[6].missing
    assert scene.steps[4].gaussians is not None


def test_controls_bring_their_pose(window):
    movement, scene = window.movement, window.scene
    assert movement is not None and scene.avatar is not None
    assert np.array_equal(shown(window)[:, 7], splat_buffer(scene.steps[4].gaussians)[:, 7])
    movement.clip.value = "t_pose"
    assert scene.steps[window.choice.step].stage == "rig" and window.stage.value == 6, (
        "a control brings its stop"
    )
    eventually(lambda: shows(window, Pose("t_pose")))
    assert movement.play.disabled and movement.frame.disabled and not movement.playing
    movement.joint.value = "left_elbow"
    movement.angles[1].value = -60.0
    bent = Pose("t_pose", turns={"left_elbow": (0.0, -60.0, 0.0)})
    eventually(lambda: shows(window, bent))
    movement.joint.value = "neck"
    assert [slider.value for slider in movement.angles] == [0, 0, 0] and movement.pose == bent
    movement.joint.value = "left_elbow"
    assert movement.angles[1].value == -60.0
    movement.betas[0].value = 1.0
    movement.expression[2].value = -1.0
    assert movement.pose.betas[0] == 1.0 and movement.pose.expression[2] == -1.0
    eventually(lambda: shows(window, movement.pose))
    movement.reset()
    assert movement.pose == Pose() and movement.clip.value == PHOTO and movement.betas[0].value == 0.0
    eventually(lambda: shows(window, Pose()))


def test_a_clip_plays_pauses_and_is_scrubbed(window):
    movement = window.movement
    assert movement is not None
    movement.choose("walk")
    assert movement.playing and movement.frame.max == 95
    frames = set()
    eventually(lambda: len(frames.add(int(movement.frame.value)) or frames) > 4)  # type: ignore[func-returns-value]
    movement.play.value = False
    assert not movement.playing
    movement.frame.value = 30
    eventually(lambda: shows(window, Pose("walk", 1.0)))
    sent = movement.sent
    window.stage.value = 0
    assert not movement.shown and np.array_equal(shown(window), splat_buffer(window.scene.steps[0].gaussians))
    movement.play.value = True
    assert movement.shown and window.stage.value == 6, "to play is to see it"
    eventually(lambda: movement.sent > sent + 3)


def test_the_mesh_moves_beside_the_gaussians_or_without(window):
    movement = window.movement
    assert movement is not None and not window.moving
    movement.choose("t_pose")
    window.toggles["mesh"].value = True
    assert len(window.moving) > 1 and all(node.visible for _, node in window.moving)

    def follows(pose: Pose) -> bool:
        vertices = movement.puppet.vertices(pose)
        return all(np.array_equal(node.vertices, facet.of(vertices)) for facet, node in window.moving)

    eventually(lambda: follows(Pose("t_pose")) and shows(window, Pose("t_pose")))
    window.toggles["gaussians"].value = False
    before = shown(window)
    movement.betas[0].value = 2.0
    eventually(lambda: follows(movement.pose))
    assert movement.mesh_shown and not movement.shown and np.array_equal(shown(window), before)
    window.stage.value = 4
    assert not any(node.visible for _, node in window.moving) and not movement.mesh_shown
    movement.reset()


@needs_chromium
@pytest.mark.parametrize("kind", ["gaussians", "mesh"])
def test_the_page_shows_the_person_move(window, tmp_path, kind):
    browser = Browser(tmp_path / "profile", (900, 600))
    try:
        browser.open(f"http://127.0.0.1:{window.port}")
        browser.wait(
            "document.querySelector('canvas') !== null && document.body.innerText.includes('Movement')"
        )
        movement = window.movement
        assert movement is not None
        eventually(lambda: len(window.server.get_clients()) == 1)
        for client in window.server.get_clients().values():  # the toy's other stages are smaller
            client.camera.position, client.camera.look_at = (0.0, 0.0, -5.0), (0.0, 0.0, 0.0)
        sizes: dict[str, float] = {}
        for clip, frame in (("t_pose", 0), ("squat", 45)):
            movement.choose(clip)
            movement.run(False)
            movement.frame.value = frame
            window.toggles["gaussians"].value = kind == "gaussians"
            window.toggles["mesh"].value = kind == "mesh"
            y = np.ascontiguousarray(movement.puppet.buffer(movement.pose)[:, 1]).view(np.float32)
            heights = [0.0, -1.0]

            def rests(heights: list[float] = heights) -> bool:
                rows = (browser.picture()[165:, :500].min(-1) < 200).nonzero()[0]  # below a word on WebGL
                heights.append(float(np.ptp(rows)) if len(rows) else 0.0)
                return heights[-1] == heights[-2] == heights[-3] > 40

            eventually(rests, 60)
            sizes[clip] = heights[-1] / float(np.ptp(y))
        assert sizes["squat"] == pytest.approx(sizes["t_pose"], rel=0.1), "at one scale"
        assert not browser.errors
    finally:
        browser.close()
