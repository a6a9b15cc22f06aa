"""Figures of GST on moments whose truth is known: the body, and pictures of the input and of other views."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.kinematics import to_local
from turnaround.models.gst.model import GST
from turnaround.models.gst.training.losses import drawn
from turnaround.models.gst.training.moments import Batch, Moments
from turnaround.models.metrics import vgg
from turnaround.models.metrics.body import mpjpe_mm, pa_mpjpe_mm
from turnaround.models.metrics.image import decibel, psnr, ssim
from turnaround.models.training.batches import device_of, moved
from turnaround.pipeline.values.rotation import matrix_to_axis_angle

BOX_MARGIN = 3  # pixels about the person, of the pictures that are compared


@torch.no_grad()
def measure(
    model: GST,
    moments: Moments,
    chosen: Sequence[tuple[int, int]],
    *,
    pictures: bool = True,
    distance_every: int = 0,
) -> dict[str, float]:
    """Means over (person, input view) pairs.

    Args:
        model, moments: of one device, and on the CPU.
        chosen: the pairs.
        pictures: false: the body alone.
        distance_every: the VGG distance, where its network is, is taken of every so many pairs, for it takes
            as long as all the rest; 0: of none.

    Returns:
        mpjpe, pa (mm), angle (degrees) where the truth is known; psnr, ssim of the full frame and psnr_box,
        ssim_box inside the person's box, each for `_input` and `_novel`; vgg and vgg_box likewise.
    """
    model.eval()
    sums: dict[str, list[float]] = {}
    for number, (person, view) in enumerate(chosen):
        batch = moved(moments.batch([person], [view], 64), device_of(model))
        output = model(batch.pixels, batch.window, batch.landmarks, gaussians=pictures, picture=batch.picture)
        values = body_figures(output.body.joints[0], output.body.rotations[0], batch)
        if pictures:
            render = drawn(output, batch)[0]
            distance = bool(distance_every) and number % distance_every == 0
            values |= picture_figures(render.rgb.clamp(0, 1), batch.rgb[0], batch.mask[0], distance=distance)
        for name, value in values.items():
            sums.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in sums.items()}


def body_figures(
    joints: Float[Tensor, "k 3"], rotations: Float[Tensor, "22 3 3"], batch: Batch
) -> dict[str, float]:
    """mpjpe, pa (mm), angle (degrees) of the first person of a batch; empty where the truth is not known."""
    true, turns = batch.truth.joints[0], batch.truth.rotations[0]
    if bool(true.isnan().any()):
        return {}
    apart = to_local(rotations)[1:].mT @ to_local(turns)[1:]
    return {
        "mpjpe": mpjpe_mm(joints, true),
        "pa": pa_mpjpe_mm(joints, true),
        "angle": torch.rad2deg(matrix_to_axis_angle(apart).norm(dim=-1)).mean().item(),
    }


def picture_figures(
    rgb: Float[Tensor, "v h w 3"],
    truth: Float[Tensor, "v h w 3"],
    mask: Float[Tensor, "v h w"],
    *,
    distance: bool = False,
) -> dict[str, float]:
    """PSNR, SSIM and, where it is asked for and there, the VGG distance of the input (the first) and of the
    other views."""
    full = {"psnr": psnr(rgb, truth), "ssim": ssim(rgb, truth)}
    boxes = [_box(each) for each in mask]
    pairs = [(rgb[k][box], truth[k][box]) for k, box in enumerate(boxes)]
    full["psnr_box"] = torch.stack([decibel((a - b).square().mean()) for a, b in pairs])
    full["ssim_box"] = torch.stack([ssim(a, b) for a, b in pairs])
    network = vgg.network() if distance else None
    if network is not None:
        full["vgg"] = vgg.feature_distance(network, rgb, truth)
        full["vgg_box"] = torch.stack([vgg.feature_distance(network, a, b) for a, b in pairs])
    return {
        f"{name}_{kind}": value[part].mean().item()
        for name, value in full.items()
        for kind, part in (("input", slice(0, 1)), ("novel", slice(1, None)))
    }


def _box(mask: Float[Tensor, "h w"]) -> tuple[slice, slice]:
    """Rows and columns of the person, at least 16 pixels each."""
    sides = []
    for size, inside in zip(mask.shape, ((mask > 0.1).any(1), (mask > 0.1).any(0)), strict=True):
        at = inside.nonzero()[:, 0]
        low, high = (int(at[0]), int(at[-1]) + 1) if len(at) else (0, size)
        low, high = max(0, low - BOX_MARGIN), min(size, high + BOX_MARGIN)
        grow = max(0, 16 - (high - low))
        sides.append(slice(max(0, low - grow), min(size, high + grow)))
    return sides[0], sides[1]
