"""Which number format a network runs in: what is measured, what is kept, on what several processes agree."""

from __future__ import annotations

import json
import threading
import time

import pytest
import torch
from torch import nn

from turnaround.models import precision


class Wide(nn.Module):
    """A network of any number of parameters that counts its calls in each format."""

    def __init__(self, parameters: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1).expand(parameters).clone(), requires_grad=False)
        self.calls: list[torch.dtype] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        y = x @ x
        self.calls.append(y.dtype)
        return y, [y]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("TURNAROUND_CACHE", str(tmp_path))
    monkeypatch.delenv(precision.VARIABLE)
    monkeypatch.setattr(precision, "multiplies_bf16", lambda: True)
    monkeypatch.setattr(precision, "_CHOSEN", {})
    return tmp_path


X = torch.full((2, 2), 1.01)


@torch.no_grad()
def test_small_networks_are_float32_unless_asked(elsewhere, monkeypatch):
    network = Wide()
    precision.run("n", network, X)
    assert network.calls == [torch.float32] and not list(elsewhere.rglob("*.json"))
    monkeypatch.setenv(precision.VARIABLE, "bf16")
    found, nested = precision.run("n", network, X)
    assert network.calls[1:] == [torch.bfloat16] and found.dtype == nested[0].dtype == torch.float32
    monkeypatch.setenv(precision.VARIABLE, "half")
    with pytest.raises(ValueError, match="expected auto, measured, fp32 or bf16"):
        precision.run("n", network, X)


@torch.no_grad()
@pytest.mark.parametrize(
    ("fp32", "bf16", "expected"), [(1.0, 0.5, "bf16"), (1.0, 0.95, "fp32"), (1.0, 4.0, "fp32")]
)
def test_the_faster_format_is_kept_for_good(elsewhere, monkeypatch, fp32, bf16, expected):
    clock = {"now": 0.0}
    monkeypatch.setattr(precision.time, "perf_counter", lambda: clock["now"])

    class Slow(Wide):
        def forward(self, x):
            found = super().forward(x)
            clock["now"] += bf16 if found[0].dtype == torch.bfloat16 else fp32
            return found

    monkeypatch.setenv(precision.VARIABLE, "measured")
    network = Slow()
    precision.run("n", network, X)
    kept = precision.known()["n-4"]
    assert (
        kept["format"] == expected
        and kept["fp32_ms"] == 1e3 * fp32
        and kept["bf16_ms"] == pytest.approx(1e3 * bf16)
    )
    wanted = torch.bfloat16 if expected == "bf16" else torch.float32
    assert network.calls[-1] == wanted
    # another process, where the other one would win: what was kept holds
    monkeypatch.setattr(precision, "_CHOSEN", {})
    fp32, bf16, network.calls = bf16, fp32, []
    precision.run("n", network, X)
    assert network.calls == [wanted]


@torch.no_grad()
def test_large_networks_are_timed_by_default(elsewhere, monkeypatch):
    monkeypatch.setattr(precision, "LARGE", 4)
    precision.run("n", Wide(4), X)
    precision.run("n", Wide(3), X)
    assert list(precision.known()) == ["n-4"]


@torch.no_grad()
def test_processes_that_begin_together_agree(elsewhere, monkeypatch):
    monkeypatch.setattr(precision, "LARGE", 1)
    found, measured = [], []

    def work(kind):
        def measure():
            measured.append(kind)
            time.sleep(0.05)
            return {"format": kind, "fp32_ms": 1, "bf16_ms": 1}

        found.append(precision._keep(precision._folder() / "n-4.json", measure))

    workers = [threading.Thread(target=work, args=(kind,)) for kind in ("fp32", "bf16") * 4]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [item["format"] for item in found] == measured * 8 and len(
        list(precision._folder().iterdir())
    ) == 1


@torch.no_grad()
def test_what_cannot_be_kept_is_not_used(elsewhere, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(precision, "write_atomic", full)
    faster = lambda: {"format": "bf16", "fp32_ms": 2, "bf16_ms": 1}  # noqa: E731
    assert precision._keep(precision._folder() / "n-4.json", faster) == {"format": "fp32"}


@torch.no_grad()
def test_without_a_place_to_remember_or_such_a_cpu_it_is_float32(elsewhere, monkeypatch):
    monkeypatch.setattr(precision, "LARGE", 1)
    (elsewhere / "file").write_text("")
    monkeypatch.setenv("TURNAROUND_CACHE", str(elsewhere / "file"))
    network = Wide()
    precision.run("n", network, X)
    assert network.calls == [torch.float32]  # not even timed
    monkeypatch.setenv("TURNAROUND_CACHE", str(elsewhere))
    monkeypatch.setattr(precision, "multiplies_bf16", lambda: False)
    precision.run("n", network, X)
    assert network.calls == [torch.float32] * 2


@torch.no_grad()
def test_a_damaged_memory_is_measured_anew(elsewhere, monkeypatch):
    monkeypatch.setattr(precision, "LARGE", 1)
    precision.run("n", Wide(), X)
    file = precision._folder() / "n-4.json"
    for damage in ("", "[]", '{"format": "fp8"}'):
        file.write_text(damage)
        monkeypatch.setattr(precision, "_CHOSEN", {})
        precision.run("n", Wide(), X)
        assert json.loads(file.read_text())["format"] in ("fp32", "bf16")


def test_training_and_an_outer_choice_are_left_alone(monkeypatch):
    monkeypatch.setenv(precision.VARIABLE, "bf16")
    network = Wide()
    precision.run("n", network, X)  # gradients are recorded
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        precision.run("n", network, X)
    assert network.calls == [torch.float32, torch.float16]
