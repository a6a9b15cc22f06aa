"""The training loop learns, resumes to the step, skips broken gradients; the zoo refuses what is not pinned."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from models import zoo
from models.training import Trainer, TrainingConfig


def regression(rng_shift=0.0):
    truth = torch.tensor([1.0, -2.0])

    def batches(step, rng):
        x = torch.tensor(rng.normal(size=(16, 2)), dtype=torch.float32)
        return x, x @ truth + rng_shift

    def loss_fn(model, batch):
        x, y = batch
        loss = (model(x)[:, 0] - y).square().mean()
        return loss, {"mse": loss.item()}

    return batches, loss_fn


def make(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(2, 1)


def test_learns_and_logs(tmp_path):
    batches, loss_fn = regression()
    config = TrainingConfig(out=tmp_path, steps=200, lr=0.05, warmup=5, validate_every=100)
    trained = Trainer(make(), config).run(batches, loss_fn, lambda model, step: {"w0": model.weight[0, 0].item()})
    assert torch.allclose(trained.weight[0], torch.tensor([1.0, -2.0]), atol=0.05)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 200 and lines[-1]["mse"] < 1e-2 and "val_w0" in lines[-1]


def test_a_resumed_run_ends_with_the_same_weights_as_an_undisturbed_one(tmp_path):
    batches, loss_fn = regression()
    whole = Trainer(make(), TrainingConfig(out=tmp_path / "whole", steps=40, lr=0.02)).run(batches, loss_fn)

    class Cut(Exception):
        pass

    def until_20(step, rng):
        if step == 20:
            raise Cut
        return batches(step, rng)

    config = TrainingConfig(out=tmp_path / "cut", steps=40, lr=0.02, checkpoint_seconds=0)
    with pytest.raises(Cut):
        Trainer(make(), config).run(until_20, loss_fn)
    trainer = Trainer(make(seed=99), config)
    assert trainer.step == 20
    resumed = trainer.run(batches, loss_fn)
    assert torch.equal(resumed.weight, whole.weight) and torch.equal(resumed.bias, whole.bias)


def test_steps_with_infinite_gradients_are_skipped_and_counted(tmp_path):
    batches, loss_fn = regression()

    def sometimes_broken(model, batch):
        loss, values = loss_fn(model, batch)
        return (loss * float("inf"), values) if sometimes_broken.calls.pop(0) else (loss, values)

    sometimes_broken.calls = [False, True, False]
    trainer = Trainer(make(), TrainingConfig(out=tmp_path, steps=3))
    trainer.run(batches, sometimes_broken)
    assert trainer.skipped == 1 and torch.isfinite(trainer.model.weight).all()


def test_zoo_round_trips_in_half_precision_and_refuses_what_is_not_finite(tmp_path):
    state = {"a": torch.randn(3, 2), "n": torch.arange(3)}
    file = zoo.save_state(tmp_path / "w.safetensors", state, {"config": "{}"})
    loaded, metadata = zoo.load_state(file)
    assert metadata == {"config": "{}"} and torch.equal(loaded["n"], state["n"])
    assert torch.allclose(loaded["a"], state["a"], atol=2e-3)
    with pytest.raises(ValueError, match="not finite"):
        zoo.save_state(tmp_path / "bad.safetensors", {"a": torch.tensor([1e30])}, {})
    assert not (tmp_path / "bad.safetensors").exists()


def test_missing_and_changed_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setattr(zoo, "INDEX", tmp_path / "index.json")
    with pytest.raises(zoo.MissingWeight, match=r"matting.*person mask"):
        zoo.path("matting")
    zoo.save_state("matting", {"a": torch.ones(1)}, {})
    assert zoo.digest("matting") == zoo.pins()["matting"]
    (tmp_path / "matting.safetensors").write_bytes(b"something else")
    with pytest.raises(zoo.MissingWeight, match="git checkout"):
        zoo.digest("matting")


def test_every_shipped_weight_is_pinned_and_small():
    pins = zoo.pins()
    for name, weight in zoo.WEIGHTS.items():
        if weight.embedded:
            assert zoo.digest(name) == pins[name]
            assert Path(zoo.path(name)).stat().st_size <= 16 * 2**20
