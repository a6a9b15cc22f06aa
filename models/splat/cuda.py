"""The CUDA backend of the splat renderer: gsplat, called so that it computes what the CPU backend computes.

Many cameras go into one call (gsplat's packed mode keeps only what each camera sees), as many as MEMORY
allows.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.splat.dense import facing_normals
from turnaround.pipeline.values.types import Camera, Gaussians

PACKED = (
    True  # gsplat's mode; the other keeps a row for every Gaussian of every camera, and reads no count back
)
MEMORY = 2 << 30  # bytes of temporaries in one call of gsplat
# of one Gaussian in one camera: projected values and their indices, channels padded to 8 and their copy,
# about three tiles
# of 12 bytes of key and index, twice for the sort; and of one pixel: 8 channels, alpha, the last splat, for
# value and gradient
BYTES_OF_SPLAT, BYTES_OF_PIXEL = 320, 80


def render(
    gaussians: Gaussians, cameras: Camera, geometry: bool
) -> tuple[Float[Tensor, "c h w channels"], Float[Tensor, "c h w"]]:
    """Blended channels over nothing (r, g, b and, with `geometry`, depth and normal sums) and alpha.

    Raises:
        ImportError: gsplat is not installed, or has no kernels for want of the CUDA toolkit.
    """
    step = cameras_of_one_call(len(gaussians), cameras.height * cameras.width)
    parts = [
        _render(gaussians, cameras[first : first + step], geometry)
        for first in range(0, len(cameras.K), step)
    ]
    if len(parts) == 1:
        return parts[0]
    return torch.cat([image for image, _ in parts]), torch.cat([alpha for _, alpha in parts])


def cameras_of_one_call(count: int, pixels: int) -> int:
    """How many cameras fit into MEMORY, at least one, given the number of Gaussians and of pixels of a
    camera."""
    return max(1, MEMORY // (count * BYTES_OF_SPLAT + pixels * BYTES_OF_PIXEL))


def _render(gaussians: Gaussians, cameras: Camera, geometry: bool) -> tuple[Tensor, Tensor]:
    colors = gaussians.colors
    if geometry:  # normals look to each camera, so that they differ between cameras
        colors = torch.cat([colors.expand(len(cameras.K), -1, -1), facing_normals(gaussians, cameras)], -1)
    image, alpha, _ = _rasterization()(
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        colors,
        cameras.T_camera_world.float(),
        cameras.K.float(),
        cameras.width,
        cameras.height,
        near_plane=0.01,
        eps2d=0.3,
        packed=PACKED,
        tile_size=16,
        render_mode="RGB+D" if geometry else "RGB",
    )
    if geometry:  # gsplat puts the depth last
        image = torch.cat([image[..., :3], image[..., 6:], image[..., 3:6]], -1)
    return image, alpha[..., 0]


def _rasterization() -> Callable[..., Any]:
    try:
        gsplat, kernels = importlib.import_module("gsplat"), importlib.import_module("gsplat.cuda._backend")
    except ImportError as error:
        raise ImportError(
            "rendering on CUDA needs gsplat: pip install 'turnaround[cuda]', or move the Gaussians and "
            "cameras to the CPU"
        ) from error
    if (
        kernels._C is None
    ):  # what gsplat itself says of this is one line on the first import, and an AttributeError here
        raise ImportError(
            "gsplat is installed without kernels: they are compiled at first use, which needs nvcc (the CUDA "
            "toolkit) on the PATH or in "
            "CUDA_HOME; or install a wheel that has them (https://docs.gsplat.studio/whl), or use "
            "--device cpu"
        )
    return gsplat.rasterization
