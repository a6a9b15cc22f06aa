"""Sparse convolution against dense conv3d and spconv, in value and gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from turnaround.models.sparse import cuda as sparse_cuda
from turnaround.models.sparse.convolution import (
    SparseConv3d,
    SparseVoxels,
    coarser,
    neighbours,
    sample,
    voxelize,
)

SHAPE, BATCH, CHANNELS, OUT = (7, 6, 5), 2, 3, 4
# float64 sums of at most 27 * 3 products of order one: differences are rounding alone
EXACT = {"atol": 1e-12, "rtol": 1e-10}


def voxels(
    seed: int = 0, dtype: torch.dtype = torch.float64, density: float = 0.3, shape=SHAPE
) -> SparseVoxels:
    generator = torch.Generator().manual_seed(seed)
    coordinates = (torch.rand(BATCH, *shape, generator=generator) < density).nonzero()
    coordinates = coordinates[torch.randperm(len(coordinates), generator=generator)]  # any order must do
    return SparseVoxels(
        torch.randn(len(coordinates), CHANNELS, generator=generator, dtype=dtype), coordinates, shape, BATCH
    )


def dense(v: SparseVoxels, features: torch.Tensor) -> torch.Tensor:
    b, x, y, z = v.coordinates.unbind(1)
    grid = features.new_zeros(v.batch, *v.shape, features.shape[1]).index_put((b, x, y, z), features)
    return grid.permute(0, 4, 1, 2, 3)


def at(grid: torch.Tensor, coordinates: torch.Tensor) -> torch.Tensor:
    b, x, y, z = coordinates.unbind(1)
    return grid.permute(0, 2, 3, 4, 1)[b, x, y, z]


def layer(stride: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> SparseConv3d:
    torch.manual_seed(seed)
    return SparseConv3d(CHANNELS, OUT, stride=stride).to(dtype)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("shape", [SHAPE, (4, 4, 4), (1, 3, 8)])
def test_convolution_is_dense_convolution_at_the_active_voxels(stride, density, shape):
    v, conv = voxels(density=density, shape=shape), layer(stride)
    if len(v.coordinates) == 0:
        pytest.skip("no active voxel")
    sparse_in, dense_in = v.features.clone().requires_grad_(), v.features.clone().requires_grad_()
    out = conv(v.with_features(sparse_in))
    weight = conv.weight.detach().clone().requires_grad_()
    expected = at(
        F.conv3d(dense(v, dense_in), weight.permute(0, 4, 1, 2, 3), stride=stride, padding=1), out.coordinates
    )
    torch.testing.assert_close(out.features, expected, **EXACT)
    cotangent = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mine = torch.autograd.grad((out.features * cotangent).sum(), [sparse_in, conv.weight])
    theirs = torch.autograd.grad((expected * cotangent).sum(), [dense_in, weight])
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, **EXACT)


def test_submanifold_convolution_keeps_the_voxels_and_their_order():
    v = voxels()
    assert torch.equal(layer(1)(v).coordinates, v.coordinates)


@pytest.mark.parametrize("shape", [SHAPE, (4, 4, 4), (1, 2, 9)])
def test_strided_convolution_makes_every_voxel_that_an_input_reaches_and_no_other(shape):
    v = voxels(density=0.1, shape=shape)
    reached = F.conv3d(
        dense(v, torch.ones_like(v.features[:, :1])),
        torch.ones(1, 1, 3, 3, 3, dtype=torch.float64),
        stride=2,
        padding=1,
    )
    target = coarser(v)
    assert target.shape == tuple(reached.shape[2:])
    assert torch.equal(target.coordinates, (reached[:, 0] > 0).nonzero())


def test_samples_of_a_batch_do_not_touch():
    v, conv = voxels(), layer(2)
    whole = conv(v)
    for b in range(BATCH):
        mine = v.coordinates[:, 0] == b
        alone = v.coordinates[mine].clone()
        alone[:, 0] = 0
        single = conv(SparseVoxels(v.features[mine], alone, SHAPE, 1))
        chosen = whole.coordinates[:, 0] == b
        assert torch.equal(single.coordinates[:, 1:], whole.coordinates[chosen][:, 1:])
        torch.testing.assert_close(single.features, whole.features[chosen], **EXACT)


def test_convolution_moves_with_its_input():
    v, conv = voxels(density=0.1), layer(1)
    bigger = tuple(side + 3 for side in SHAPE)
    here = SparseVoxels(v.features, v.coordinates, bigger, BATCH)
    there = SparseVoxels(v.features, v.coordinates + torch.tensor([0, 1, 2, 3]), bigger, BATCH)
    torch.testing.assert_close(conv(here).features, conv(there).features, **EXACT)


def test_a_shared_neighbour_table_changes_nothing():
    v, conv = voxels(), layer(1)
    torch.testing.assert_close(
        conv(v, neighbours(v, v.coordinates, 1)).features, conv(v).features, rtol=0, atol=0
    )


def test_voxelize_is_the_mean_of_the_points_in_each_voxel():
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(BATCH, 40, 3, generator=generator, dtype=torch.float64)
    features = torch.randn(BATCH, 40, 2, generator=generator, dtype=torch.float64)
    v = voxelize(points, features, torch.zeros(3, dtype=torch.float64), 0.26, (4, 4, 4))
    cells = (points / 0.26).long()
    assert len(v.coordinates) == sum(len(cells[b].unique(dim=0)) for b in range(BATCH))
    for row, (b, *cell) in enumerate(v.coordinates.tolist()):
        inside = (cells[b] == torch.tensor(cell)).all(1)
        torch.testing.assert_close(v.features[row], features[b, inside].mean(0), **EXACT)


def test_sampling_is_grid_sample_with_zeros_outside_the_active_voxels():
    v = voxels(shape=(6, 6, 6))
    origin, size = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64), 0.5
    # within the outermost voxel centres: beyond them the grid ends and `sample` clamps
    points = origin + size * (
        0.5 + 5 * torch.rand(50, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    )
    which = torch.arange(50) % BATCH
    grid = (2 * (points - origin) / (size * 6) - 1).flip(
        -1
    )  # grid_sample wants z, y, x of a (b, c, x, y, z) volume
    everywhere = [
        F.grid_sample(dense(v, v.features)[b : b + 1], grid[None, None, None], align_corners=False)[
            0, :, 0, 0
        ].T
        for b in range(2)
    ]
    expected = torch.stack(everywhere)[which, torch.arange(50)]
    torch.testing.assert_close(sample(v, points, which, origin, size), expected, **EXACT)


def test_sampling_at_voxel_centres_returns_their_features():
    v = voxels()
    points = v.coordinates[:, 1:].double() + 0.5
    torch.testing.assert_close(
        sample(v, points, v.coordinates[:, 0], torch.zeros(3, dtype=torch.float64), 1.0), v.features, **EXACT
    )


def test_another_stride_is_refused():
    with pytest.raises(ValueError, match="strides 1 and 2"):
        SparseConv3d(3, 3, stride=3)


def _device(name: str) -> torch.device:
    pytest.importorskip("spconv")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(name)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_spconv_agrees_in_value_and_gradient_on_the_same_weights(stride, name):
    device = _device(name)
    plain = layer(stride, dtype=torch.float32).to(device)
    fast = torch.nn.Sequential(layer(stride, dtype=torch.float32).to(device))
    assert sparse_cuda.accelerate(fast) == 1
    fast.load_state_dict({f"0.{k}": v for k, v in plain.state_dict().items()})
    v = voxels(dtype=torch.float32, shape=(24, 20, 16), density=0.05)
    v = SparseVoxels(v.features.to(device), v.coordinates.to(device), v.shape, v.batch)
    results = []
    for conv in (plain, fast[0]):
        features = v.features.clone().requires_grad_()
        out = conv(v.with_features(features))
        cotangent = torch.randn(out.features.shape, generator=torch.Generator().manual_seed(5)).to(device)
        gradient = torch.autograd.grad((out.features * cotangent).sum(), [features, conv.weight])
        results.append((out.coordinates, out.features, *gradient))
    # float32 (tf32 is off), sums of up to 81 products; weight gradients sum over some hundred voxels
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4 if name == "cuda" else 2e-5, rtol=1e-4)


def test_accelerate_without_spconv_names_the_remedy(monkeypatch):
    monkeypatch.setattr(sparse_cuda, "available", lambda: False)
    with pytest.raises(ImportError, match=r"turnaround\[cuda\]"):
        sparse_cuda.accelerate(layer(1))
