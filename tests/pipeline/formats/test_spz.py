""".spz: the layout byte by byte, and Gaussians that come back within its steps."""

from __future__ import annotations

import dataclasses
import gzip
import struct

import numpy as np
import pytest
import torch
import toy_person
from hypothesis import given
from hypothesis import strategies as st

from turnaround.pipeline.formats import spz
from turnaround.pipeline.values.rotation import quat_to_matrix
from turnaround.pipeline.values.types import Gaussians


def one(quat=(1.0, 0.0, 0.0, 0.0), mean=(0.5, -1.0, 0.25)) -> Gaussians:
    return Gaussians(
        torch.tensor([mean]),
        torch.tensor([quat]),
        torch.tensor([[0.01, 0.02, 0.03]]),
        torch.tensor([0.5]),
        torch.tensor([[1.0, 0.5, 0.0]]),
    )


def test_what_is_written_is_read_within_the_format_s_steps():
    g = toy_person.gaussians()
    back = spz.decode(spz.encode(g))
    assert (back.means - g.means).abs().max() <= 2**-15 + 1e-6
    assert (back.opacities - g.opacities).abs().max() <= 0.5 / 255 + 1e-6
    assert (back.colors - g.colors).abs().max() <= 0.5 / 255 * 0.2821 / 0.15 + 1e-6
    assert ((back.scales / g.scales).log().abs().max() <= 1 / 32 + 1e-5).all()
    assert (quat_to_matrix(back.quats) - quat_to_matrix(g.quats)).abs().max() < 6e-3
    assert torch.allclose(back.quats.norm(dim=-1), torch.ones(len(g)), atol=1e-5)
    assert spz.encode(g) == spz.encode(g)
    again = spz.decode(spz.encode(back))
    assert (
        torch.equal(again.means, back.means)
        and torch.equal(again.scales, back.scales)
        and torch.equal(again.colors, back.colors)
    )


def test_the_layout_is_that_of_the_format():
    data = gzip.decompress(spz.encode(one()))
    assert struct.unpack_from("<IIIBBBB", data) == (0x5053474E, 3, 1, 0, 14, 0, 0) and len(data) == 16 + 20
    x, y, z = (int.from_bytes(data[16 + 3 * k : 19 + 3 * k], "little", signed=True) / 2**14 for k in range(3))
    assert (x, y, z) == (0.5, 1.0, -0.25), "right, up, back"
    assert data[25] == 128
    assert list(data[26:29]) == [
        round((0.5 / 0.28209479 * 0.15 + 0.5) * 255),
        128,
        round((-0.5 / 0.28209479 * 0.15 + 0.5) * 255),
    ]
    assert list(data[29:32]) == [round((np.log(s) + 10) * 16) for s in (0.01, 0.02, 0.03)]
    assert list(data[32:36]) == [0, 0, 0, 0xC0], "w, the fourth, is the largest; the others are 0"
    half = 2**-0.5
    assert list(gzip.decompress(spz.encode(one((half, 0.0, half, 0.0))))[32:]) == list(
        struct.pack("<I", 1 << 30 | 512 + 511)
    )


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: sum(x * x for x in q) > 1e-3))
def test_any_rotation_comes_back(quat):
    g = one(tuple(quat))
    back = spz.decode(spz.encode(g))
    expected = quat_to_matrix(torch.nn.functional.normalize(g.quats, dim=-1))
    assert (quat_to_matrix(back.quats) - expected).abs().max() < 6e-3


def test_none_is_a_file_too():
    none = toy_person.gaussians(count=0)
    assert len(spz.decode(spz.encode(none))) == 0


def test_harmonics_of_others_are_passed_over():
    raw = bytearray(gzip.decompress(spz.encode(one())))
    raw[12] = 1
    assert torch.equal(
        spz.decode(gzip.compress(bytes(raw) + bytes(9))).means, spz.decode(spz.encode(one())).means
    )


GOOD = gzip.decompress(spz.encode(one()))
MALFORMED = {
    "empty": b"",
    "no gzip": b"ply\n" + bytes(40),
    "short header": gzip.compress(GOOD[:10]),
    "short body": gzip.compress(GOOD[:-1]),
    "cut short": spz.encode(toy_person.gaussians())[:-5000],
    "another magic": gzip.compress(b"NGSQ" + GOOD[4:]),
    "another version": gzip.compress(GOOD[:4] + struct.pack("<I", 4) + GOOD[8:]),
    "many Gaussians": gzip.compress(GOOD[:8] + struct.pack("<I", 2**32 - 1) + GOOD[12:]),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_refused_by_name(tmp_path, case):
    (tmp_path / "bad.spz").write_bytes(MALFORMED[case])
    with pytest.raises(ValueError, match=r"bad\.spz: "):
        spz.load(tmp_path / "bad.spz")


def test_what_it_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="600 m from the origin"):
        spz.encode(one(mean=(0.0, 600.0, 0.0)))
    with pytest.raises(ValueError, match="scales of 1 Gaussians"):
        spz.encode(dataclasses.replace(one(), scales=torch.full((1, 3), torch.inf)))
    spz.save(one(), tmp_path / "a.spz")
    assert torch.equal(spz.load(tmp_path / "a.spz").means, one().means)
