"""The splat PLY: the header that viewers expect, the encodings of 3D Gaussian Splatting, and nothing read
that is not that."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turnaround.pipeline.formats import ply
from turnaround.pipeline.values.types import Gaussians

# as save_ply of graphdeco-inria/gaussian-splatting (scene/gaussian_model.py) writes it for SH degree 0
HEADER = """ply
format binary_little_endian 1.0
element vertex 2
property float x
property float y
property float z
property float nx
property float ny
property float nz
property float f_dc_0
property float f_dc_1
property float f_dc_2
property float opacity
property float scale_0
property float scale_1
property float scale_2
property float rot_0
property float rot_1
property float rot_2
property float rot_3
end_header
"""
TWO = Gaussians(
    means=torch.tensor([[0.1, -0.2, 0.3], [1.0, 2.0, 3.0]]),
    quats=torch.tensor([[1.0, 0, 0, 0], [0.5, -0.5, 0.5, -0.5]]),
    scales=torch.tensor([[0.01, 0.02, 0.03], [1.0, 1e-3, 1e-5]]),
    opacities=torch.tensor([0.5, 0.9]),
    colors=torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.25]]),
)


def read_plainly(data: bytes) -> list[dict[str, float]]:
    """An independent reader: the vertices of a binary little-endian PLY, property by property, with
    `struct`."""
    lines, at = [], 0
    while not lines or lines[-1] != "end_header":
        end = data.index(b"\n", at)
        lines.append(data[at:end].decode("ascii"))
        at = end + 1
    count = next(int(line.split()[-1]) for line in lines if line.startswith("element vertex"))
    names = [line.split()[-1] for line in lines if line.startswith("property float ")]
    rows = [struct.unpack_from(f"<{len(names)}f", data, at + 4 * len(names) * i) for i in range(count)]
    assert at + 4 * len(names) * count == len(data), "nothing is left over"
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_the_header_is_that_of_3dgs_to_the_byte():
    data = ply.encode(TWO)
    assert data.startswith(HEADER.encode()) and len(data) == len(HEADER) + 2 * 17 * 4


def test_an_independent_reader_finds_the_encodings_of_the_paper():
    for i, row in enumerate(read_plainly(ply.encode(TWO))):
        assert [row[a] for a in "xyz"] == pytest.approx(TWO.means[i].tolist())
        assert [row[f"n{a}"] for a in "xyz"] == [0, 0, 0]
        assert [0.28209479177387814 * row[f"f_dc_{c}"] + 0.5 for c in range(3)] == pytest.approx(
            TWO.colors[i].tolist(), abs=1e-6
        )
        assert 1 / (1 + math.exp(-row["opacity"])) == pytest.approx(float(TWO.opacities[i]))
        assert [math.exp(row[f"scale_{c}"]) for c in range(3)] == pytest.approx(TWO.scales[i].tolist())
        assert [row[f"rot_{c}"] for c in range(4)] == pytest.approx(TWO.quats[i].tolist())  # w first


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(0, 2**31))
def test_round_trip(n, seed):
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(n, 11, generator=generator)
    quats = torch.nn.functional.normalize(torch.randn(n, 4, generator=generator), dim=-1)
    value = Gaussians(
        draw[:, :3] * 4 - 2, quats, (draw[:, 3:6] * 10 - 10).exp(), draw[:, 6] * 0.998 + 0.001, draw[:, 7:10]
    )
    found = ply.decode(ply.encode(value))
    for name in vars(value):
        torch.testing.assert_close(getattr(found, name), getattr(value, name), rtol=1e-5, atol=1e-6)


def test_limits_stay_finite_and_inside():
    hard = Gaussians(
        torch.zeros(3, 3),
        TWO.quats[[0, 0, 0]],
        torch.tensor([[0.0], [1e-12], [50.0]]).expand(3, 3),
        torch.tensor([0.0, 1.0, 1e-9]),
        torch.tensor([[0.0], [1.0], [0.5]]).expand(3, 3),
    )
    found = ply.decode(ply.encode(hard))
    torch.testing.assert_close(found.opacities, hard.opacities, atol=2e-6, rtol=0)
    torch.testing.assert_close(found.scales, hard.scales, atol=2e-9, rtol=1e-5)
    torch.testing.assert_close(found.colors, hard.colors, atol=1e-6, rtol=0)
    assert all(math.isfinite(v) for row in read_plainly(ply.encode(hard)) for v in row.values())


def test_files_of_other_programs(tmp_path):
    """More coefficients, another order of the properties, quaternions of any length: as trainers write
    them."""
    names = [
        "rot_3",
        "rot_2",
        "rot_1",
        "rot_0",
        "x",
        "y",
        "z",
        *(f"f_rest_{i}" for i in range(45)),
        "f_dc_0",
        "f_dc_1",
        "f_dc_2",
        "opacity",
        "scale_0",
        "scale_1",
        "scale_2",
    ]
    table = np.random.default_rng(0).normal(size=(5, len(names))).astype("<f4")
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment made elsewhere",
        "element vertex 5",
        *(f"property float {n}" for n in names),
    ]
    (tmp_path / "other.ply").write_bytes(("\n".join(lines) + "\nend_header\n").encode() + table.tobytes())
    found = ply.load(tmp_path / "other.ply")
    torch.testing.assert_close(found.means, torch.from_numpy(table[:, 4:7].copy()))
    torch.testing.assert_close(found.quats.norm(dim=-1), torch.ones(5))
    quats = torch.from_numpy(table[:, [3, 2, 1, 0]].copy())
    torch.testing.assert_close(found.quats, torch.nn.functional.normalize(quats, dim=-1))


def changed(old: str, new: str) -> bytes:
    assert old in HEADER
    return HEADER.replace(old, new, 1).encode() + bytes(2 * 17 * 4)


GOOD = ply.encode(TWO)
NAN = GOOD[: len(HEADER)] + struct.pack("<f", math.nan) + GOOD[len(HEADER) + 4 :]
MALFORMED = {
    "empty": b"",
    "text": b"hello",
    "only magic": b"ply\n",
    "another format": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "no header end": HEADER.replace("end_header", "end").encode(),
    "ascii": changed("binary_little_endian", "ascii"),
    "big endian": changed("little", "big"),
    "cut short": GOOD[:-1],
    "no body": HEADER.encode(),
    "no element": changed("element vertex 2\n", ""),
    "no count": changed("vertex 2", "vertex"),
    "count is a word": changed("vertex 2", "vertex two"),
    "count is a fraction": changed("vertex 2", "vertex 2.0"),
    "negative count": changed("vertex 2", "vertex -2"),
    "huge count": changed("vertex 2", "vertex 99999999999999999999999999"),
    "other digits": changed("vertex 2", "vertex ²"),
    "another element first": changed("element vertex", "element camera 1\nproperty float f\nelement vertex"),
    "faces": changed("end_header", "element face 1\nproperty list uchar int vertex_indices\nend_header"),
    "a list": changed("property float x", "property list uchar float x"),
    "doubles": changed("property float x", "property double x"),
    "bare property": changed("property float x", "property"),
    "property without a name": changed("property float x", "property float"),
    "twice": changed("property float y", "property float x"),
    "a point cloud": changed("property float opacity\n", ""),
    "nan": NAN,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_refused_by_name(tmp_path, case):
    (tmp_path / "bad.ply").write_bytes(MALFORMED[case])
    with pytest.raises(ValueError, match=r"bad\.ply: .*PLY"):
        ply.load(tmp_path / "bad.ply")


@settings(max_examples=200)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_untrusted_bytes_give_gaussians_or_a_value_error(at, byte, end):
    data = (GOOD[:at] + bytes([byte]) + GOOD[at + 1 :])[: end or None]
    try:
        found = ply.decode(data)
    except ValueError:
        return
    assert all(bool(t.isfinite().all()) for t in (found.means, found.quats, found.opacities, found.colors))
