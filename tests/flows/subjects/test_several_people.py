"""`run --people`: several people in one photo, apart, touching, or one before the other; each becomes a
subject."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from turnaround.data.poses.everyday import sample_pose
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.subjects import given, memory
from turnaround.flows.subjects.persons import overrides_for
from turnaround.models.body.model import BodyModel
from turnaround.models.matting.apart import people_apart, split
from turnaround.models.mesh.silhouette import body_masks
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Body

SIZE = 256


def silhouettes(count: int, seed: int = 0, kind: str | None = None) -> np.ndarray:
    """Masks (count, s, s) of bodies in random poses, seen from all around."""
    rng = np.random.default_rng(seed)
    model = BodyModel.load()
    masks = []
    for _ in range(count):
        pose = {name: torch.from_numpy(value) for name, value in sample_pose(rng, kind).items()}
        body = dataclasses.replace(Body.neutral(), global_orient=torch.tensor([torch.pi, 0.0, 0.0]), **pose)
        masks.append(
            body_masks(
                model(body).vertices,
                model.skin_faces.numpy(),
                orbit_cameras([float(rng.uniform(0, 360))], SIZE),
            )[0].numpy()
        )
    return np.stack(masks)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a > 0.5) & (b > 0.5)).sum() / ((a > 0.5) | (b > 0.5)).sum())


def together(left: np.ndarray, right: np.ndarray, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Two masks on one picture, `gap` pixels between their boxes; below 0 they overlap."""
    a, b = (np.flatnonzero((mask > 0.5).any(0)) for mask in (left, right))
    widths = a[-1] + 1 - a[0], b[-1] + 1 - b[0]
    pictures = np.zeros((2, SIZE, 40 + sum(widths) + max(gap, 0)), np.float32)
    pictures[0, :, 20 : 20 + widths[0]] = left[:, a[0] : a[-1] + 1]
    start = 20 + widths[0] + gap
    pictures[1, :, start : start + widths[1]] = right[:, b[0] : b[-1] + 1]
    return pictures[0], pictures[1]


def test_one_person_stays_one_whatever_the_pose():
    masks = silhouettes(60)
    parts = [len(split(mask > 0.5)) for mask in masks]
    assert parts == [1] * len(masks)
    assert all(len(people_apart(mask)) == 1 for mask in masks[:10])


def test_people_who_stand_apart_or_touch_are_two():
    standing = silhouettes(16, seed=1, kind="relaxed")
    for gap in (12, 0, -2):
        found = []
        for left, right in zip(standing[::2], standing[1::2], strict=True):
            a, b = together(left, right, gap)
            people = people_apart(np.maximum(a, b))
            found.append(len(people) == 2 and min(iou(people[0], a), iou(people[1], b)) > 0.93)
        assert sum(found) >= (8 if gap > 0 else 7), gap


def test_what_is_far_smaller_is_nobody_and_an_empty_mask_has_none():
    left, right = together(*silhouettes(2, seed=1, kind="relaxed"), gap=30)
    small = np.zeros_like(right)
    rows, columns = np.nonzero(right > 0.5)
    small[(rows + SIZE) // 2 - 20, columns // 2 + right.shape[1] // 2 - 10] = 1
    assert len(people_apart(np.maximum(left, small))) == 1
    assert people_apart(np.zeros((90, 120), np.float32)) == []


# ---------------------------------------------------------------------------------------------- the command


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


def cut_out(file: str, *people: np.ndarray) -> np.ndarray:
    """A photo with an alpha channel: each person in a colour of their own."""
    alpha = np.max(people, axis=0)
    colors = np.array([[200, 40, 40], [40, 40, 200], [40, 160, 40]], np.uint8)
    rgb = colors[np.argmax(people, axis=0)]
    Image.fromarray(np.concatenate([rgb, np.round(alpha[..., None] * 255).astype(np.uint8)], -1)).save(file)
    return alpha


@pytest.fixture
def pair(tmp_path, monkeypatch) -> tuple[np.ndarray, np.ndarray]:
    monkeypatch.chdir(tmp_path)
    people = together(*silhouettes(2, seed=1, kind="relaxed"), gap=14)
    cut_out("pair.png", *people)
    return people


def view(name: str) -> np.ndarray:
    return np.asarray(Image.open(f"work/subjects/{name}/01_prepare/view.png").convert("RGBA"))


def test_every_person_becomes_a_subject_from_left_to_right(pair, capsys):
    cut_out("solo.png", pair[0])
    words = ("run", "pair.png", "solo.png", "--until", "prepare", "--direct", "--config", "tiny")
    assert turn(*words) == 1
    assert "do each of them with `run --people all`" in capsys.readouterr().err
    assert turn(*words, "--people", "all") == 0
    assert memory.names(Path("work")) == [
        "pair-1",
        "pair-2",
        "solo",
    ]  # the failure that named the remedy is over
    for name, color in (("pair-1", 0), ("pair-2", 2)):
        rgba = view(name)
        inside = rgba[rgba[..., 3] > 250][:, :3].mean(0)
        assert inside.argmax() == color and inside[color] > 190, (name, inside)
        entry = given.entries(Path("work"), name)["photo.mask"]
        assert entry["origin"].startswith(f"person {name[-1]} of 2 from the left in ")
    capsys.readouterr()
    assert turn(*words, "--people", "all") == 0
    assert "0 stages made, 3 fresh" in capsys.readouterr().err
    assert turn("rerun", "prepare", "-s", "pair-*", "--only") == 0
    assert turn("gc") == 0 and Path("work/subjects/pair-1/00_people/masks/2.png").exists()
    turn("status", "pair-2", "--long")
    assert "prepare      FRESH" in capsys.readouterr().out


def test_a_mask_that_a_person_gave_stays(pair):
    words = ("run", "pair.png", "--until", "prepare", "--direct", "--config", "tiny", "--people", "all")
    turn(*words)
    stream = io.BytesIO()
    Image.fromarray(np.round(pair[0] * 255).astype(np.uint8)).save(stream, "png")
    Path("mine.png").write_bytes(stream.getvalue())
    assert turn("override", "pair-1/photo/mask", "mine.png") == 0
    assert turn(*words) == 0
    assert given.entries(Path("work"), "pair-1")["photo.mask"]["origin"].endswith("mine.png")
    manifest = json.loads(Path("work/subjects/pair-1/01_prepare/manifest.json").read_text())
    assert manifest["inputs"]["photo.mask"] == given.entries(Path("work"), "pair-1")["photo.mask"]["sha256"]


def test_largest_takes_one_and_contradictions_are_told(pair, capsys):
    assert (
        turn("run", "pair.png", "--until", "prepare", "--direct", "--config", "tiny", "--people", "largest")
        == 0
    )
    assert memory.names(Path("work")) == ["pair"]
    assert turn("run", "pair.png", "--people", "all", "--set", "stages.prepare.person=0") == 2
    assert "contradict each other" in capsys.readouterr().err
    assert turn("run", "pair.png", "--people", "both") == 2
    assert overrides_for("one", ("a=1",)) == ("a=1",)


def test_nobody_is_told_by_the_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("text.png").write_bytes(b"no picture")
    assert turn("run", "text.png", "--direct", "--people", "all") == 1
    assert "not a picture" in capsys.readouterr().err and not list(Path("work/cache").glob("people/*"))


@pytest.mark.slow
def test_the_network_finds_two_people_in_an_opaque_photo(tmp_path, monkeypatch):
    """Two of the demo's people, each with their own half of the background."""
    monkeypatch.chdir(tmp_path)
    demo = Path(__file__).resolve().parents[3] / "docs/demo"
    halves = [np.asarray(Image.open(demo / f"person_{k}.jpg").convert("RGB")) for k in (40004, 40020)]
    Image.fromarray(np.concatenate(halves, 1)).save("pair.png")
    for k, half in zip((1, 2), halves, strict=True):
        Image.fromarray(half).save(f"{k}.png")
    assert turn("run", "pair.png", "1.png", "2.png", "--until", "prepare", "--direct", "--people", "all") == 0
    for k in (1, 2):
        alone, among = view(str(k))[..., 3] / 255, view(f"pair-{k}")[..., 3] / 255
        assert iou(alone, among) > 0.9
