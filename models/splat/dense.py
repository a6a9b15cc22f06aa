"""The readable twin of the splat renderer: every Gaussian at every pixel, plain torch, any precision,
autograd.

For tests and small scenes: time and memory are cameras x Gaussians x pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from turnaround.pipeline.values.camera import camera_center, to_camera
from turnaround.pipeline.values.rotation import quat_to_matrix
from turnaround.pipeline.values.types import Camera, Gaussians

BLUR, NEAR, MARGIN = 0.3, 0.01, 0.3
ALPHA_MIN, ALPHA_MAX, T_MIN = 1 / 255, 0.999, 1e-4


def facing_normals(gaussians: Gaussians, cameras: Camera) -> Float[Tensor, "c n 3"]:
    """The shortest axis of each Gaussian, world frame, turned to each camera."""
    axes = quat_to_matrix(gaussians.quats)
    shortest = gaussians.scales.argmin(-1)
    normals = axes.gather(-1, shortest[:, None, None].expand(-1, 3, 1))[..., 0]
    sight = gaussians.means - camera_center(cameras)[:, None].to(gaussians.means)
    away = (sight * normals).sum(-1, keepdim=True) > 0
    return torch.where(away, -normals, normals)


def project(
    gaussians: Gaussians, cameras: Camera
) -> tuple[Float[Tensor, "c n 2"], Float[Tensor, "c n 2 2"], Float[Tensor, "c n"]]:
    """Centres in pixels, covariances in px^2 (with the blur) and depths."""
    p = to_camera(gaussians.means, cameras)
    x, y, z = p.unbind(-1)
    K = cameras.K
    fx, fy, cx, cy = (K[:, i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    margin_x, margin_y = MARGIN * cameras.width / (2 * fx), MARGIN * cameras.height / (2 * fy)
    tan_x = torch.minimum(torch.maximum(x / z, -cx / fx - margin_x), (cameras.width - cx) / fx + margin_x)
    tan_y = torch.minimum(torch.maximum(y / z, -cy / fy - margin_y), (cameras.height - cy) / fy + margin_y)
    o = torch.zeros_like(z)
    J = torch.stack([fx / z, o, -fx * tan_x / z, o, fy / z, -fy * tan_y / z], -1).reshape(*z.shape, 2, 3)
    axes = (
        cameras.T_camera_world[:, None, :3, :3]
        @ quat_to_matrix(gaussians.quats)
        * gaussians.scales[:, None, :]
    )
    U = J @ axes
    covariances = U @ U.transpose(-1, -2) + BLUR * torch.eye(2, dtype=z.dtype)
    return torch.stack([fx * x / z + cx, fy * y / z + cy], -1), covariances, z


def render(
    gaussians: Gaussians, cameras: Camera, geometry: bool
) -> tuple[Float[Tensor, "c h w channels"], Float[Tensor, "c h w"]]:
    """What `models.splat.cpu.render` computes: blended channels over nothing, and alpha."""
    centers, covariances, depth = project(gaussians, cameras)
    channels = gaussians.colors.expand(len(depth), -1, -1)
    if geometry:
        channels = torch.cat([channels, depth[..., None], facing_normals(gaussians, cameras)], -1)
    v, u = torch.meshgrid(torch.arange(cameras.height), torch.arange(cameras.width), indexing="ij")
    pixels = torch.stack([u, v], -1).reshape(-1, 2).to(centers) + 0.5
    images, alphas = [], []
    for c in range(len(depth)):
        order = depth[c].argsort(stable=True)
        order = order[depth[c][order] >= NEAR]
        offset = pixels - centers[c, order, None]
        conic = torch.linalg.inv(covariances[c, order])
        exponent = 0.5 * torch.einsum("npi,nij,npj->np", offset, conic, offset)
        weights = blending_weights(
            (gaussians.opacities[order, None] * torch.exp(-exponent)).clamp(max=ALPHA_MAX)
        )
        images.append(weights.T @ channels[c, order])
        alphas.append(weights.sum(0))
    shape = (len(depth), cameras.height, cameras.width)
    return torch.stack(images).reshape(*shape, -1), torch.stack(alphas).reshape(shape)


def blending_weights(alpha: Float[Tensor, "n p"]) -> Float[Tensor, "n p"]:
    """alpha times the transmittance before it; faint ones are skipped, and a pixel ends before T falls to
    1e-4."""
    alpha = torch.where(alpha >= ALPHA_MIN, alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1 - alpha, 0)
    drawn: Bool[Tensor, "n p"] = (alpha > 0) & (after > T_MIN)
    before = torch.cat([torch.ones_like(after[:1]), after[:-1]])
    return torch.where(drawn, alpha * before, torch.zeros_like(alpha))
