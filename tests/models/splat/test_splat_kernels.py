"""The splat renderer's kernels: vectors of sixteen and binning against numpy, threads, groups of cameras,
memory, gsplat's call."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from numba import njit

from tests.models.splat.test_splat import FIELDS, cast, random_gaussians, value_and_gradient
from turnaround.models.splat import cuda, dense
from turnaround.models.splat.cpu import render as cpu
from turnaround.models.splat.cpu.lane_memory import (
    load,
    load_each,
    load_interleaved,
    store,
    store_each,
    store_interleaved,
)
from turnaround.models.splat.cpu.lane_tuples import add_scaled, nothing, sums, transposed, weighted
from turnaround.models.splat.cpu.lanes import (
    bits,
    ceil,
    exponent,
    floor,
    magnitude,
    mantissa,
    maximum,
    minimum,
    ramp,
    select,
    spread,
    square_root,
)
from turnaround.models.splat.cpu.tiles import bin_splats
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Camera, Gaussians

W = 16
SEVEN, SIXTEEN = (np.float32(0),) * 7, (np.float32(0),) * W


@njit
def _elementwise(source, out):
    v, w = load(source, 0), load(source, W)
    store(out, 0, 2.0 * v + w * 3 - np.float32(1))
    store(out, W, select((v > w) & (v < 5.0), v, 0.0))
    store(out, 2 * W, square_root(magnitude(minimum(v, w) / 2.0)))
    store(out, 3 * W, maximum(floor(v), ceil(w)))
    store(out, 4 * W, mantissa(magnitude(v)))
    store(out, 5 * W, exponent(magnitude(v)))
    store(out, 6 * W, ramp() + spread(2))
    return bits(v >= w), bits(v <= w)


def test_vectors_compute_what_numpy_computes():
    source, out = np.random.default_rng(0).normal(0, 4, 2 * W).astype(np.float32), np.zeros(7 * W, np.float32)
    greater, less = _elementwise(source, out)
    (v, w), got = source.reshape(2, W), out.reshape(7, W)
    np.testing.assert_allclose(got[0], 2 * v + 3 * w - 1, rtol=1e-6, atol=1e-6)  # fused: rounded less often
    np.testing.assert_array_equal(got[1], np.where((v > w) & (v < 5), v, 0))
    np.testing.assert_array_equal(got[2], np.sqrt(np.abs(np.minimum(v, w) / 2)))
    np.testing.assert_array_equal(got[3], np.maximum(np.floor(v), np.ceil(w)))
    np.testing.assert_array_equal(got[4] * 2.0 ** got[5], np.abs(v))
    assert (got[4] >= 1).all() and (got[4] < 2).all()
    np.testing.assert_array_equal(got[6], np.arange(W) + 2)
    assert greater == sum(1 << k for k in range(W) if v[k] >= w[k]) and less == sum(
        1 << k for k in range(W) if v[k] <= w[k]
    )


@njit
def _move(source, weights, out, shorts, seven, sixteen):
    columns = load_interleaved(source, 0, seven)
    store_each(out, 0, columns)
    store_interleaved(out, 7 * W, columns)
    store_interleaved(shorts, 0, columns)
    store_each(out, 14 * W, transposed(load_each(source, 0, sixteen)))
    store(out, 30 * W, sums(columns))
    store(out, 31 * W, weighted(columns, weights))
    store_each(out, 32 * W, add_scaled(add_scaled(nothing(seven), columns, ramp()), columns, spread(1)))


def test_tuples_of_vectors_move_and_add_up():
    rng = np.random.default_rng(1)
    source, out, shorts = (
        rng.normal(0, 9, W * W).astype(np.float32),
        np.zeros(39 * W, np.float32),
        np.zeros(7 * W, np.int16),
    )
    weights = rng.normal(size=7).astype(np.float32)
    _move(source, tuple(weights), out, shorts, SEVEN, SIXTEEN)
    rows, got = source[: 7 * W].reshape(W, 7), out.reshape(39, W)
    np.testing.assert_array_equal(got[:7], rows.T)
    np.testing.assert_array_equal(out[7 * W : 14 * W], source[: 7 * W])
    np.testing.assert_array_equal(shorts, source[: 7 * W].astype(np.int16))
    np.testing.assert_array_equal(got[14:30], source.reshape(W, W).T)
    np.testing.assert_allclose(got[30], np.append(rows.sum(0), np.zeros(9)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got[31], rows @ weights, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got[32:], rows.T * (np.arange(W) + 1), rtol=1e-6)


@pytest.mark.parametrize("views", [1, 3, 40])
def test_tiles_list_their_splats_by_depth(views):
    """Against a plain loop; boxes of one to many tiles, some empty, and depths that are equal or far
    apart."""
    rng, count, width, height = np.random.default_rng(views), 64, 150, 70
    low, high = rng.integers(0, (10, 5), (views, count, 2)), rng.integers(0, (10, 5), (views, count, 2))
    boxes = np.stack([np.minimum(low, high), np.maximum(low, high)], -1).reshape(views, count, 4)
    boxes[rng.random((views, count)) < 0.2] = [0, -1, 0, -1]
    depths = rng.choice(np.array([0.01, 0.5, 0.500001, 2, 3e4], np.float32), (views, count))
    starts, pairs, slots = bin_splats(depths, boxes.astype(np.int16), width, height)
    assert len(pairs) == starts[-1] == slots[-1]
    for tile in range(len(starts) - 1):
        c, y, x = tile // 50, tile // 10 % 5, tile % 10
        inside = [i for i, (x0, x1, y0, y1) in enumerate(boxes[c]) if x0 <= x <= x1 and y0 <= y <= y1]
        got = pairs[starts[tile] : starts[tile + 1]]
        assert got[:, 0].tolist() == sorted(inside, key=lambda i: (depths[c, i], i))
        assert all(slots[c * count + i] <= slot < slots[c * count + i + 1] for i, slot in got)
    assert sorted(pairs[:, 1].tolist()) == list(range(len(pairs)))


# needles: a thousand times as long as thick, also along the view; large: over many tiles; crowd: more than
# one check for ended tiles
SCENES = {
    "needles": (
        dataclasses.replace(
            random_gaussians(60, 11), scales=torch.tensor([[0.4, 4e-4, 4e-4]]).expand(60, 3).contiguous()
        ),
        orbit_cameras([0, 50], 48),
    ),
    "large": (
        random_gaussians(30, 12, spread=0.5, size=0.4),
        dataclasses.replace(orbit_cameras([30], 100), width=100, height=81),
    ),
    "crowd": (
        dataclasses.replace(
            random_gaussians(400, 13, spread=0.1, size=0.1), opacities=torch.full((400,), 0.4)
        ),
        orbit_cameras([0], 32),
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_hard_scenes_agree_with_the_dense_twin(name):
    gaussians, cameras = SCENES[name]
    got = value_and_gradient(cpu.render, gaussians, cameras, True, torch.float32)
    want = value_and_gradient(dense.render, gaussians, cameras, True, torch.float64)
    for key, expected in want.items():
        # float32: a pixel at the rim of a splat or at the end of its T may fall to the other side, so the
        # mean is bounded
        # tightly and single entries by one faint splat
        error = (got[key].double() - expected).abs() / expected.abs().max().clamp(min=1.0)
        assert error.mean() < 2e-5 and error.max() < 5e-3, (key, error.mean(), error.max())


_PROGRAM = """
import torch
from tests.models.splat.test_splat_kernels import digest_of_a_scene
torch.set_num_threads(1)
print(digest_of_a_scene())
"""


def digest_of_a_scene() -> str:
    """Of pictures and gradients of 3,000 Gaussians in two cameras."""
    values = value_and_gradient(
        cpu.render, random_gaussians(3000, 5, size=0.03), orbit_cameras([0, 100], 96), True, torch.float32
    )
    return hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in values.values())).hexdigest()


def test_the_same_bits_with_any_number_of_threads():
    here = digest_of_a_scene()
    for threads in ("1", "3"):
        environment = {**os.environ, "NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout.split()[-1] == here, f"{threads} threads"


def test_groups_of_cameras_are_all_cameras_at_once(monkeypatch):
    gaussians, cameras = random_gaussians(70), orbit_cameras([0, 40, 90, 200, 300], 40)
    together = value_and_gradient(cpu.render, gaussians, cameras, True, torch.float32)
    for group in (1, 160):  # one camera, two cameras
        monkeypatch.setattr(cpu, "GROUP", group)
        apart = value_and_gradient(cpu.render, gaussians, cameras, True, torch.float32)
        assert all(torch.equal(together[key], apart[key]) for key in together)


def test_one_step_of_autograd_and_nothing_kept_without_a_gradient():
    gaussians, camera = cast(random_gaussians(50), torch.float32), orbit_cameras([0], 32)
    image, _ = cpu.render(gaussians, camera, True)
    step: Any = image.grad_fn
    leaves = [function.variable for function, _ in step.next_functions if hasattr(function, "variable")]
    assert [leaf.data_ptr() for leaf in leaves] == [getattr(gaussians, name).data_ptr() for name in FIELDS]
    assert len(step.saved) == 6
    plain, _ = cpu.render(random_gaussians(50), camera, True)
    assert plain.grad_fn is None and torch.equal(plain, image)


@pytest.mark.slow
def test_a_rendering_of_65536_adds_less_than_150_mib():
    from benchmarks.splat import memory

    assert memory(65_536, 512)["peak_mib"] < 150


def fake_gsplat(calls: list[int]) -> types.ModuleType:
    """A module with gsplat 1.5.3's `rasterization`, by its documented shapes, computed by the dense twin."""

    def rasterization(means, quats, scales, opacities, colors, viewmats, Ks, width, height, **options):
        assert options["packed"] and options["near_plane"] == dense.NEAR and options["eps2d"] == dense.BLUR
        assert colors.shape[:-1] in ((len(means),), (len(Ks), len(means)))
        calls.append(len(Ks))
        viewmats, Ks = viewmats.to(means), Ks.to(means)  # which gsplat takes in single precision only
        image, alpha = dense.render(
            Gaussians(means, quats, scales, opacities, torch.zeros_like(means)),
            Camera(Ks, viewmats, width, height),
            True,
        )
        channels = []
        for q in range(
            0, colors.shape[-1], 3
        ):  # the twin draws three colours of all cameras, or of one, at a time
            part = colors[..., q : q + 3]
            if part.ndim == 2:
                channels.append(
                    dense.render(
                        Gaussians(means, quats, scales, opacities, part),
                        Camera(Ks, viewmats, width, height),
                        False,
                    )[0]
                )
            else:
                one = [
                    dense.render(
                        Gaussians(means, quats, scales, opacities, part[c]),
                        Camera(Ks[c : c + 1], viewmats[c : c + 1], width, height),
                        False,
                    )
                    for c in range(len(Ks))
                ]
                channels.append(torch.cat([picture for picture, _ in one]))
        depth = [image[..., 3:4]] if options["render_mode"] == "RGB+D" else []
        return torch.cat(channels + depth, -1), alpha[..., None], {}

    module: Any = types.ModuleType("gsplat")
    module.rasterization = rasterization
    return module


@pytest.mark.parametrize("geometry", [False, True])
def test_gsplat_is_called_for_many_cameras_at_once(monkeypatch, geometry):
    calls: list[int] = []
    monkeypatch.setitem(sys.modules, "gsplat", fake_gsplat(calls))
    monkeypatch.setitem(sys.modules, "gsplat.cuda", types.ModuleType("gsplat.cuda"))
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", types.SimpleNamespace(_C=object()))
    gaussians, cameras = random_gaussians(30), orbit_cameras([0, 40, 90, 200, 300], 24)
    want = value_and_gradient(dense.render, gaussians, cameras, geometry, torch.float64)
    for memory, expected in (
        (cuda.MEMORY, [5]),
        (2 * (30 * cuda.BYTES_OF_SPLAT + 24 * 24 * cuda.BYTES_OF_PIXEL), [2, 2, 1]),
    ):
        calls.clear()
        monkeypatch.setattr(cuda, "MEMORY", memory)
        got = value_and_gradient(cuda.render, gaussians, cameras, geometry, torch.float64)
        assert calls == expected
        for key, value in want.items():
            torch.testing.assert_close(got[key], value, msg=key)


def test_a_splat_without_rows_or_without_columns_is_in_no_tile():
    """Its box may be empty in one direction alone: a faint one between two rows of pixel centres."""
    boxes = np.array(
        [[[0, 0, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1], [0, 1, 0, 0]]], np.int16
    )  # left, right, top, bottom
    starts, pairs, slots = bin_splats(np.array([[1.0, 2.0, 3.0, 4.0]], np.float32), boxes, 40, 40)
    assert starts[-1] == len(pairs) == slots[-1] == 3
    assert sorted(pairs[:, 0].tolist()) == [0, 3, 3]
    assert sorted(pairs[:, 1].tolist()) == [0, 1, 2]
