"""The CPU backend of the splat renderer: numba kernels behind one autograd function, from raw Gaussians to pictures."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.splat.blending import blend, blend_vjp, gather_pairs
from models.splat.projection import CHUNKS, FIXED, project, project_vjp
from models.splat.tiles import bin_splats
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
        K, T = (np.ascontiguousarray(x.detach().double().numpy()) for x in (K, T_camera_world))
        count, views, row = len(means), len(K), FIXED + (7 if geometry else 3)
        splats = np.empty((views, count, row), np.float32)
        depths, reach = np.empty((views, count), np.float32), np.empty((views, count, 2), np.float32)
        boxes = np.empty((views, count, 4), np.int32)
        project(m, q, s, o, rgb, K, T, width, height, splats, depths, reach, boxes)
        starts, ids = bin_splats(depths, boxes, width, height)
        image = np.zeros((views, height, width, row - FIXED), np.float32)
        alpha, ends = np.zeros((views, height, width), np.float32), np.empty(starts.size - 1, np.int64)
        blend(splats, reach, starts, ids, width, height, _template(image), image, alpha, ends)
        ctx.saved = (m, q, s, K, T, splats, reach, boxes, starts, ids, ends, image, alpha)
        ctx.versions = [(x, x._version) for x in (means, quats, scales, opacities, colors)]
        return torch.from_numpy(image), torch.from_numpy(alpha)

    @staticmethod
    def backward(ctx, v_image, v_alpha):  # type: ignore[override]
        if any(tensor._version != version for tensor, version in ctx.versions):
            raise RuntimeError("a Gaussian field was changed in place between the rendering and its backward pass")
        m, q, s, K, T, splats, reach, boxes, starts, ids, ends, image, alpha = ctx.saved
        height, width = alpha.shape[1:]
        v_pairs = np.empty((ids.size, splats.shape[-1]), np.float32)
        blend_vjp(
            splats, reach, starts, ids, ends, width, height, _template(image), image, alpha, _array(v_image), _array(v_alpha), v_pairs
        )
        v_splats = np.zeros_like(splats)
        gather_pairs(starts, ids, ends, v_pairs, v_splats)
        v = np.zeros((splats.shape[1], 14), np.float32)
        v_T = np.zeros((CHUNKS, splats.shape[0], 4, 4))
        project_vjp(m, q, s, K, T, width, height, splats, boxes, v_splats, v, v_T)
        fields = [torch.from_numpy(np.ascontiguousarray(v[:, k])) for k in (slice(0, 3), slice(3, 7), slice(7, 10), 10, slice(11, 14))]
        return *fields, torch.from_numpy(v_T.sum(0)).float(), None, None, None, None


def _array(tensor: Tensor) -> np.ndarray:
    """The tensor's numbers as a contiguous float32 array: the kernels assume nothing else."""
    array = tensor.detach().contiguous().numpy()
    assert array.dtype == np.float32 and array.flags.c_contiguous, (array.dtype, array.strides)
    return array


def _template(image: np.ndarray) -> tuple[np.float32, ...]:
    """Tells the kernels the number of channels by its type."""
    return (np.float32(0),) * image.shape[-1]
