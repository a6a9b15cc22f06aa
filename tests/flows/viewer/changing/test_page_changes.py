"""In a real browser: what was added fades in as in films, and the face takes expressions."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy_avatar
from chromium import Browser, needs_chromium
from moving_page import ONLY_PERSON, SIZE, camera_of, opened, psnr, settled, written

from turnaround.flows.viewer.changing.faces import STEPS, choices, moving, pack_faces
from turnaround.flows.viewer.changing.fades import pack_fades
from turnaround.models.avatar.avatar import Avatar
from turnaround.models.avatar.displacement import body_directions
from turnaround.models.avatar.face.following import face_directions
from turnaround.models.avatar.face.presets import PRESETS
from turnaround.models.avatar.interchange.expression import jaw_direction
from turnaround.models.avatar.skinning import skin_points, transforms_of
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.motion.builtin import builtin
from turnaround.models.splat import rasterize
from turnaround.pipeline.values.motion import Motion
from turnaround.pipeline.values.types import Gaussians

pytestmark = needs_chromium
RED = torch.tensor([1.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    """The toy whose last Gaussians, in red, were added, and in many colours, so that what moves is seen."""
    plain = toy_avatar.avatar(1)
    count = len(plain.gaussians) // 3
    own = plain.rig.gaussians.bones[-count:, :1]
    about = torch.cat([own, (own - 1).clamp(min=0), own, own], 1)
    colors = torch.rand(plain.gaussians.colors.shape, generator=torch.Generator().manual_seed(0))
    colors[-count:] = RED
    photo = dataclasses.replace(toy_avatar.STANDING, betas=plain.rig.rest.betas)
    return dataclasses.replace(
        plain,
        rig=dataclasses.replace(plain.rig, about=about, photo=photo),
        gaussians=dataclasses.replace(plain.gaussians, colors=colors),
    )


@pytest.fixture(scope="module")
def clips(avatar) -> dict[str, Motion]:
    """The photo's pose, a dance, and who only blinks."""
    dance, still = builtin("dance"), builtin("t_pose")
    photo = dataclasses.replace(still, body=avatar.rig.photo[None])
    shut = torch.tensor(PRESETS["blink"].expression)
    blinks = torch.linspace(0, 1, 7)[:, None] * shut
    body = dataclasses.replace(still.body[torch.zeros(7, dtype=torch.int64)], expression=blinks)
    return {"dance": dance, "photo": photo, "blink": dataclasses.replace(still, body=body)}


@pytest.fixture(scope="module")
def file(avatar, clips, tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("page"), avatar, list(clips.items()))


@pytest.fixture
def browser(tmp_path):
    made = Browser(tmp_path / "profile", (SIZE, SIZE))
    yield made
    made.close()


def asked_of(browser: Browser, script: str, **given: Any) -> np.ndarray:
    """Numbers that the page's own programs make of given things."""
    values = "; ".join(f"const {name} = {json.dumps(value)}" for name, value in given.items())
    return np.array(browser.run(f"(async () => {{ {values}; {script} }})()"))


FADING = """const { Fading } = await import("turnaround/fading");
    const fading = new Fading({ ...facts, bytes: Uint8Array.from(bytes) }, places);
    return poses.map((pose) => [...fading.shown(pose)])"""


def test_the_pages_shares_are_those_of_films(avatar, clips, file, browser):
    opened(browser, file, "clip=photo&play=no")
    about, count = avatar.rig.about, len(avatar.rig.about)
    facts, packed = pack_fades(avatar, about)
    photo = avatar.bones(avatar.rig.photo)
    places = skin_points(avatar.gaussians.means[-count:], avatar.rig.gaussians[-count:], photo)
    slight = dataclasses.replace(avatar.rig.photo, body_pose=avatar.rig.photo.body_pose + 0.01)
    bodies = [avatar.rig.photo, slight, clips["dance"].body[20], clips["dance"].body[50]]
    transforms = [transforms_of(avatar.bones(body)) for body in bodies]
    columns = [
        np.concatenate([t, np.tile([[[0, 0, 0, 1]]], (len(t), 1, 1))], 1).transpose(0, 2, 1).ravel().tolist()
        for t in transforms
    ]
    given = {"facts": facts, "bytes": list(packed), "places": places.ravel().tolist(), "poses": columns}
    seen = asked_of(browser, FADING, **given)
    expected = np.stack([avatar.fading().shown(each) for each in transforms])
    np.testing.assert_allclose(seen, expected, atol=1e-3)  # six digits of the photo's bones, 15 mm
    assert seen[0].max() < 1e-4 and ((seen[1] > 0.1) & (seen[1] < 0.9)).any() and (seen[2] == 1).any()


def test_what_was_added_is_drawn_as_in_films(avatar, clips, file, browser):
    for name, frame in (("photo", 0), ("dance", 40)):
        motion = clips[name]
        opened(browser, file, f"clip={name}&time={frame / motion.fps}&azimuth=20&ground=no")
        browser.run(ONLY_PERSON)
        seen, camera = settled(browser), camera_of(browser, 20)

        def drawn(whole: bool, body=motion.body[frame], camera=camera) -> np.ndarray:
            posed = avatar.posed_gaussians(body)
            full = dataclasses.replace(posed, opacities=avatar.gaussians.opacities)
            return rasterize(full if whole else posed, camera).rgb[0].clamp(0, 1).numpy() * 255

        assert psnr(seen, drawn(whole=False)) > 38, name
        assert psnr(seen, drawn(whole=True)) < psnr(seen, drawn(whole=False)) - 5, "shown always"


FACE = """const { Face } = await import("turnaround/face");
    const places = { array: Float32Array.from(rest) };
    const texels = new Float32Array(4 * (facts.start + facts.count));
    const face = new Face({ ...facts, bytes: Uint8Array.from(bytes) }, { getAttribute: () => places });
    const took = [face.take(shares, texels), face.take(shares, texels)];
    return [...took.map(Number), ...places.array, ...texels]"""


def test_a_face_moves_what_follows_it_as_far_as_in_files(avatar, file, browser):
    opened(browser, file, "clip=photo&play=no")
    of_mesh, of_gaussians = moving(avatar, avatar.mesh.vertices), moving(avatar, avatar.gaussians.means)
    steps, packed = pack_faces(of_mesh, of_gaussians.moves)
    chosen = {each["name"]: each["shares"] for each in choices(avatar.model)}
    assert list(chosen) == list(PRESETS)
    start, count = 3, len(of_gaussians.points)
    facts = {"start": start, "count": count, "vertices": len(of_mesh.points), "steps": steps}
    rest = avatar.mesh.vertices.ravel().tolist()
    for name in ("surprised", "blinkLeft"):
        given = {"facts": facts, "bytes": list(packed), "shares": chosen[name], "rest": rest}
        took, places, texels = np.split(asked_of(browser, FACE, **given), [2, 2 + len(rest)])
        assert took.tolist() == [1, 0], "the same face again is nothing new"
        shares = torch.tensor(chosen[name])
        apart = float((shares.abs() * torch.tensor(steps)).sum()) / 2 + 1e-6  # half a step of each
        moved = places.reshape(-1, 3) - avatar.mesh.vertices.numpy()
        expected = np.zeros_like(moved)
        expected[of_mesh.points] = of_mesh.moves @ shares
        np.testing.assert_allclose(moved, expected, atol=apart)
        own = texels.reshape(-1, 4)[:, :3]
        assert not own[:start].any() and np.abs(expected).max() > 0.003 > 10 * apart
        np.testing.assert_allclose(own[start:], of_gaussians.moves @ shares, atol=apart)
    assert max(steps) * STEPS < 0.03, "three centimetres"


def near_the_head(file: Path, avatar: Avatar, folder: Path) -> Path:
    """The page whose camera is 70 cm from the head of who stands in a T pose."""
    text = file.read_text()
    facts = text.split('<script type="application/json" id="person">')[1].split("</script>")[0]
    person = json.loads(facts)
    head = float(avatar.rig.joints[JOINT_INDEX["head"], 1] + builtin("t_pose").body.transl[0, 1])
    near = {**person, "middle": head, "distance": 0.7, "tangent": 0.2, "wide": 0.2}
    made = folder / "near.html"
    made.write_text(text.replace(facts, json.dumps(near).replace("<", "\\u003c")))
    return made


def expressed(avatar: Avatar, shares: torch.Tensor) -> Gaussians:
    """Gaussians at rest with a face."""
    jaw = jaw_direction(avatar.model, avatar.rig.rest)[..., None]
    directions = torch.cat([body_directions(avatar.model).expression, jaw], -1)
    means = avatar.gaussians.means
    return dataclasses.replace(
        avatar.gaussians, means=means + face_directions(avatar, means, directions) @ shares
    )


def test_the_face_that_is_chosen_and_the_clips_own_are_drawn(avatar, clips, file, browser, tmp_path):
    page = near_the_head(file, avatar, tmp_path)
    body = clips["blink"].body[0]
    blink = torch.tensor([*PRESETS["blink"].expression, 0.0])
    happy = torch.tensor([*PRESETS["happy"].expression, 0.0])
    time = 3.5 / clips["blink"].fps  # between two frames
    seen = np.zeros(0)
    for asked, shares in (("&time=0&face=happy", happy), (f"&time={time}", 3.5 / 6 * blink)):
        opened(browser, page, f"clip=blink&ground=no{asked}")
        browser.run(ONLY_PERSON)
        seen, camera = settled(browser), camera_of(browser, 0)

        def drawn(shares: torch.Tensor, camera=camera) -> np.ndarray:
            made = dataclasses.replace(avatar, gaussians=expressed(avatar, shares)).posed_gaussians(body)
            return rasterize(made, camera).rgb[0].clamp(0, 1).numpy() * 255

        assert psnr(seen, drawn(shares)) > 34, (asked, "36 dB were measured")
        still, moved = drawn(0 * shares), drawn(shares)
        differ = np.abs(still - moved).max(-1) > 25
        near, far = (np.abs(seen - each)[differ].sum() for each in (moved, still))
        assert differ.sum() > 50 and near < far / 2, (asked, differ.sum(), near, far)
    select = "document.getElementById('face')"
    names = browser.run(f"[...{select}.options].map((each) => each.text)")
    assert names[:2] == ["Face of the clip", "Happy"] and names[-1] == "Blink right"
    change = f"{select}.value = '%s'; {select}.dispatchEvent(new Event('change'))"
    browser.run(change % "happy")
    assert psnr(settled(browser), seen) < 45
    browser.run(change % "")
    assert psnr(settled(browser), seen) > 50, "back to the clip's"
