"""Landmark sets: chunks on disk that go on where they stopped, sets in memory, the training on them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_landmarks import batch_of, made_up_lifter, near, random_body, sighting_of, truth_of, write_set

from turnaround.data.people import TEST_SEED
from turnaround.data.sets import landmarks as landmark_sets
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.runs.training import find_training
from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.lifter import train
from turnaround.models.estimator.lifter.dataset import LandmarkSet
from turnaround.models.estimator.lifter.landmark_points import POINT_MIRROR
from turnaround.models.estimator.lifter.predict import load_lifter
from turnaround.models.estimator.lifter.train import UNKNOWN, learn_points, lifter_loss, measure, new_lifter
from turnaround.models.landmarks import files
from turnaround.pipeline.errors import TurnaroundError

ROOT = Path(__file__).resolve().parents[2]
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def offsets():
    return made_up_lifter().offsets


@pytest.fixture(scope="module")
def folder(model, offsets, tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("landmarks"), model, offsets)


def turn(*words: str) -> int:
    return guarded(lambda: app(list(words), standalone_mode=False))


# sets on disk


@pytest.fixture
def pretended(monkeypatch):
    """Chunks of two people in two pictures, without renders and networks; the seeds that were asked for."""
    asked: list[int] = []
    monkeypatch.setattr(landmark_sets, "PEOPLE", 2)
    monkeypatch.setattr(landmark_sets, "POSES", 2)

    def chunk(first: int) -> dict[str, np.ndarray]:
        asked.append(first)
        return {"pose_flag": np.full(4, first, np.float32)}

    monkeypatch.setattr(landmark_sets, "chunk", chunk)
    return asked


def test_a_set_goes_on_where_it_stopped(pretended, tmp_path):
    command = ["--out", str(tmp_path), "--seed", "70"]
    landmark_sets.main([*command, "--count", "5"])  # rounded up to two chunks of four
    assert pretended == [70, 72] and len(list(tmp_path.iterdir())) == 2
    landmark_sets.main([*command, "--count", "12"])
    assert pretended == [70, 72, 74]
    (tmp_path / "chunk_00001.npz").unlink()
    landmark_sets.main([*command, "--count", "12"])
    assert pretended[-1] == 72 and np.load(tmp_path / "chunk_00001.npz")["pose_flag"][0] == 72


def test_shards_share_the_chunks_and_no_time_makes_none(pretended, tmp_path):
    command = ["--out", str(tmp_path), "--seed", "0", "--count", "20"]
    landmark_sets.main([*command, "--minutes", "0"])
    assert not pretended
    for shard in ("0/2", "1/2"):
        landmark_sets.main([*command, "--shard", shard])
    assert pretended == [0, 4, 8, 2, 6]


@pytest.mark.parametrize("shard", ["1", "2/2", "a/b", "-1/2"])
def test_a_shard_that_cannot_be_is_refused(pretended, tmp_path, shard, capsys):
    with pytest.raises(SystemExit):
        landmark_sets.main(["--out", str(tmp_path), "--count", "1", f"--shard={shard}"])
    assert "expected i/n" in capsys.readouterr().err


def test_the_command_makes_a_set(pretended, tmp_path):
    assert turn("data", "landmarks", "--count", "1", "--out", str(tmp_path), "--seed", "6") == 0
    assert pretended == [6]


def test_test_people_are_refused(tmp_path):
    with pytest.raises(ValueError, match=f"seed {TEST_SEED} is not one of split 'train'"):
        landmark_sets.main(["--out", str(tmp_path), "--count", "1", "--seed", str(TEST_SEED)])
    assert not list(tmp_path.iterdir())


def test_pictures_without_a_person_are_left_out(monkeypatch):
    """The layout of a chunk, with the people, the renders and the networks pretended."""
    monkeypatch.setattr(landmark_sets, "PEOPLE", 2)
    monkeypatch.setattr(landmark_sets, "POSES", 3)
    monkeypatch.setattr(landmark_sets, "sample_person", lambda seed, split: seed)
    seen = iter([None, *({"pose_flag": np.float32(k)} for k in range(4)), None])
    monkeypatch.setattr(landmark_sets, "_found", lambda picture: next(seen))
    names = ("joints", "joints_uv", "joint_visible", "up", "photo", "T_camera_world", "kind")

    def single(person: int, index: int, size: int) -> dict[str, np.ndarray]:
        known = {name: np.array([person, index]) for name in names}
        known |= {f"body_{field}": np.zeros(3) for field in landmark_sets.FIELDS}
        rgba = np.full((size, size, 4), 255, np.uint8)
        K = np.array([[2 * size, 0, size / 2], [0, 2 * size, size / 2], [0, 0, 1]], np.float32)
        return known | {"rgba": rgba, "object_rgba": rgba[:0], "K": K}

    monkeypatch.setattr(landmark_sets, "single", single)
    arrays = landmark_sets.chunk(40, size=32)
    assert arrays["joints"].tolist() == [[40, 1], [40, 2], [41, 0], [41, 1]]
    assert arrays["pose_flag"].tolist() == [0, 1, 2, 3]
    assert arrays["K"][0].tolist() == [[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]]


@pytest.mark.skipif(not files.available(), reason="no landmark networks: `turnaround fetch` brings them")
def test_a_real_chunk_is_read_and_its_landmarks_lie_on_the_person(monkeypatch, tmp_path):
    monkeypatch.setattr(landmark_sets, "PEOPLE", 1)
    monkeypatch.setattr(landmark_sets, "POSES", 2)
    landmark_sets.main(["--out", str(tmp_path), "--count", "4", "--seed", "300000"])
    data = LandmarkSet(tmp_path, "all")
    assert 2 <= len(data) <= 4
    seen, truth = data.everything.seen, data.everything.truth
    chunks = [np.load(file) for file in sorted(tmp_path.iterdir())]
    raw = {name: np.concatenate([made[name] for made in chunks]) for name in ("joints_uv", "pose_points")}
    hips, shoulders = raw["joints_uv"][:, [1, 2, 16, 17]], raw["pose_points"][:, [23, 24, 11, 12], :2]
    height = np.ptp(raw["pose_points"][..., :2], axis=1).max(-1)
    assert np.median(np.linalg.norm(hips - shoulders, axis=-1).mean(1) / height) < 0.1
    assert seen.pose.shape[1:] == (33, 5) and truth.fingers.shape[1:] == (2, 15, 3, 3)


# sets in memory


def test_a_set_comes_back_as_it_was_written(folder, model, offsets):
    data = LandmarkSet(folder, "all")
    bodies = [random_body(8, number) for number in range(3)]
    for name, made in (
        ("seen", [sighting_of(b, model, offsets) for b in bodies]),
        ("truth", [truth_of(b, model) for b in bodies]),
    ):
        for field, value in vars(getattr(data.everything, name)).items():
            expected = torch.cat([getattr(part, field) for part in made])
            near(value, expected, 2e-5, field)
    assert list(data.kinds) == ["made up"] * 24


def test_the_last_chunks_are_held_out(folder):
    train_set, held, everything = (LandmarkSet(folder, part) for part in ("train", "held", "all"))
    assert (len(train_set), len(held), len(everything)) == (16, 8, 24)
    betas = everything.everything.truth.betas
    assert torch.equal(train_set.everything.truth.betas, betas[:16])
    assert torch.equal(held.everything.truth.betas, betas[16:])
    assert len(LandmarkSet(folder, "train", limit=1)) == 8


def test_a_folder_without_chunks_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"0 chunks .* at least 2 .* `turnaround data landmarks`"):
        LandmarkSet(tmp_path, "train")
    with pytest.raises(TurnaroundError, match="turnaround data landmarks"):  # told, not a crash
        find_training("lifter")(["--data", str(tmp_path), "--out", str(tmp_path / "run")])


def test_batches_are_reproducible_spoilt_and_still_of_the_same_people(folder):
    data = LandmarkSet(folder, "train")
    first, same, other = (data.batch(64, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.seen.pose, same.seen.pose) and not torch.equal(first.seen.pose, other.seen.pose)
    lost = first.seen.pose[..., 4] == 0
    assert 0 < lost.float().mean() < 0.2
    assert (first.seen.pose[lost] == 0).all() and (first.seen.world[lost] == 0).all()
    unseen = first.seen.hands_flag == 0
    assert 0 < unseen.float().mean() < 0.4
    assert (first.seen.hands[unseen] == 0).all() and (first.seen.hands_world[unseen] == 0).all()
    assert (first.seen.face[first.seen.face_flag == 0] == 0).all()
    betas = data.everything.truth.betas
    assert all((row == betas).all(1).any() for row in first.truth.betas)


# what is learned without a network


def test_offsets_of_landmarks_are_learned(model, offsets):
    everything = batch_of(random_body(60, 3, amount=0.5), model, offsets)
    found, errors = learn_points(everything, steps=400)
    assert (found - offsets).norm(dim=-1).max() < 0.01 and (found - offsets).norm(dim=-1).median() < 0.003
    flip = torch.tensor([-1.0, 1, 1])
    torch.testing.assert_close(found[list(POINT_MIRROR)] * flip, found)
    assert errors.shape == (2, len(found)) and errors[0].max() < 0.005
    assert torch.equal(errors[1], 2 * errors[0])


def test_a_landmark_that_few_show_gets_a_usual_error(model, offsets):
    everything = batch_of(random_body(24, 4), model, offsets)
    hidden = dataclasses.replace(everything.seen, hands_flag=torch.zeros(24, 2))
    _, errors = learn_points(dataclasses.replace(everything, seen=hidden), steps=5)
    assert torch.isfinite(errors).all()
    assert (errors[0, 33:43] == UNKNOWN).all() and (errors[1, 33:43] == 2 * UNKNOWN).all()


# training


def test_the_loss_falls(folder):
    data = LandmarkSet(folder, "train")
    torch.manual_seed(0)
    network = new_lifter(data)
    assert network.offsets.abs().max() > 0.01 and network.face.weight.abs().max() > 0
    batch = data.everything
    optimizer = torch.optim.Adam(network.parameters(), 3e-4)
    losses = []
    for _ in range(15):
        loss, terms = lifter_loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0] and set(terms) == set(train.WEIGHTS)
    with torch.no_grad():
        figures = measure(network, batch)
    assert {"mpjpe", "two_looks_mpjpe", "pa_mpjpe", "angle", "up", "fingers"} <= set(figures)


def test_a_batch_without_hands_has_a_loss(folder):
    data = LandmarkSet(folder, "train")
    blind = dataclasses.replace(data.everything.seen, hands_flag=torch.zeros(16, 2))
    loss, terms = lifter_loss(new_lifter(), dataclasses.replace(data.everything, seen=blind))
    assert torch.isfinite(loss) and terms["fingers"] == 0


class Cut(Exception):
    """The machine goes off."""


def test_training_resumes_to_the_bit_and_its_weights_load(folder, tmp_path, monkeypatch):
    common = [
        "--data",
        str(folder),
        "--batch",
        "6",
        "--warmup",
        "2",
        "--steps",
        "4",
        "--checkpoint-seconds",
        "0",
    ]
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    run = find_training("lifter")
    run([*common, "--out", str(tmp_path / "whole"), "--save", str(whole)])
    steps, plain = iter(range(2)), LandmarkSet.batch

    def until_2(self: LandmarkSet, size: int, rng: np.random.Generator):
        if next(steps, None) is None:
            raise Cut
        return plain(self, size, rng)

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(LandmarkSet, "batch", until_2)
        run([*common, "--out", str(tmp_path / "cut")])
    run([*common, "--out", str(tmp_path / "cut"), "--save", str(cut)])
    first, second = zoo.load_state(str(whole))[0], zoo.load_state(str(cut))[0]
    assert set(first) == set(second)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    load_lifter(str(whole))
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 4 and np.isfinite(lines[-1]["val_mpjpe"]) and lines[-1]["skipped"] == 0
    assert json.loads((tmp_path / "whole" / "settings.json").read_text())["network"] == "lifter"


def test_bfloat16_reaches_the_layers_and_not_the_body(folder):
    batch = LandmarkSet(folder, "train").everything
    torch.manual_seed(0)
    network = new_lifter().eval()
    plain, _ = lifter_loss(network, batch)
    with torch.autocast("cpu", torch.bfloat16):
        short, _ = lifter_loss(network, batch)
        found = network(batch.seen)
    assert short.item() == pytest.approx(plain.item(), rel=1e-2) and found.joints.dtype == torch.float32
    near(found.rotations @ found.rotations.transpose(-1, -2), torch.eye(3).expand(16, 22, 3, 3))


def test_the_training_needs_neither_the_landmark_networks_nor_the_command_line():
    code = "import sys, models.estimator.lifter.train; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert not {"ai_edge_litert", "typer", "prefect", "data", "flows"} & set(done.stdout.split())
