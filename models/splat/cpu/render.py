"""The CPU backend of the splat renderer: numba kernels behind one autograd function, from raw Gaussians to
pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32, Int32, Int64
from torch import Tensor

from turnaround.models.splat.cpu.blending import blend
from turnaround.models.splat.cpu.blending_vjp import blend_vjp
from turnaround.models.splat.cpu.lanes import WIDTH
from turnaround.models.splat.cpu.projection import CHUNKS, ROW, project
from turnaround.models.splat.cpu.projection_vjp import project_vjp
from turnaround.models.splat.cpu.tiles import bin_splats, costly_first
from turnaround.pipeline.values.types import Camera, Gaussians

GROUP = (
    1 << 18
    # splats that are worked on at the same time: as many cameras as have so many, but at least one. 16 MiB of
    # rows
)


def render(
    gaussians: Gaussians, cameras: Camera, geometry: bool
) -> tuple[Float[Tensor, "c h w channels"], Float[Tensor, "c h w"]]:
    """Blended channels over nothing (r, g, b and, with `geometry`, depth and normal sums) and alpha."""
    g = gaussians
    return _Splat.apply(
        g.means,
        g.quats,
        g.scales,
        g.opacities,
        g.colors,
        cameras.T_camera_world,
        cameras.K,
        cameras.width,
        cameras.height,
        geometry,
    )  # type: ignore[return-value]


@dataclass(frozen=True)
class _Binned:
    """What the backward pass needs of a group of cameras."""

    cameras: slice
    splats: Float32[np.ndarray, "c n 16"]
    starts: Int64[np.ndarray, " starts"]  # of the tiles' pairs, and their end
    pairs: Int32[np.ndarray, "pairs 2"]
    slots: Int64[np.ndarray, " splats"]
    order: Int64[np.ndarray, " tiles"]
    ends: Int64[np.ndarray, " tiles"]


class _Splat(torch.autograd.Function):
    """Gradients to means, quats, scales, opacities, colours and T_camera_world; none to K."""

    @staticmethod
    def forward(ctx, means, quats, scales, opacities, colors, T_camera_world, K, width, height, geometry):  # type: ignore[override]
        fields = [_array(x) for x in (means, quats, scales, opacities, colors)]
        K, T = (_array(x.float()) for x in (K, T_camera_world))
        image = np.empty((len(K), height, width, 7 if geometry else 3), np.float32)
        alpha = np.empty((len(K), height, width), np.float32)
        groups = [_draw(cameras, fields, K, T, image, alpha) for cameras in _groups(len(K), len(means))]
        if any(ctx.needs_input_grad):
            ctx.saved = (fields, K, T, groups, image, alpha)
            ctx.versions = [(x, x._version) for x in (means, quats, scales, opacities, colors)]
        return torch.from_numpy(image), torch.from_numpy(alpha)

    @staticmethod
    def backward(ctx, v_image, v_alpha):  # type: ignore[override]
        if any(tensor._version != version for tensor, version in ctx.versions):
            raise RuntimeError(
                "a Gaussian field was changed in place between the rendering and its backward pass"
            )
        fields, K, T, groups, image, alpha = ctx.saved
        v_image, v_alpha = _array(v_image), _array(v_alpha)
        means, quats, scales = fields[:3]
        v_fields = [np.zeros((_padded(len(means)), *field.shape[1:]), np.float32) for field in fields]
        v_m, v_q, v_s, v_o, v_c = v_fields
        v_T = np.zeros((len(K), CHUNKS, 4, 4))
        for g in groups:
            c, v_pairs = g.cameras, _rows(len(g.pairs))
            blend_vjp(
                *_crew(),
                g.splats,
                g.starts,
                g.pairs,
                g.ends,
                g.order,
                _template(image),
                image[c],
                alpha[c],
                v_image[c],
                v_alpha[c],
                v_pairs,
            )
            size = alpha.shape[2], alpha.shape[1], image.shape[3] == 7
            project_vjp(
                *_crew(),
                means,
                quats,
                scales,
                K[c],
                T[c],
                *size,
                g.splats,
                g.slots,
                v_pairs,
                v_m,
                v_q,
                v_s,
                v_o,
                v_c,
                v_T[c],
            )
        return (
            *(torch.from_numpy(v[: len(means)]) for v in v_fields),
            torch.from_numpy(v_T.sum(1)).float(),
            None,
            None,
            None,
            None,
        )


def _draw(
    cameras: slice,
    fields: list[np.ndarray],
    K: np.ndarray,
    T: np.ndarray,
    image: np.ndarray,
    alpha: np.ndarray,
) -> _Binned:
    """Fill a group's pictures."""
    image, alpha = image[cameras], alpha[cameras]
    (views, height, width), count = alpha.shape, _padded(len(fields[0]))
    splats = _rows(views * count).reshape(views, count, ROW)
    depths, boxes = np.empty((views, count), np.float32), np.empty((views, count, 4), np.int16)
    means, quats, scales, opacities, colors = fields
    project(
        means,
        quats,
        scales,
        opacities,
        colors,
        K[cameras],
        T[cameras],
        width,
        height,
        image.shape[3] == 7,
        splats,
        depths,
        boxes,
    )
    starts, pairs, slots = bin_splats(depths, boxes, width, height)
    order, ends = costly_first(starts), np.empty(starts.size - 1, np.int64)
    blend(*_crew(), splats, starts, pairs, order, _template(image), image, alpha, ends)
    return _Binned(cameras, splats, starts, pairs, slots, order, ends)


def _groups(cameras: int, count: int) -> list[slice]:
    """All cameras in runs of as many as GROUP allows: temporaries stay in proportion to it."""
    step = max(1, GROUP // _padded(count))
    return [slice(first, min(first + step, cameras)) for first in range(0, cameras, step)]


def _padded(count: int) -> int:
    return -(-count // WIDTH) * WIDTH


def _array(tensor: Tensor) -> np.ndarray:
    """The tensor's numbers as a contiguous float32 array: the kernels assume nothing else."""
    array = tensor.detach().contiguous().numpy()
    assert array.dtype == np.float32 and array.flags.c_contiguous, (array.dtype, array.strides)
    return array


def _crew() -> tuple[int, np.ndarray]:
    """How many threads, and the counter from which they take work."""
    return numba.get_num_threads(), np.zeros(1, np.int64)


def _rows(count: int) -> np.ndarray:
    """(count, 16) float32, not initialised, each row one line of the cache."""
    block = np.empty((count + 1) * ROW, np.float32)
    start = -(block.ctypes.data // 4) % ROW
    return block[start : start + count * ROW].reshape(count, ROW)


def _template(image: np.ndarray) -> tuple[np.float32, ...]:
    """Tells the kernels the number of channels by its type."""
    return (np.float32(0),) * image.shape[-1]
