"""GST's weights: the shipped encoder is shared, not written twice, and a changed one is refused."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open

from turnaround.models import zoo
from turnaround.models.gst import weights
from turnaround.models.gst.config import GSTConfig
from turnaround.models.gst.train import new_model
from turnaround.pipeline.errors import CallError


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return new_model("", "estimator", GSTConfig(points=300, groups=4))


def names_in(file):
    with safe_open(file, framework="pt") as opened:
        return set(opened.keys())


def test_the_estimators_encoder_is_not_written_again(model, tmp_path):
    file = weights.save_gst(model, tmp_path / "shared.safetensors")
    again = weights.read_gst(file)
    assert not any(name.startswith("network.stem") for name in names_in(file))
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], atol=2e-3, rtol=2e-3)
    assert torch.equal(again.network.stem[0][0].weight, model.network.stem[0][0].weight)


def test_an_encoder_that_has_learned_is_written(model, tmp_path):
    state = dict(model.state_dict())
    state["network.heat.bias"] = state["network.heat.bias"] + 1
    file = weights.save_gst(model, tmp_path / "own.safetensors", state)
    assert "network.heat.bias" in names_in(file)
    torch.testing.assert_close(
        weights.read_gst(file).network.heat.bias, state["network.heat.bias"], atol=2e-3, rtol=2e-3
    )


def test_another_estimator_is_refused(model, tmp_path, monkeypatch):
    file = weights.save_gst(model, tmp_path / "shared.safetensors")
    digest = zoo.digest
    changed = lambda name: "0" * 64 if name == "estimator" else digest(name)  # noqa: E731
    monkeypatch.setattr(weights.zoo, "digest", changed)
    with pytest.raises(CallError, match="train GST again"):
        weights.read_gst(file)
