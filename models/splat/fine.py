"""Pictures of Gaussians that are finer than the pixels: drawn larger and averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.splat.rasterize import Render, rasterize
from turnaround.pipeline.values.camera import camera_center, resize
from turnaround.pipeline.values.types import Camera, Gaussians

WIDE = 0.44  # pixels: standard deviation from which on a Gaussian is drawn as it is
MOST = 4


@torch.no_grad()
def rasterize_fine(
    gaussians: Gaussians, cameras: Camera, *, background: float | Sequence[float] = 1.0, most: int = MOST
) -> Render:
    """Colours and opacity of `rasterize`, without its swelling of Gaussians that are smaller than a pixel.

    Splatting never draws a Gaussian narrower than a pixel's filter (Kerbl et al. 2023, section 4), and keeps
    its opacity: many fine ones seen from afar grow a rim (the dilation that Mip-Splatting speaks of, Yu et
    al. 2024, section 3). So the picture is drawn `times_larger` and averaged.

    Args:
        gaussians: of one person.
        cameras: (c,) square ones, or one.
        background: grey, or (r, g, b), in [0, 1].
        most: times as large, at most.
    """
    times = times_larger(gaussians, cameras, most)
    drawn = rasterize(
        gaussians, resize(cameras, cameras.width * times), background=background, outputs=("rgb", "alpha")
    )
    if times == 1:
        return drawn
    rgb = F.avg_pool2d(drawn.rgb.permute(0, 3, 1, 2), times).permute(0, 2, 3, 1).contiguous()
    return Render(rgb, F.avg_pool2d(drawn.alpha[:, None], times)[:, 0], None, None)


def times_larger(gaussians: Gaussians, cameras: Camera, most: int = MOST) -> int:
    """How many times larger pictures must be drawn for half of the Gaussians to be WIDE pixels wide, `most`
    at most."""
    if len(gaussians) == 0:
        return 1
    wide = _widths(gaussians.scales).median() * float(cameras.K.reshape(-1, 3, 3)[0, 0, 0])
    eye = camera_center(cameras).reshape(-1, 3)[0]
    pixels = float(wide / (gaussians.means.mean(0) - eye).norm())
    return int(min(most, max(1.0, -(-WIDE // pixels)))) if pixels > 0 else most


def _widths(scales: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """The middle one of three standard deviations: a disc's width across its slope."""
    return torch.sort(scales, -1).values[:, 1]
