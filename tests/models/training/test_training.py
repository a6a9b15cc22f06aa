"""The training loop learns, resumes to the step, skips broken gradients; the zoo refuses what is not
pinned."""

import gc
import itertools
import json
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from turnaround.models import zoo
from turnaround.models.training.batches import stream
from turnaround.models.training.loop import Diverged, Trainer, TrainingConfig


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
    trained = Trainer(make(), config).run(
        batches, loss_fn, lambda model, step: {"w0": model.weight[0, 0].item()}
    )
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


def ended(folder, config, **changes):
    """The trainer of a run of 10 steps (or what the settings say) after its end; by its clock a step takes
    one minute."""
    batches, loss_fn = regression()
    settings = {"steps": 10, "lr": 0.05, "warmup": 3, "accumulate": 2, **config, **changes}
    now = [0.0]

    def passing(model, batch):
        now[0] += 60 / settings["accumulate"]
        return loss_fn(model, batch)

    trainer = Trainer(
        make(seed=len(list(folder.glob("*")))), TrainingConfig(out=folder, **settings), clock=lambda: now[0]
    )
    trainer.run(batches, passing)
    return trainer


def assert_same(one, other):
    states = [[*t.model.state_dict().values(), *t.ema.state_dict().values()] for t in (one, other)]
    moments = [
        [x for s in t.optimizer.state_dict()["state"].values() for x in s.values()] for t in (one, other)
    ]
    for mine, yours in zip(
        itertools.chain(*([*states[0:1], moments[0]])),
        itertools.chain(*([*states[1:2], moments[1]])),
        strict=True,
    ):
        assert torch.equal(mine, yours)
    assert one.step == other.step and one.skipped == other.skipped


@pytest.mark.parametrize("stops", [[6], [2, 3]])
@pytest.mark.parametrize("schedule", ["cosine", "onecycle"])
def test_ten_steps_are_six_and_four_whatever_the_time_limits_of_the_calls(tmp_path, stops, schedule):
    whole = ended(tmp_path / "whole", {"schedule": schedule})
    for number, minutes in enumerate(stops):
        assert ended(tmp_path / "parts", {"schedule": schedule}, stop_after=minutes).step == sum(
            stops[: number + 1]
        )
    assert_same(ended(tmp_path / "parts", {"schedule": schedule}, stop_after=100), whole)


def test_a_schedule_in_minutes_goes_on_where_it_stopped(tmp_path):
    config = {"steps": 10**6, "minutes": 10.0}
    whole = ended(tmp_path / "whole", config)
    assert whole.step == 10
    assert ended(tmp_path / "parts", config, stop_after=4).step == 4
    assert_same(ended(tmp_path / "parts", config), whole)


def test_one_cycle_is_torch_s(tmp_path):
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=50, pct_start=7 / 50)
    trainer = Trainer(make(), TrainingConfig(out=tmp_path, steps=50, warmup=7, lr=0.3, schedule="onecycle"))
    for step in range(50):
        trainer.step = step
        assert trainer.rate() == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6), step
        optimizer.step()
        if step < 49:
            theirs.step()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_workers_make_the_same_batches_in_the_same_order(kind):
    def make(index):
        rng = np.random.default_rng((1, index))
        time.sleep(float(rng.uniform(0, 0.01)))  # they finish out of order
        return index, torch.from_numpy(rng.normal(size=4))

    alone, helped = (list(itertools.islice(stream(make, 5, workers, kind), 12)) for workers in (0, 3))
    assert [k for k, _ in helped] == list(range(5, 17))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(alone, helped, strict=True))


def test_processes_do_not_end_as_the_parent_would(monkeypatch):
    """Prefect has calls for the end of the process that fail in a forked one."""

    def fail():
        raise AssertionError("only the parent may do this")

    monkeypatch.setattr(threading, "_threading_atexits", [fail])
    lost: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    ended = list(itertools.islice(stream(lambda index: index, 0, 2, "processes"), 3))
    gc.collect()
    assert ended == [0, 1, 2] and not lost, [str(each.exc_value) for each in lost]


def test_workers_do_not_change_the_weights(tmp_path):
    assert_same(ended(tmp_path / "alone", {}), ended(tmp_path / "helped", {}, workers=2))


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_fault_in_a_worker_ends_the_run_with_its_message(kind):
    def make(index):
        if index == 3:
            raise ValueError("picture 3 is broken")
        return torch.zeros(1)

    source = stream(make, 0, 2, kind)
    with pytest.raises(ValueError, match="picture 3 is broken"):
        list(itertools.islice(source, 5))


def test_accumulated_batches_count_as_one_large_batch(tmp_path):
    def batches(step, rng):
        x = torch.tensor(rng.normal(size=(4, 2)), dtype=torch.float32)
        seen.append(x)
        return x, x.sum(1)

    def loss_fn(model, batch):
        return (model(batch[0])[:, 0] - batch[1]).square().mean(), {}

    seen = []
    parts = Trainer(make(), TrainingConfig(out=tmp_path / "parts", steps=1, accumulate=3)).run(
        batches, loss_fn
    )
    everything = torch.cat(seen)
    whole = Trainer(make(), TrainingConfig(out=tmp_path / "whole", steps=1)).run(
        lambda *_: (everything, everything.sum(1)), loss_fn
    )
    assert torch.allclose(parts.weight, whole.weight, atol=1e-7)


@pytest.mark.parametrize("size", [0, 1, 0.5, 0.98])
def test_a_truncated_checkpoint_falls_back_to_the_one_before(tmp_path, caplog, size):
    batches, loss_fn = regression()
    trainer = Trainer(make(), TrainingConfig(out=tmp_path, steps=10, checkpoint_seconds=0))
    trainer.run(batches, loss_fn)
    last = tmp_path / "checkpoint.pt"
    content = last.read_bytes()
    last.write_bytes(content[: int(size if size in (0, 1) else size * len(content))])
    with caplog.at_level(logging.WARNING):
        resumed = Trainer(make(seed=3), TrainingConfig(out=tmp_path, steps=10))
    assert (
        resumed.step == 10 and "checkpoint.pt cannot be read" in caplog.text
    )  # the end is saved once more than the last step
    (tmp_path / "checkpoint.previous.pt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read"):
        Trainer(make(), TrainingConfig(out=tmp_path, steps=10))


def test_many_broken_steps_stop_the_run_and_leave_the_checkpoint(tmp_path):
    batches, loss_fn = regression()
    config = TrainingConfig(out=tmp_path, steps=100, max_skipped=4)

    def breaks(model, batch):
        loss, values = loss_fn(model, batch)
        return loss * (float("nan") if trainer.step >= 8 else 1), values

    trainer = Trainer(make(), TrainingConfig(out=tmp_path, steps=8, max_skipped=4))
    trainer.run(batches, breaks)
    trainer = Trainer(make(), config)
    with pytest.raises(Diverged, match=r"4 steps in a row up to step 11 .*--lr"):
        trainer.run(batches, breaks)
    assert trainer.skipped == 4 and Trainer(make(), config).step == 8


def test_the_best_weights_by_validation_are_kept_and_snapshots_made(tmp_path):
    batches, loss_fn = regression()
    scores = iter([3.0, 1.0, 2.0])
    config = TrainingConfig(out=tmp_path, steps=30, validate_every=10, snapshots=(5,), lr=0.05)
    trainer = Trainer(make(), config)
    kept = {}

    def validate(model, step):
        kept[step] = model.weight.clone()
        return {"error": next(scores)}

    trainer.run(batches, loss_fn, validate, goal=("error", "min"))
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert best["step"] == 20 and best["best"] == {"name": "error", "score": 1.0, "step": 20}
    assert torch.equal(best["ema"]["weight"], kept[20])
    assert torch.load(tmp_path / "snapshot_000005.pt", weights_only=True)["step"] == 5
    assert Trainer(make(), config).best["step"] == 20
    assert torch.equal(trainer.kept_state(best=True)["weight"], kept[20])
    assert torch.equal(trainer.kept_state(best=False)["weight"], trainer.ema.weight)


def test_sample_pictures_follow_validations(tmp_path):
    batches, loss_fn = regression()
    config = TrainingConfig(out=tmp_path, steps=40, validate_every=10, sample_every=20)
    pictures = {"line": torch.rand(4, 6, 3)}
    Trainer(make(), config).run(batches, loss_fn, lambda *_: {}, samples=lambda _: pictures)
    assert sorted(file.name for file in (tmp_path / "samples").iterdir()) == [
        "000020_line.jpg",
        "000040_line.jpg",
    ]
    with pytest.raises(ValueError, match=r"\(h, w, 3\)"):
        Trainer(make(), TrainingConfig(out=tmp_path / "b", steps=1)).run(
            batches, loss_fn, samples=lambda _: {"flat": torch.zeros(3, 3)}
        )


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
    ships = {name for name, weight in zoo.WEIGHTS.items() if weight.embedded and not weight.trainable}
    trained = {
        name
        for name, weight in zoo.WEIGHTS.items()
        if weight.trainable and (zoo.FOLDER / weight.file).is_file()
    }
    assert set(pins) == ships | trained
    for name in pins:
        assert zoo.digest(name) == pins[name]
        assert Path(zoo.path(name)).stat().st_size <= 16 * 2**20
