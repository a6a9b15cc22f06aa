"""Several processes train one model: gradients are the mean, batches differ, one of them writes, a resumed run is the same."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.training import Trainer, TrainingConfig

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """
import json, os, sys
from pathlib import Path
import torch
from torch import nn
from models.training import Trainer, TrainingConfig

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.seldom, self.never = nn.Linear(3, 1), nn.Linear(3, 1), nn.Linear(2, 2)
    def score(self, x, seldom):  # not `forward`, as matting's loss calls it
        return self.used(x)[:, 0] + (self.seldom(x)[:, 0] if seldom else 0)

def batches(step, rng):
    return torch.tensor(rng.normal(size=(4, 3)), dtype=torch.float32)

def loss_fn(model, x):
    seen.append(x)
    loss = (model.score(x, seldom=trainer.parallel.first) - x.sum(1)).square().mean()
    return loss, {}

def validate(model, step):
    (out / f"validated_{trainer.parallel.rank}").touch()
    return {"error": float(step)}

out, seen = Path(sys.argv[1]), []
torch.manual_seed(int(os.environ.get("RANK", 0)))  # different initial weights: the first process's count
trainer = Trainer(Net(), TrainingConfig(out=out, steps=6, lr=0.05, warmup=2, stop_after=float(sys.argv[2]), validate_every=2), **CLOCK)
trainer.run(batches, loss_fn, validate, goal=("error", "min"))
torch.save({"seen": torch.stack(seen), "state": trainer.model.state_dict(), "step": trainer.step}, out / f"rank{trainer.parallel.rank}.pt")
trainer.parallel.close()
"""


def launch(folder: Path, stop_after: float = 0, processes: int = 2) -> list[dict]:
    """Run PROGRAM in so many processes, as torchrun starts them; what each saw and ended with."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(exist_ok=True)
    clock = 'clock=lambda: 60.0 * len(seen) + (0 if os.environ["RANK"] == "0" else 1e6 * len(seen))'  # the others' is wrong
    code = PROGRAM.replace("**CLOCK", clock)
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), str(stop_after)], cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(processes)
    ]  # fmt: skip
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(processes)]


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
    assert [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()] == [1, 2, 4, 6]


def test_the_gradient_is_the_mean_of_the_processes(whole, tmp_path):
    """Replayed in one process: the loss of both batches, each with its own part of the model, divided by two."""
    _, (one, other) = whole

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.seldom, self.never = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1), torch.nn.Linear(2, 2)

    def loss_fn(model, batch):
        mine, theirs = batch
        first = (model.used(mine)[:, 0] + model.seldom(mine)[:, 0] - mine.sum(1)).square().mean()
        return (first + (model.used(theirs)[:, 0] - theirs.sum(1)).square().mean()) / 2, {}

    torch.manual_seed(0)
    model = Net()
    untouched = model.never.weight.clone()
    trainer = Trainer(model, TrainingConfig(out=tmp_path, steps=6, lr=0.05, warmup=2))
    trainer.run(lambda step, _: (one["seen"][step], other["seen"][step]), loss_fn)
    for name, value in model.state_dict().items():
        assert torch.allclose(value, one["state"][name], atol=1e-6), name
    assert torch.equal(one["state"]["never.weight"], untouched), "what no process reached does not decay"


def test_a_resumed_run_of_two_processes_is_the_same(whole, tmp_path):
    _, (one, _) = whole
    assert [run["step"] for run in launch(tmp_path / "parts", stop_after=2)] == [2, 2]
    resumed = launch(tmp_path / "parts")
    assert torch.equal(resumed[1]["seen"], whole[1][1]["seen"][2:])
    for name, value in one["state"].items():
        assert torch.equal(value, resumed[0]["state"][name]), name
