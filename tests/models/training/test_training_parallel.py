"""Several processes train one model: gradients are the mean, batches differ, one of them writes, a resumed
run is the same."""

import json
import multiprocessing
import os
import socket
from pathlib import Path

import pytest
import torch
from torch import nn

from turnaround.models.training.loop import Trainer, TrainingConfig


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.seldom, self.never = nn.Linear(3, 1), nn.Linear(3, 1), nn.Linear(2, 2)

    def score(self, x, seldom):
        """Not `forward`, as matting's loss calls it; `seldom` has a gradient in one process only."""
        return self.used(x)[:, 0] + (self.seldom(x)[:, 0] if seldom else 0)

    def error(self, x, seldom):
        return (self.score(x, seldom) - x.sum(1)).square().mean()


def member(rank, world, port, out, stop_after):
    """One of the processes that torchrun starts."""
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
    }
    torch.set_num_threads(1)
    torch.manual_seed(rank)  # different initial weights: the first process's count
    seen = []

    def batches(step, rng):
        return torch.tensor(rng.normal(size=(4, 3)), dtype=torch.float32)

    def loss_fn(model, x):
        seen.append(x)
        return model.error(x, seldom=rank == 0), {}

    def validate(model, step):
        (out / f"validated_{rank}").touch()
        return {"error": float(step)}

    config = TrainingConfig(
        out=out, steps=6, lr=0.05, warmup=2, stop_after=stop_after, validate_every=2, tensorboard=False
    )
    trainer = Trainer(
        Net(), config, clock=lambda: (60.0 if rank == 0 else 1e6) * len(seen)
    )  # a minute a step; the others' clocks are wrong
    trainer.run(batches, loss_fn, validate, goal=("error", "min"))
    torch.save(
        {"seen": torch.stack(seen), "state": trainer.model.state_dict(), "step": trainer.step},
        out / f"rank{rank}.pt",
    )
    trainer.parallel.close()


def launch(folder: Path, stop_after: float = 0, world: int = 2) -> list[dict]:
    """Train in so many processes; what each saw and ended with."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(exist_ok=True)
    spawn = multiprocessing.get_context(
        "spawn"
    )  # a fork after a backward pass has lost the threads of autograd
    started = [
        spawn.Process(target=member, args=(rank, world, port, folder, stop_after)) for rank in range(world)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0] * world
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(world)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, launch(folder)


def test_processes_see_different_batches_and_keep_the_same_weights(whole):
    _, (one, other) = whole
    assert one["step"] == other["step"] == 6
    assert all(not torch.equal(a, b) for a, b in zip(one["seen"], other["seen"], strict=True))
    for name, value in one["state"].items():
        assert torch.equal(value, other["state"][name]), name


def test_only_the_first_writes_and_validates(whole):
    folder, _ = whole
    names = {file.name for file in folder.iterdir()}
    assert "validated_0" in names and "validated_1" not in names
    assert not [name for name in names if name.startswith(".")], "left from writing"
    assert [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()] == [
        1,
        2,
        4,
        6,
    ]


def test_the_gradient_is_the_mean_of_the_processes(whole, tmp_path):
    """Replayed in one process with the mean of both losses."""
    _, (one, other) = whole
    torch.manual_seed(0)
    model = Net()
    untouched = model.never.weight.clone()
    config = TrainingConfig(out=tmp_path, steps=6, lr=0.05, warmup=2)
    pairs = lambda step, _: (one["seen"][step], other["seen"][step])  # noqa: E731
    Trainer(model, config).run(
        pairs, lambda model, xs: ((model.error(xs[0], True) + model.error(xs[1], False)) / 2, {})
    )
    for name, value in model.state_dict().items():
        assert torch.allclose(value, one["state"][name], atol=1e-6), name
    assert torch.equal(one["state"]["never.weight"], untouched), "what no process reached does not decay"


def test_a_resumed_run_of_two_processes_is_the_same(whole, tmp_path):
    _, (one, other) = whole
    assert [run["step"] for run in launch(tmp_path / "parts", stop_after=2)] == [2, 2]
    resumed = launch(tmp_path / "parts")
    assert torch.equal(resumed[1]["seen"], other["seen"][2:])
    for name, value in one["state"].items():
        assert torch.equal(value, resumed[0]["state"][name]), name
