"""Smoothing over time: rotations by their quaternions, places by their coordinates."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from turnaround.pipeline.values.rotation import axis_angle_to_quat, quat_to_axis_angle

Ends = Literal["nearest", "wrap"]


def smooth_values(values: Float[Tensor, "f *d"], frames: float, ends: Ends) -> Float[Tensor, "f *d"]:
    """A Gaussian mean of `frames` standard deviation over the first dimension.

    Args:
        ends: "wrap" where frame f is frame 0 again, "nearest" where both ends stand still.
    """
    smooth = gaussian_filter1d(values.double().numpy(), frames, axis=0, mode=ends)
    return torch.from_numpy(smooth).to(values.dtype)


def smooth_rotations(pose: Float[Tensor, "f j 3"], frames: float, ends: Ends) -> Float[Tensor, "f j 3"]:
    """The same for axis-angle rotations, each joint's by itself."""
    quats = axis_angle_to_quat(pose.double())
    # q and -q are one rotation: each frame takes the sign that is nearer to the one before
    signs = torch.where((quats[1:] * quats[:-1]).sum(-1) < 0, -1.0, 1.0).double()
    quats[1:] *= torch.cumprod(signs, 0)[..., None]
    if ends == "wrap" and len(quats) > 1:  # a whole turn comes back with the other sign
        return _wrapped(quats, frames).to(pose.dtype)
    return quat_to_axis_angle(F.normalize(smooth_values(quats, frames, ends), dim=-1)).to(pose.dtype)


def _wrapped(quats: Float[Tensor, "f j 4"], frames: float) -> Float[Tensor, "f j 3"]:
    """Smoothed with copies before and behind, of the sign that continues."""
    end = torch.where((quats[-1] * quats[0]).sum(-1, keepdim=True) < 0, -1.0, 1.0).double()
    around = torch.cat([quats * end, quats, quats * end])
    smooth = smooth_values(around, frames, "nearest")[len(quats) : 2 * len(quats)]
    return quat_to_axis_angle(F.normalize(smooth, dim=-1))
