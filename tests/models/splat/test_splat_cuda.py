"""How the CUDA backend calls gsplat: a twin of gsplat's interface on the CPU, as strict as the true one about
shapes and types."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from tests.models.splat.test_splat import random_gaussians
from turnaround.models.splat import cuda, dense
from turnaround.models.splat.cpu.render import render
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Camera, Gaussians

SIZE = 32


def rasterization(
    means,
    quats,
    scales,
    opacities,
    colors,
    viewmats,
    Ks,
    width,
    height,
    near_plane=0.01,
    far_plane=1e10,
    radius_clip=0.0,
    eps2d=0.3,
    sh_degree=None,
    packed=True,
    tile_size=16,
    backgrounds=None,
    render_mode="RGB",
):
    """gsplat 1.5.3's function: its assertions, and its kernels' demand for float32; drawn by the dense
    twin."""
    count, cameras = means.shape[0], viewmats.shape[0]
    assert (
        means.shape == (count, 3)
        and quats.shape == (count, 4)
        and scales.shape == (count, 3)
        and opacities.shape == (count,)
    )
    assert viewmats.shape == (cameras, 4, 4) and Ks.shape == (cameras, 3, 3)
    assert colors.shape[:-1] in ((count,), (cameras, count))
    assert sh_degree is None and backgrounds is None and render_mode in ("RGB", "RGB+D")
    assert (near_plane, eps2d, tile_size, radius_clip) == (dense.NEAR, dense.BLUR, 16, 0.0)
    for tensor in (means, quats, scales, opacities, colors, viewmats, Ks):
        assert tensor.dtype == torch.float32
    colors.view(cameras, count, -1) if colors.ndim == 3 else colors.view(1, count, -1)
    pictures, alphas = [], []
    for c in range(cameras):
        camera = Camera(Ks[c : c + 1], viewmats[c : c + 1], width, height)
        channels = colors[c] if colors.ndim == 3 else colors
        parts = []
        for first in range(0, channels.shape[-1], 3):
            drawn = dense.render(
                Gaussians(means, quats, scales, opacities, channels[:, first : first + 3]), camera, True
            )
            parts.append(drawn[0][..., :3])
        pictures.append(
            torch.cat([*parts, drawn[0][..., 3:4]] if render_mode == "RGB+D" else parts, -1)
        )  # the depth is last
        alphas.append(drawn[1][..., None])
    return torch.cat(pictures), torch.cat(alphas), {}


@pytest.fixture
def gsplat(monkeypatch):
    """The twin in gsplat's place, and how many cameras each call of it had."""
    calls: list[int] = []

    def counted(*args, **kwargs):
        calls.append(len(args[5]))
        return rasterization(*args, **kwargs)

    modules = {name: ModuleType(name) for name in ("gsplat", "gsplat.cuda", "gsplat.cuda._backend")}
    modules["gsplat"].rasterization = counted
    modules["gsplat.cuda._backend"]._C = SimpleNamespace()
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return SimpleNamespace(calls=calls, backend=modules["gsplat.cuda._backend"])


@pytest.mark.parametrize("geometry", [False, True])
@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_cameras_in_several_calls_give_the_pictures_of_the_cpu(gsplat, monkeypatch, geometry, at_once):
    gaussians, cameras = random_gaussians(40), orbit_cameras([0, 72, 144, 216, 288], SIZE)
    monkeypatch.setattr(cuda, "MEMORY", at_once * (40 * cuda.BYTES_OF_SPLAT + SIZE**2 * cuda.BYTES_OF_PIXEL))
    found, expected = cuda.render(gaussians, cameras, geometry), render(gaussians, cameras, geometry)
    assert gsplat.calls == {1: [1] * 5, 2: [2, 2, 1], 5: [5]}[at_once]
    for mine, numba in zip(found, expected, strict=True):
        assert mine.shape == numba.shape
        torch.testing.assert_close(mine, numba, atol=2e-5, rtol=1e-4)


def test_cameras_in_double_precision_are_taken_as_on_the_cpu(gsplat):
    gaussians, cameras = random_gaussians(10), orbit_cameras([0, 90], SIZE)
    double = Camera(cameras.K.double(), cameras.T_camera_world.double(), SIZE, SIZE)
    for mine, numba in zip(
        cuda.render(gaussians, double, True), render(gaussians, double, True), strict=True
    ):
        torch.testing.assert_close(mine, numba, atol=2e-5, rtol=1e-4)


def test_gsplat_without_kernels_says_what_is_missing(gsplat):
    gsplat.backend._C = None
    with pytest.raises(ImportError, match="nvcc"):
        cuda.render(random_gaussians(3), orbit_cameras([0], 16), False)
