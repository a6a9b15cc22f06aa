"""Weights in 8 bits: how far a value moves, what stays as it is, files that lie."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from turnaround.models import zoo
from turnaround.models.eight_bits import LEAST, SUFFIX, packed, unpacked


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty folder of embedded weights."""
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setattr(zoo, "INDEX", tmp_path / "index.json")
    return tmp_path


@pytest.mark.parametrize("shape", [(64, 48), (16, 8, 3, 3, 3), (1, LEAST), (LEAST, 1)])
@pytest.mark.parametrize("size", [1e-20, 1e-3, 1, 1e20])
def test_no_value_moves_by_more_than_half_a_scale(shape, size):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(3)) * size
    stored = packed({"w": values})
    numbers, scale = stored["w"], stored["w" + SUFFIX]
    assert numbers.dtype == torch.int8 and numbers.shape == shape and scale.shape == shape[:1]
    assert numbers.flatten(1).abs().amax(1).eq(127).all(), "a row's largest magnitude is the last step"
    back = unpacked(stored)
    assert set(back) == {"w"} and back["w"].dtype == torch.float32
    moved = (back["w"] - values).double().abs().flatten(1)
    # float32 rounds the scale, the quotient and the product: 127 steps of 2^-23 are 2e-5 of a scale
    assert (moved <= (0.5 + 1e-4) * scale.double()[:, None]).all()


def test_packing_again_keeps_the_numbers():
    first = packed({"w": torch.randn(64, 48, generator=torch.Generator().manual_seed(4))})
    second = packed(unpacked(first))
    assert torch.equal(first["w"], second["w"])
    torch.testing.assert_close(first["w" + SUFFIX], second["w" + SUFFIX], rtol=2e-7, atol=0)  # an ulp


def test_a_row_of_zeros_has_a_scale_of_zero_and_comes_back():
    values = torch.ones(4, LEAST)
    values[1] = 0
    stored = packed({"w": values})
    assert stored["w" + SUFFIX][1] == 0
    torch.testing.assert_close(unpacked(stored)["w"], values, rtol=1e-6, atol=0)
    assert not unpacked(stored)["w"][1].any()


def test_small_flat_and_whole_tensors_stay_as_they_are():
    state = {
        "small": torch.randn(LEAST // 2 - 1, 2),
        "bias": torch.randn(2 * LEAST),
        "count": torch.arange(2 * LEAST).reshape(2, -1),
        "layer.scale": torch.randn(8),  # a network's own, without a tensor `layer`
    }
    for form in (packed, unpacked):
        assert form(state).keys() == state.keys()
        assert all(form(state)[name] is tensor for name, tensor in state.items())


def test_a_weight_of_8_bits_is_written_so_by_its_name_alone(shelf):
    state = {"w": torch.randn(64, 64, generator=torch.Generator().manual_seed(5)), "b": torch.ones(64)}
    zoo.save_state("hgm_coarse", state, {"config": "{}"})
    zoo.save_state("matting", state, {})
    elsewhere = zoo.save_state(shelf / "mine.safetensors", state, {"config": "{}"})
    stored = load_file(zoo.path("hgm_coarse"))
    assert {name: tensor.dtype for name, tensor in stored.items()} == {
        "w": torch.int8, "w.scale": torch.float32, "b": torch.float16,
    }  # fmt: skip
    assert {load_file(file)["w"].dtype for file in (zoo.path("matting"), elsewhere)} == {torch.float16}
    eight, metadata = zoo.load_state("hgm_coarse")
    half, same = zoo.load_state(elsewhere)
    assert metadata == same == {"config": "{}"} and zoo.pins()["hgm_coarse"] == zoo.digest("hgm_coarse")
    assert eight.keys() == half.keys() and {tensor.dtype for tensor in eight.values()} == {torch.float32}
    assert ((eight["w"] - half["w"]).abs() <= 0.5001 * stored["w.scale"][:, None]).all()
    assert torch.equal(eight["b"], half["b"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"w.scale": None}, r"w is int8, and w\.scale is missing"),
        ({"w.scale": torch.ones(64).half()}, r"expected int8 and float32"),
        ({"w": torch.ones(64, 64)}, r"is torch\.float32 and .*expected int8"),
        ({"w": torch.ones(64, 64).half()}, r"is torch\.float16 and .*expected int8"),
        ({"w.scale": torch.ones(63)}, r"its scale \(63,\), expected one a row"),
        ({"w.scale": torch.ones(64, 1)}, r"its scale \(64, 1\), expected one a row"),
        ({"w": torch.tensor(3, dtype=torch.int8)}, "expected one a row"),
        ({"w.scale": torch.full((64,), torch.nan)}, "scales of tensor w are not all finite"),
        ({"w.scale": torch.full((64,), -1.0)}, "at least 0"),
    ],
)
def test_a_file_whose_scales_do_not_fit_is_named_with_the_remedy(tmp_path, changed, words):
    stored = packed({"w": torch.randn(64, 64)}) | changed
    file = tmp_path / "w.safetensors"
    save_file({name: tensor for name, tensor in stored.items() if tensor is not None}, file)
    with pytest.raises(zoo.MissingWeight, match=rf"w\.safetensors is damaged .*{words}.*; restore it"):
        zoo.load_state(file)


def test_the_shipped_gaussian_models_are_in_8_bits():
    for name in (name for name, weight in zoo.WEIGHTS.items() if weight.bits == 8):
        stored = load_file(zoo.path(name))
        halves = [k for k, t in stored.items() if t.dtype == torch.float16 and t.dim() > 1]
        assert all(stored[k].numel() < LEAST for k in halves), name
        assert zoo.path(name).stat().st_size < 5 * 2**20
