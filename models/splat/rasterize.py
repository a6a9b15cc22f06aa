"""`rasterize`: 3D Gaussians to pictures, differentiable; gsplat on CUDA, numba on the CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.pipeline.values.types import Camera, Gaussians

Output = Literal["rgb", "alpha", "depth", "normal"]
Backend = Callable[[Gaussians, Camera, bool], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Render:
    """Pictures of c cameras; depth and normal are None unless they were asked for."""

    rgb: Float[Tensor, "c h w 3"]  # over the background
    alpha: Float[Tensor, "c h w"]
    # metres along the camera's axis, the mean over what is seen; 0 where alpha is 0
    depth: Float[Tensor, "c h w"] | None
    normal: Float[Tensor, "c h w 3"] | None  # world frame, weighted sum: its length is at most alpha


def rasterize(
    gaussians: Gaussians,
    cameras: Camera,
    *,
    background: float | Sequence[float] | Float[Tensor, "3"] = 1.0,
    outputs: Sequence[Output] = ("rgb", "alpha", "depth", "normal"),
) -> Render:
    """Splat the Gaussians into every camera (3D Gaussian Splatting, Kerbl et al. 2023, section 4 and 6).

    Args:
        gaussians: n of them, float32; quaternions need not be unit. n may be 0.
        cameras: (c,) cameras, or one, which counts as c = 1. No skew; no gradient to K.
        background: grey, or (r, g, b), in [0, 1].
        outputs: without "depth" and "normal" the pictures cost about half; those fields are then None.

    Returns:
        Pictures with c leading, on the Gaussians' device. Differentiable in every Gaussian field and in
        T_camera_world.

    Raises:
        ValueError: a wrong shape, dtype or device, an unknown output, or a value that is not finite.
        ImportError: on CUDA, without gsplat.
    """
    unknown = set(outputs) - {"rgb", "alpha", "depth", "normal"}
    if unknown:
        raise ValueError(f"outputs {sorted(unknown)} are unknown; there are rgb, alpha, depth, normal")
    cameras = _batched(cameras)
    _check(gaussians, cameras)
    geometry = "depth" in outputs or "normal" in outputs
    if len(gaussians) == 0:
        image, alpha = _nothing(gaussians, cameras, geometry)
    else:
        image, alpha = _backend(gaussians.means.device)(gaussians, cameras, geometry)
    return _compose(
        image, alpha, torch.as_tensor(background, dtype=torch.float32, device=image.device), outputs
    )


def _compose(image: Tensor, alpha: Tensor, background: Tensor, outputs: Sequence[Output]) -> Render:
    # one split, whose gradient is one concatenation; slices would each make a picture of zeros
    parts = image.split([3, 1, 3][: 3 if image.shape[-1] == 7 else 1], -1)
    behind = (1 - alpha)[..., None] * background
    # in place where no gradient needs it as it was: a large picture takes longer to allot than to fill
    rgb = parts[0] + behind if image.requires_grad or behind.requires_grad else parts[0].add_(behind)
    depth = parts[1][..., 0] / alpha.clamp(min=1e-10) if "depth" in outputs else None
    normal = parts[2] if "normal" in outputs else None
    return Render(rgb, alpha, depth, normal)


def _backend(device: torch.device) -> Backend:
    if device.type == "cuda":
        from turnaround.models.splat.cuda import render
    elif device.type == "cpu":
        from turnaround.models.splat.cpu.render import render
    else:
        raise ValueError(f"rasterize runs on cpu and cuda, got {device}")
    return render


def _nothing(gaussians: Gaussians, cameras: Camera, geometry: bool) -> tuple[Tensor, Tensor]:
    shape = (len(cameras.K), cameras.height, cameras.width)
    # hangs on the graph, so that a loss over an empty scene still has a (zero) gradient
    zero = gaussians.means.sum() + gaussians.colors.sum() + gaussians.opacities.sum()
    alpha = gaussians.means.new_zeros(shape) + zero
    return alpha[..., None].repeat(1, 1, 1, 7 if geometry else 3), alpha


def _batched(cameras: Camera) -> Camera:
    if cameras.T_camera_world.ndim == 2:
        return dataclasses.replace(cameras, K=cameras.K[None], T_camera_world=cameras.T_camera_world[None])
    return dataclasses.replace(cameras, K=cameras.K.expand(len(cameras.T_camera_world), 3, 3))


def _check(gaussians: Gaussians, cameras: Camera) -> None:
    count, device = len(gaussians), gaussians.means.device
    widths = {"means": (3,), "quats": (4,), "scales": (3,), "opacities": (), "colors": (3,)}
    totals = []
    for name, width in widths.items():
        tensor = getattr(gaussians, name)
        if tuple(tensor.shape) != (count, *width) or tensor.dtype != torch.float32 or tensor.device != device:
            expected = f"float32 {(count, *width)} on {device}"
            raise ValueError(
                f"gaussians.{name}: expected {expected}, got {tensor.dtype} {tuple(tensor.shape)} on "
                f"{tensor.device}"
            )
        totals.append(tensor.detach().sum())
    T = cameras.T_camera_world
    if T.ndim != 3 or T.shape[1:] != (4, 4) or T.device != device:
        raise ValueError(
            f"cameras.T_camera_world: expected (c, 4, 4) on {device}, got {tuple(T.shape)} on {T.device}"
        )
    totals.append(T.detach().sum())
    if not torch.isfinite(torch.stack(totals)).all():
        names = [*widths, "T_camera_world"]
        broken = [name for name, total in zip(names, totals, strict=True) if not torch.isfinite(total)]
        raise ValueError(f"rasterize: {', '.join(broken)} not finite (NaN or infinity)")
