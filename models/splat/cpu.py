"""The CPU backend of the splat renderer: numba kernels behind one autograd function, from raw Gaussians to pictures."""

from __future__ import annotations

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.splat.blending import blend
from models.splat.blending_vjp import blend_vjp
from models.splat.lanes import WIDTH
from models.splat.projection import CHUNKS, ROW, project
from models.splat.projection_vjp import project_vjp
from models.splat.tiles import bin_splats, costly_first
from pipeline.types import Camera, Gaussians


def render(gaussians: Gaussians, cameras: Camera, geometry: bool) -> tuple[Float[Tensor, "c h w channels"], Float[Tensor, "c h w"]]:
    """Blended channels over nothing (r, g, b and, with `geometry`, depth and normal sums) and alpha."""
    g = gaussians
    return _Splat.apply(
        g.means, g.quats, g.scales, g.opacities, g.colors, cameras.T_camera_world, cameras.K, cameras.width, cameras.height, geometry
    )  # type: ignore[return-value]


class _Splat(torch.autograd.Function):
    """Gradients to means, quats, scales, opacities, colours and T_camera_world; none to K."""

    @staticmethod
    def forward(ctx, means, quats, scales, opacities, colors, T_camera_world, K, width, height, geometry):  # type: ignore[override]
        m, q, s, o, rgb = (_array(x) for x in (means, quats, scales, opacities, colors))
        K, T = (_array(x.float()) for x in (K, T_camera_world))
        views, count = len(K), -(-len(means) // WIDTH) * WIDTH
        splats = _rows(views * count).reshape(views, count, ROW)
        depths, boxes = np.empty((views, count), np.float32), np.empty((views, count, 4), np.int16)
        project(m, q, s, o, rgb, K, T, width, height, geometry, splats, depths, boxes)
        starts, pairs, slots = bin_splats(depths, boxes, width, height)
        order = costly_first(starts)
        image = np.empty((views, height, width, 7 if geometry else 3), np.float32)
        alpha, ends = np.empty((views, height, width), np.float32), np.empty(starts.size - 1, np.int64)
        blend(*_crew(), splats, starts, pairs, order, _template(image), image, alpha, ends)
        ctx.saved = (m, q, s, K, T, splats, starts, pairs, slots, order, ends, image, alpha)
        ctx.versions = [(x, x._version) for x in (means, quats, scales, opacities, colors)]
        return torch.from_numpy(image), torch.from_numpy(alpha)

    @staticmethod
    def backward(ctx, v_image, v_alpha):  # type: ignore[override]
        if any(tensor._version != version for tensor, version in ctx.versions):
            raise RuntimeError("a Gaussian field was changed in place between the rendering and its backward pass")
        m, q, s, K, T, splats, starts, pairs, slots, order, ends, image, alpha = ctx.saved
        height, width = alpha.shape[1:]
        v_pairs = _rows(len(pairs))
        blend_vjp(*_crew(), splats, starts, pairs, ends, order, _template(image), image, alpha, _array(v_image), _array(v_alpha), v_pairs)
        count, padded = len(m), splats.shape[1]
        v = [np.zeros((padded, *shape), np.float32) for shape in ((3,), (4,), (3,), (), (3,))]
        v_T = np.zeros((CHUNKS, len(K), 4, 4))
        project_vjp(*_crew(), m, q, s, K, T, width, height, image.shape[-1] == 7, splats, slots, v_pairs, v[0], v[1], v[2], v[3], v[4], v_T)
        return *(torch.from_numpy(x[:count]) for x in v), torch.from_numpy(v_T.sum(0)).float(), None, None, None, None


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
